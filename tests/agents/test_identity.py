"""Keys are stored atomically and privately; names are readable, unique and deterministic."""

import os
import stat
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from agents.identity import GIVEN_NAMES, KeyRing, agent_name
from arena.config.shipped import ROOT
from culture.posts import Post, sign_post


def test_created_key_signs(tmp_path):
    ring = KeyRing(tmp_path / "keys")
    made = ring.create("ada")
    assert KeyRing(tmp_path / "keys").load("ada") == made
    assert ring.public_key("ada") == made.public_key
    Ed25519PublicKey.from_public_bytes(bytes.fromhex(made.public_key)).verify(ring.sign("ada", b"data"), b"data")


def test_key_signs_posts(tmp_path):
    ring = KeyRing(tmp_path)
    ring.create("ada")
    post = Post("lesson", "ada", 0, "title", "body")
    assert sign_post(post, ring.public_key("ada"), lambda data: ring.sign("ada", data)).verify()


def test_keys_differ(tmp_path):
    ring = KeyRing(tmp_path)
    assert ring.create("ada").public_key != ring.create("bo").public_key


def test_file_permissions(tmp_path):
    """Only the owner can read keys, whatever the umask is."""
    old = os.umask(0)
    try:
        KeyRing(tmp_path / "keys").create("ada")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "keys" / "ada.pem").stat().st_mode) == 0o600


def test_no_temporary_files_remain(tmp_path):
    KeyRing(tmp_path).create("ada")
    assert [path.name for path in tmp_path.iterdir()] == ["ada.pem"]


def test_failed_write_leaves_no_file(tmp_path, monkeypatch):
    def fail(descriptor: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        KeyRing(tmp_path).create("ada")
    assert list(tmp_path.iterdir()) == []


def test_existing_key_is_not_replaced(tmp_path):
    ring = KeyRing(tmp_path)
    made = ring.create("ada")
    with pytest.raises(ValueError, match="already has a key"):
        ring.create("ada")
    assert ring.load("ada") == made


def test_ensure_creates_key_once(tmp_path):
    ring = KeyRing(tmp_path)
    assert ring.ensure("ada") == ring.ensure("ada") == ring.load("ada")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Ada",
        "../ada",
        "a/b",
        "/etc/passwd",
        "a.b",
        "ada\n",
        "1a",
        "-a",
        "a" * 33,
        "é",
        "a\x00",
        "..",
        None,
    ],
)
def test_invalid_names_raise(tmp_path, name):
    ring = KeyRing(tmp_path / "keys")
    for act in (ring.create, ring.ensure, ring.load, ring.public_key, lambda n: ring.sign(n, b"")):
        with pytest.raises(ValueError, match="must match"):
            act(name)
    assert not (tmp_path / "keys").exists()


def test_missing_key_file_raises(tmp_path):
    with pytest.raises(ValueError, match=r"ada.*ada\.pem"):
        KeyRing(tmp_path).load("ada")


def damaged_files() -> dict[str, bytes]:
    pem = (Encoding.PEM, PrivateFormat.PKCS8)
    whole = Ed25519PrivateKey.generate().private_bytes(*pem, NoEncryption())
    return {
        "empty": b"",
        "cut short": whole[: len(whole) // 2],
        "noise": bytes(range(256)),
        "a public key": b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        "another algorithm": generate_private_key(SECP256R1()).private_bytes(*pem, NoEncryption()),
        "encrypted": Ed25519PrivateKey.generate().private_bytes(*pem, BestAvailableEncryption(b"secret")),
    }


@pytest.mark.parametrize("what", damaged_files())
def test_damaged_key_file_raises(tmp_path, what):
    (tmp_path / "ada.pem").write_bytes(damaged_files()[what])
    for act in (KeyRing(tmp_path).load, lambda name: KeyRing(tmp_path).sign(name, b"")):
        with pytest.raises(ValueError, match=r"ada\.pem"):
            act("ada")


def test_names_are_unique_and_valid(tmp_path):
    names = [agent_name(0, index) for index in range(300)]
    assert len(set(names)) == 300
    assert set(names[: len(GIVEN_NAMES)]) == set(GIVEN_NAMES)
    assert names[len(GIVEN_NAMES)] == names[0] + "2" and names[2 * len(GIVEN_NAMES)] == names[0] + "3"
    KeyRing(tmp_path).create(names[-1])


def test_names_depend_on_seed_only():
    assert [agent_name(1, i) for i in range(9)] != [agent_name(2, i) for i in range(9)]
    code = "from agents.identity import agent_name; print(agent_name(1, 3), agent_name(1, 70))"
    shown = {
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert shown == {f"{agent_name(1, 3)} {agent_name(1, 70)}"}
    with pytest.raises(ValueError, match="negative"):
        agent_name(0, -1)
