"""Proofs of the log, checked from their file alone: each forged field is refused and named."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agents.identity import KeyRing
from arena.cli.app import app
from arena.run.ledger import head_statement, prove, prove_consistency
from arena.run.proof import Known, check_proof, describe, known_head, read_proof
from arena.run.store import Store

Proof = dict[str, Any]


@pytest.fixture(scope="module")
def store(undisturbed: Path) -> Store:
    return Store(undisturbed / "run.db")


def leaves(store: Store, kind: str) -> list[str]:
    return [r["subject"] for r in store.query("SELECT subject FROM leaves WHERE kind = ? ORDER BY seq", [kind])]


@pytest.fixture
def inclusion(store: Store) -> Proof:
    found: Proof = json.loads(json.dumps(prove(store, leaves(store, "post")[2])))
    return found


@pytest.fixture
def consistency(store: Store) -> Proof:
    found: Proof = json.loads(json.dumps(prove_consistency(store, 1)))
    return found


def test_every_leaf_and_head_is_proved(store: Store) -> None:
    for row in store.query("SELECT seq, subject FROM leaves ORDER BY seq"):
        proof = json.loads(json.dumps(prove(store, row["subject"])))
        assert check_proof(proof) == [] and proof["index"] == row["seq"] - 1
        assert check_proof(proof, Known(proof["head"]["public_key"], proof["head"]["root"])) == []
        assert f"is leaf {row['seq']} of the log of generation 3" in describe(proof)
    for g in range(4):
        proof = json.loads(json.dumps(prove_consistency(store, g)))
        assert check_proof(proof) == [] and f"begins with that of generation {g}" in describe(proof)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The places of all values inside a proof that hold no others."""
    if isinstance(value, dict | list):
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        return [place for key, v in inner for place in places(v, (*path, key))]
    return [path]


def forged(proof: Proof, place: tuple[Any, ...], value: Any) -> Proof:
    other = copy.deepcopy(proof)
    at: Any = other
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = value
    return other


def other_values(value: Any) -> list[Any]:
    """Values that are like this one, and values of another form."""
    if isinstance(value, int):
        return [value + 1, value + 64, *([value - 1] if value else []), -1, str(value), float(value), True, None, 2**70]
    flipped = value[:-1] + ("0" if value[-1] != "0" else "1")
    return [flipped, value[1:], value + "0", value.upper() + "A", f" {value}", "", None, 0, [value]]


def named(problem: str, place: tuple[Any, ...]) -> bool:
    """Whether a message names the field at a place: `head.size`, or `leaf`, or `path` for its steps."""
    name = ".".join(p for p in place if isinstance(p, str))
    return name in problem


@pytest.mark.parametrize("kind", ["inclusion", "consistency"])
def test_each_forged_field_is_named(kind: str, request: pytest.FixtureRequest) -> None:
    proof: Proof = request.getfixturevalue(kind)
    count = 0
    for place in places(proof):
        value = proof
        for key in place:
            value = value[key]
        for other in other_values(value):
            bad = forged(proof, place, other)
            try:
                problems = check_proof(bad)
            except ValueError as error:
                problems = [str(error)]
            assert any(named(p, place) for p in problems), (place, other, problems)
            count += 1
    assert count > 80


@pytest.mark.parametrize("kind", ["inclusion", "consistency"])
def test_lacking_and_added_fields_are_named(kind: str, request: pytest.FixtureRequest) -> None:
    proof: Proof = request.getfixturevalue(kind)
    for name in proof:
        with pytest.raises(ValueError, match=f"{name} is"):
            check_proof({k: v for k, v in proof.items() if k != name})
    with pytest.raises(ValueError, match=r"generation is no field of a proof of .*, and nothing proves it"):
        check_proof({**proof, "generation": 3})
    with pytest.raises(ValueError, match=r"head.note is no field of a head"):
        check_proof({**proof, "head": {**proof["head"], "note": ""}})
    for path in (proof["path"][:-1], [*proof["path"], "0" * 64], proof["path"][::-1]):
        assert any("path" in p for p in check_proof({**proof, "path": path}))


def test_forged_leaf_is_refused_by_itself(inclusion: Proof) -> None:
    leaf = json.loads(inclusion["leaf"])
    texts = {
        "its subject": {**leaf, "content": {**leaf["content"], "body": "w1 = inc"}},
        "signature of the post's author": {**leaf, "signature": "0" * 128},
        "it is no post": {**leaf, "content": {"kind": "definition"}},
        "is no kind of leaf": {**leaf, "kind": "letter"},
    }
    for says, data in texts.items():
        text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        problems = check_proof({**inclusion, "leaf": text})
        assert says in problems[0] and problems[0].startswith("leaf: ") and len(problems) == 2, problems
    spaced = json.dumps(leaf)
    assert "leaf: it is not in canonical form" in check_proof({**inclusion, "leaf": spaced})
    assert "leaf: it is not JSON" in check_proof({**inclusion, "leaf": "[" * 100_000})


def test_another_key_and_root_are_refused(inclusion: Proof, consistency: Proof, tmp_path: Path) -> None:
    """A log that somebody signs anew holds by itself, and not against a key or a root from elsewhere."""
    ring = KeyRing(tmp_path)
    head = inclusion["head"] | {"public_key": ring.ensure("mallory").public_key}
    mine = inclusion | {"head": head | {"signature": ring.sign("mallory", head_statement(head)).hex()}}
    key, root = inclusion["head"]["public_key"], inclusion["head"]["root"]
    assert check_proof(mine) == []
    assert [p.split(":")[0] for p in check_proof(mine, Known(key))] == ["head.public_key"]
    assert check_proof(inclusion, Known("", root)) == check_proof(consistency, Known("", root)) == []
    assert check_proof(consistency, Known("", consistency["first"]["root"])) == []
    assert "head.root: not the root given" in check_proof(inclusion, Known("", "0" * 64))[0]
    assert "first.root and head.root: not the root given" in check_proof(consistency, Known("", "0" * 64))[0]
    two = consistency | {"first": consistency["first"] | {k: mine["head"][k] for k in ("public_key", "signature")}}
    assert any(p.startswith("first.public_key: signed with another key than head") for p in check_proof(two))


def test_line_of_verify_is_a_head(store: Store, inclusion: Proof) -> None:
    from arena.run.ledger import state

    line = f"ok       {state(store)[-1]}"
    known = known_head("", line)
    head = inclusion["head"]
    assert known == Known(head["public_key"], head["root"], head["size"], 3) and check_proof(inclusion, known) == []
    wrong = known_head("", line.replace("generation 3", "generation 2"))
    assert check_proof(inclusion, wrong) == ["head.generation: it is 3, and 2 of the head given"]
    for key, text, says in (("xy", "", "--key"), ("", "root", "--head"), ("0" * 64, line, "differ")):
        with pytest.raises(ValueError, match=says):
            known_head(key, text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty: fetch it again"),
        ("version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        ("{", "is not JSON"),
        ("[" * 200_000, "nested too deep|not JSON"),
        ("[]", "expected an object, found list"),
        ('{"what": "inclusion", "what": "consistency"}', "the field 'what' is given twice"),
        ('{"what": "love"}', "what is 'love', expected inclusion or consistency"),
        ('{"what": "inclusion", "index": NaN}', "NaN is no number"),
        ("\udcff", "is not text in UTF-8"),
    ],
)
def test_files_that_are_no_proof(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "proof.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match=says) as error:
        read_proof(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_command_needs_the_file_alone(inclusion: Proof, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("proof.json").write_text(json.dumps(inclusion))
    Path("bad.json").write_text(json.dumps(inclusion | {"index": inclusion["index"] + 1}))
    head = inclusion["head"]
    for words, status, says in (
        (["proof.json"], 0, "anybody can sign a log"),
        (["proof.json", "--key", head["public_key"]], 0, "which you gave"),
        (["proof.json", "--head", head["root"]], 0, "ok       post "),
        (["proof.json", "--key", "0" * 64], 1, "wrong    head.public_key"),
        (["bad.json"], 1, "wrong    "),
    ):
        done = CliRunner().invoke(app, ["verify-proof", *words])
        assert (done.exit_code, says in done.output) == (status, True), (words, done.output)
    for words in (["none.json"], ["proof.json", "--key", "x"], [str(tmp_path)]):
        done = CliRunner().invoke(app, ["verify-proof", *words])
        assert isinstance(done.exception, ValueError | OSError), words  # which `main` prints in one line, with status 2
