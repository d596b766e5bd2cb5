"""Identities of agents: a name and an Ed25519 key pair, with the private key in one file per agent.

Left out: passphrases, key rotation and revocation; which posts a key may sign (the library binds a name to
one key).

Not guaranteed: secrecy from anyone who can read the owner's files. Keys come from system randomness, so two
runs of the same config have different keys. Names, which determine order and seeding, are the same.
"""

import os
import random
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from agents.atomic import replacing

_NAMES = """
ada alma anna ari bea ben bo cara cleo cy dara dev dina eda eli emi enzo esme eva fay finn fynn gia gus hal
hugo ida ines io ivo jai jo jude kai kim kit lea leo lia lou luz mae max mia milo nia noa nora ola oz pia
quinn rae remy rio roy sam sol tao tess uma uri vera zoe
"""
GIVEN_NAMES = tuple(_NAMES.split())

_P = 2**255 - 19
_Y = 0x5FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_LOW_ORDER = frozenset((0, 1, _P - 1, _Y, _P - _Y))
"""The y coordinates of the points of edwards25519 whose order divides 8. For such a public key, anyone can make
signatures that are valid for some messages."""

_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")


@dataclass(frozen=True)
class Identity:
    """An agent's name and public key (64 hex digits)."""

    name: str
    public_key: str


def agent_name(seed: int, index: int) -> str:
    """The readable name of agent `index` (from 0) of a run, unique and deterministic for a seed.

    The seed permutes `GIVEN_NAMES`. After the last one they repeat with a number (ada, ..., ada2, ...).
    """
    if index < 0:
        raise ValueError(f"an agent's index must not be negative: {index}")
    names = list(GIVEN_NAMES)
    random.Random(f"names/{seed}").shuffle(names)
    again, place = divmod(index, len(names))
    return names[place] + (str(again + 1) if again else "")


class KeyRing:
    """Private keys in a folder, one file `<name>.pem` each. The folder is not created before the first `create`."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    def create(self, name: str) -> Identity:
        """Create and store a key pair atomically, with file mode 0600 and folder mode 0700.

        Raises:
            ValueError: the name is invalid or already has a key; replacing it would invalidate the posts it signed.
        """
        path = self._path(name)
        if path.exists():
            raise ValueError(f"{name} already has a key: {path}")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        key = Ed25519PrivateKey.generate()
        with replacing(path) as new, open(new, "xb", opener=partial(os.open, mode=0o600)) as file:
            file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return _identity(name, key)

    def ensure(self, name: str) -> Identity:
        """The identity of `name`; created if it has no key yet."""
        return self.load(name) if self._path(name).exists() else self.create(name)

    def load(self, name: str) -> Identity:
        """The identity of `name`. Raises ValueError with the path if the key file is missing or damaged."""
        return _identity(name, self._key(name))

    def sign(self, name: str, data: bytes) -> bytes:
        """Sign `data` as `name`. Returns the 64-byte Ed25519 signature. Raises like `load`."""
        return self._key(name).sign(data)

    def public_key(self, name: str) -> str:
        """The public key of `name`, 64 hex digits. Raises like `load`."""
        return self.load(name).public_key

    def _path(self, name: str) -> Path:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(f"an agent's name must match [a-z][a-z0-9-]{{0,31}}: {name!r}")
        return self.folder / f"{name}.pem"

    def _key(self, name: str) -> Ed25519PrivateKey:
        path = self._path(name)
        try:
            key = load_pem_private_key(path.read_bytes(), password=None)
        except OSError as error:
            raise ValueError(f"cannot read the key of {name}: {path}: {error.strerror}") from error
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise ValueError(f"the key file of {name} is damaged: {path}") from error
        if isinstance(key, Ed25519PrivateKey):
            return key
        raise ValueError(f"the key file of {name} does not hold an Ed25519 key: {path}")


def is_low_order(public_key: bytes) -> bool:
    """Whether the 32 bytes of a public key encode a point of low order, in any of its encodings."""
    return (int.from_bytes(public_key, "little") & (2**255 - 1)) % _P in _LOW_ORDER


def is_signed(public_key: str, data: bytes, signature: str) -> bool:
    """Whether `signature` (hex) by `public_key` (hex) is valid for `data`. False for a malformed key or signature, and
    for a key of low order."""
    try:
        key = bytes.fromhex(public_key)
        Ed25519PublicKey.from_public_bytes(key).verify(bytes.fromhex(signature), data)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return not is_low_order(key)


def _identity(name: str, key: Ed25519PrivateKey) -> Identity:
    return Identity(name, key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex())
