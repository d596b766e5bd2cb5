"""Messages between islands: they survive a round trip, and anything else is refused."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.identity import KeyRing
from arena.run.messages import MAGIC, Arrivals, Package, Result, SentAgent, SentPost, Table, frame, pack, safe_path
from culture.posts import Post, SignedPost, sign_post


@pytest.fixture
def post(tmp_path) -> SignedPost:
    keys = KeyRing(tmp_path)
    key = keys.create("ada").public_key
    return sign_post(Post("definition", "ada", 1, "w1", "w1 = rev\ninc"), key, lambda data: keys.sign("ada", data))


def result(post: SignedPost) -> Result:
    table = Table(("name", "rate"), (("a\ud7ff", 0.1), (None, -(2**63))), (1, 7))
    agent = SentAgent("ada", 1, "ab" * 32, 0.5, b"\x00weights")
    files = {"adapters/g0001/ada/adapter_model.safetensors": b"\x00\x01", "keys/ada.pem": b"key"}
    return Result(1, 3, "0" * 64, {"agents": 2}, {"agents": table}, files, (SentPost(post, 1, 0.5),), (agent,))


def test_round_trip(post: SignedPost) -> None:
    made = result(post)
    assert Result.from_bytes(made.to_bytes()) == made and made.counts == {"agents": 2}
    arrivals = Arrivals(2, 4, made.posts, made.agents)
    assert Arrivals.from_bytes(arrivals.to_bytes()) == arrivals
    package = Package(0, 5, {"run.db": b"x" * 1000, "keys/ada.pem": b""})
    assert Package.from_bytes(package.to_bytes()) == package
    assert made.posts[0].signed.verify()


def test_equal_messages_have_equal_bytes(post: SignedPost) -> None:
    assert result(post).to_bytes() == result(post).to_bytes()


@pytest.mark.parametrize(
    "path", ["../x", "/x", "a//b", "a/../b", ".ssh/x", "a\\b", "a/b\n", "", "a/" * 7 + "b", "a\0b"]
)
def test_paths_that_leave_the_folder_are_refused(path: str) -> None:
    with pytest.raises(ValueError, match="may lead elsewhere"):
        safe_path(path)
    with pytest.raises(ValueError, match="not a message of kind package"):
        Package.from_bytes(pack("package", {"island": 0, "generation": 0}, {path: b"x"}))


def test_changed_bytes_are_refused(post: SignedPost) -> None:
    data, rng = result(post).to_bytes(), random.Random(0)
    for _ in range(300):
        at = rng.randrange(len(data))
        bad = data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]
        with pytest.raises(ValueError, match=r"^not a message of kind result: "):
            Result.from_bytes(bad)
    for cut in (0, 5, len(MAGIC), len(MAGIC) + 8, 100, len(data) - 1):
        with pytest.raises(ValueError, match="not a message"):
            Result.from_bytes(data[:cut])
    with pytest.raises(ValueError, match="too many"):
        Result.from_bytes(data + b"x")


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(data: bytes) -> None:
    for read in (Result.from_bytes, Arrivals.from_bytes, Package.from_bytes):
        for whole in (data, MAGIC + data, frame(data)):
            with pytest.raises(ValueError, match="not a message"):
                read(whole)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(st.sampled_from(["island", "generation", "posts", "agents", "marks", "arrivals", "blobs"]), JSON)
)
def test_random_headers_are_refused_or_read(head: dict) -> None:
    for kind, read in (("result", Result.from_bytes), ("arrivals", Arrivals.from_bytes)):
        text = json.dumps({"kind": kind, "blobs": [], "island": 0, "generation": 0, **head}).encode()
        try:
            read(frame(text))
        except ValueError as error:
            assert str(error).startswith("not a message")


def test_other_kinds_are_refused(post: SignedPost) -> None:
    with pytest.raises(ValueError, match="not a message of kind package: its kind is another"):
        Package.from_bytes(Arrivals(0, 1).to_bytes())
