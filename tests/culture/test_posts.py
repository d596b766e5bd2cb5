"""Posts: ids, canonical JSON, validation of fields, signatures."""

import hashlib
import json
from dataclasses import replace

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.identity import is_signed
from culture.kinds import KINDS
from culture.posts import MAX_BODY, Post, SignedPost, sign_post

POST = Post("lesson", "ada", 3, "Fold first", "Fold, then map.", ("0" * 64,), "problem 7")


def key_pair(seed: int) -> tuple[Ed25519PrivateKey, str]:
    key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
    return key, key.public_key().public_bytes_raw().hex()


def test_id_is_the_hash_of_canonical_json():
    text = (
        '{"about":"problem 7","author":"ada","body":"Fold, then map.","cites":["' + "0" * 64 + '"],'
        '"generation":3,"kind":"lesson","title":"Fold first"}'
    )
    assert POST.to_json() == text
    assert POST.id == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "failure"},
        {"author": "bo"},
        {"generation": 4},
        {"title": "Fold First"},
        {"body": "Fold, then map. "},
        {"cites": ()},
        {"about": ""},
    ],
)
def test_every_field_is_part_of_the_id(change):
    assert replace(POST, **change).id != POST.id


def test_canonical_json_keeps_unicode():
    post = replace(POST, body="naïve 數學 🧮")
    assert "naïve 數學 🧮" in post.to_json()
    assert post.id == hashlib.sha256(post.to_json().encode("utf-8")).hexdigest()


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=60), st.sampled_from(KINDS), st.integers(0, 10**6))
def test_json_round_trip_keeps_the_id(text, kind, generation):
    try:
        post = Post(kind, "ada", generation, "t", text)
    except ValueError:
        return
    assert Post.from_json(post.to_json()) == post
    assert Post.from_json(post.to_json()).id == post.id


def test_unknown_kind_names_the_nearest():
    with pytest.raises(ValueError, match=r"'definitions'; did you mean 'definition'"):
        replace(POST, kind="definitions")
    with pytest.raises(ValueError, match="did you mean 'worked_example'"):
        replace(POST, kind="worked example")
    with pytest.raises(ValueError, match="unknown kind"):
        replace(POST, kind="")


@pytest.mark.parametrize("field", ["author", "title", "body"])
@pytest.mark.parametrize("text", ["", "  \n\t "])
def test_empty_text_is_refused(field, text):
    with pytest.raises(ValueError, match=f"{field} of a post must not be empty"):
        replace(POST, **{field: text})


@pytest.mark.parametrize("field", ["author", "title", "body", "about"])
@pytest.mark.parametrize("char", ["\x00", "\r", "\x1b", "\x7f", "\x85", "\ud800"])
def test_control_characters_are_refused(field, char):
    with pytest.raises(ValueError, match=f"{field} of a post holds"):
        replace(POST, **{field: f"a{char}b"})


def test_newline_and_tab_are_allowed():
    assert replace(POST, title="a\tb", body="a\n\tb").body == "a\n\tb"


def test_longest_body():
    assert len(replace(POST, body="x" * MAX_BODY).body) == MAX_BODY
    with pytest.raises(ValueError, match="4001 characters"):
        replace(POST, body="x" * (MAX_BODY + 1))


@pytest.mark.parametrize("cite", ["", "0" * 63, "0" * 65, "G" * 64, "A" * 64, "0" * 64 + "\n", 7])
def test_cite_must_be_an_id(cite):
    with pytest.raises(ValueError, match="a cite must be"):
        replace(POST, cites=(cite,))


def test_cites_must_be_a_tuple():
    with pytest.raises(ValueError, match="must be a tuple"):
        replace(POST, cites=["0" * 64])


@pytest.mark.parametrize("generation", [-1, 1.0, True, "1", 2**63])
def test_generation_must_be_a_count(generation):
    with pytest.raises(ValueError, match="generation of a post"):
        replace(POST, generation=generation)


@pytest.mark.parametrize("text", ["[]", "3", "{}", '{"kind": "lesson"}', "not json", '"lesson"'])
def test_wrong_json_is_refused(text):
    with pytest.raises(ValueError):
        Post.from_json(text)


def test_unknown_json_field_is_refused():
    data = {**json.loads(POST.to_json()), "verdict": "true"}
    with pytest.raises(ValueError, match="verdict"):
        Post.from_json(json.dumps(data))


def test_signature_verifies_its_post_alone():
    key, public = key_pair(1)
    signed = sign_post(POST, public, key.sign)
    assert signed.verify()
    assert not replace(signed, post=replace(POST, body="Map, then fold.")).verify()
    assert not replace(signed, public_key=key_pair(2)[1]).verify()
    assert not replace(signed, signature=key_pair(2)[0].sign(bytes.fromhex(POST.id)).hex()).verify()


@pytest.mark.parametrize(
    "public, signature",
    [("", ""), ("zz", "zz"), ("0" * 64, "0" * 126), ("\n", "é" * 128), ("F" * 64, "F" * 128)],
)
def test_malformed_hex_does_not_verify(public, signature):
    assert SignedPost(POST, public, signature).verify() is False


def low_order_keys():
    """Every encoding of a point of edwards25519 whose order divides 8, with either sign, reduced or not."""
    p = 2**255 - 19
    y8 = int.from_bytes(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little")
    ys = [y + k * p for y in (0, 1, p - 1, y8, p - y8) for k in (0, 1) if y + k * p < 2**255]
    for y in ys:
        at, d = y, -121665 * pow(121666, -1, p)
        for _ in range(3):  # doubled three times, each is the neutral point
            x2 = (at * at - 1) * pow(d * at * at + 1, -1, p)
            at = (at * at + x2) * pow(1 - d * x2 * at * at, -1, p) % p
        assert at == 1
    return [(y | sign << 255).to_bytes(32, "little").hex() for y in ys for sign in (0, 1)]


def test_low_order_keys_do_not_verify():
    """For a key of low order, a signature that needs no private key is valid for some messages."""
    accepted = 0
    for public in low_order_keys():
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
        for number in range(8):
            post = replace(POST, title=f"title {number}")
            for point in ("00" * 32, "01" + "00" * 31):
                signature = point + "00" * 32
                assert not SignedPost(post, public, signature).verify()
                assert not is_signed(public, bytes.fromhex(post.id), signature)
                try:
                    key.verify(bytes.fromhex(signature), bytes.fromhex(post.id))
                    accepted += 1
                except InvalidSignature:
                    pass
    assert accepted > 0


def test_upper_case_hex_does_not_verify():
    key, public = key_pair(1)
    signed = sign_post(POST, public, key.sign)
    assert not replace(signed, signature=signed.signature.upper()).verify()
