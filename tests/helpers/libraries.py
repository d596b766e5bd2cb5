"""Test libraries: authors with keys, posts, and a database that stores them."""

from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlite_utils import Database

from culture.library import Library
from culture.posts import Post, SignedPost, sign_post

KEYS = {name: Ed25519PrivateKey.from_private_bytes(bytes([i]) * 32) for i, name in enumerate(("ada", "bo", "cy"))}


def signed(post: Post) -> SignedPost:
    key = KEYS[post.author]
    return sign_post(post, key.public_key().public_bytes_raw().hex(), key.sign)


def definition(
    name: str, body: str = "a body", author: str = "ada", generation: int = 0, cites: Sequence[str] = ()
) -> Post:
    return Post("definition", author, generation, name, body, tuple(cites))


def admit_all(post: Post) -> str | None:
    return None


def filled(*posts: Post, path: str = ":memory:") -> Library:
    db = Database(path)
    with db.conn:
        Library.create_tables(db)
        results = Library(db).add([signed(post) for post in posts], admit_all)
    assert [reason for _, reason in results] == [None] * len(posts)
    return Library(db)
