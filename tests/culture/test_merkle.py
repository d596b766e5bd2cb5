"""The Merkle log: test vectors of RFC 6962 implementations, and properties of all logs and proofs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from culture.merkle import (
    EMPTY,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root,
    verify_consistency,
    verify_inclusion,
)

# The eight leaves of Certificate Transparency's own tests, and the roots of the first 1 to 8 of them.
LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
HASHES = [leaf_hash(bytes.fromhex(leaf)) for leaf in LEAVES]


def test_roots_of_rfc_6962_leaves():
    assert root([]).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert [root(HASHES[:n]).hex() for n in range(1, 9)] == ROOTS


@pytest.mark.parametrize(
    ("index", "size", "path"),
    [
        (0, 1, []),
        (
            0,
            8,
            [
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            5,
            8,
            [
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
        (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    ],
)
def test_known_inclusion_proofs(index: int, size: int, path: list[str]):
    assert [step.hex() for step in inclusion_proof(HASHES[:size], index)] == path
    assert verify_inclusion(
        HASHES[index], index, size, [bytes.fromhex(s) for s in path], bytes.fromhex(ROOTS[size - 1])
    )


@pytest.mark.parametrize(
    ("first", "size", "path"),
    [
        (1, 1, []),
        (
            1,
            8,
            [
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            6,
            8,
            [
                "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
        (
            2,
            5,
            [
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ],
        ),
    ],
)
def test_known_consistency_proofs(first: int, size: int, path: list[str]):
    assert [step.hex() for step in consistency_proof(HASHES[:size], first)] == path
    old, new = bytes.fromhex(ROOTS[first - 1]), bytes.fromhex(ROOTS[size - 1])
    assert verify_consistency(first, size, old, new, [bytes.fromhex(s) for s in path])


def recursive(hashes: list[bytes]) -> bytes:
    """The definition of RFC 6962, 2.1, word for word."""
    if len(hashes) < 2:
        return hashes[0] if hashes else EMPTY
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    return node_hash(recursive(hashes[:k]), recursive(hashes[k:]))


logs = st.lists(st.binary(max_size=4), max_size=70).map(lambda leaves: [leaf_hash(leaf) for leaf in leaves])


@given(logs)
def test_frontier_equals_the_definition(hashes: list[bytes]):
    grown = Frontier()
    for n, one in enumerate(hashes):
        assert grown.root() == recursive(hashes[:n]) and grown.size == n
        grown.append(one)
        assert len(grown.roots) == (n + 1).bit_count()


@given(logs.filter(bool), st.data())
def test_inclusion_proof_holds_for_its_leaf_alone(hashes: list[bytes], data: st.DataObject):
    index = data.draw(st.integers(0, len(hashes) - 1))
    path, top, n = inclusion_proof(hashes, index), root(hashes), len(hashes)
    assert verify_inclusion(hashes[index], index, n, path, top) and len(path) <= (n - 1).bit_length()
    assert not verify_inclusion(leaf_hash(b"another"), index, n, path, top)
    assert not verify_inclusion(hashes[index], index, n, path, leaf_hash(b"another"))
    assert not verify_inclusion(hashes[index], index, n, [*path, top], top)
    assert not any(verify_inclusion(hashes[index], nowhere, n, path, top) for nowhere in (-1, n))
    if path:
        assert not verify_inclusion(hashes[index], index, n, path[:-1], top)
        at = data.draw(st.integers(0, len(path) - 1))
        bent = [bytes([path[at][0] ^ 1]) + path[at][1:] if i == at else step for i, step in enumerate(path)]
        assert not verify_inclusion(hashes[index], index, n, bent, top)
    other = data.draw(st.integers(0, n - 1))
    if hashes[other] != hashes[index]:
        assert not verify_inclusion(hashes[other], other, n, path, top)


@given(logs, st.data())
def test_consistency_proof_holds_for_its_log_alone(hashes: list[bytes], data: st.DataObject):
    n = len(hashes)
    m = data.draw(st.integers(0, n))
    path, old, new = consistency_proof(hashes, m), root(hashes[:m]), root(hashes)
    assert verify_consistency(m, n, old, new, path)
    assert not verify_consistency(m, n, leaf_hash(b"another"), new, path)
    assert not verify_consistency(m, n, old, new, [*path, new])
    assert not verify_consistency(n + 1, n, old, new, path)
    if path:
        assert not verify_consistency(m, n, old, leaf_hash(b"another"), path)
        assert not verify_consistency(m, n, old, new, path[:-1])
    if m:  # one leaf of the past changed
        at = data.draw(st.integers(0, m - 1))
        forged = [leaf_hash(b"forged") if i == at else one for i, one in enumerate(hashes)]
        assert not verify_consistency(m, n, old, root(forged), consistency_proof(forged, m))


def test_node_is_not_a_leaf():
    """A log of two leaves has another root than the log whose one leaf is their node."""
    assert leaf_hash(HASHES[0] + HASHES[1]) != root(HASHES[:2])


def test_wrong_index_or_hash_is_refused():
    for index in (-1, 8):
        with pytest.raises(ValueError, match="no leaf"):
            inclusion_proof(HASHES, index)
    with pytest.raises(ValueError, match="got 9"):
        consistency_proof(HASHES, 9)
    with pytest.raises(ValueError, match="32 bytes"):
        Frontier([b"short"])
