"""SQL schema of the library, and conversion of a row of `posts` to a post. See `culture.library`."""

import json
from collections.abc import Sequence

from culture.posts import Post

COLUMNS = "p.kind, p.author, p.generation, p.title, p.body, p.cites, p.about, p.applies, p.supersedes"
"""Columns of a row `p` of `posts` that `to_post` takes, in this order."""

SCHEMA = (
    """CREATE TABLE posts (
        id TEXT NOT NULL PRIMARY KEY, seq INTEGER NOT NULL UNIQUE, generation INTEGER NOT NULL,
        kind TEXT NOT NULL, author TEXT NOT NULL, title TEXT NOT NULL, body TEXT NOT NULL,
        cites TEXT NOT NULL, about TEXT NOT NULL, public_key TEXT NOT NULL, signature TEXT NOT NULL,
        applies TEXT NOT NULL DEFAULT '', supersedes TEXT NOT NULL DEFAULT '')""",
    "CREATE INDEX posts_kind_title ON posts (kind, title)",
    """CREATE VIRTUAL TABLE posts_fts USING fts5
        (title, body, content='posts', content_rowid='seq', tokenize='unicode61')""",
    """CREATE TRIGGER posts_index AFTER INSERT ON posts BEGIN
        INSERT INTO posts_fts (rowid, title, body) VALUES (NEW.seq, NEW.title, NEW.body); END""",
    # INSERT OR REPLACE deletes without firing delete triggers unless recursive_triggers is on.
    """CREATE TRIGGER posts_no_replace BEFORE INSERT ON posts
        WHEN EXISTS (SELECT 1 FROM posts WHERE id = NEW.id OR seq = NEW.seq)
        BEGIN SELECT RAISE(ABORT, 'the library is append-only: this post is already there'); END""",
    """CREATE TRIGGER posts_no_update BEFORE UPDATE ON posts
        BEGIN SELECT RAISE(ABORT, 'the library is append-only: a post cannot be changed'); END""",
    """CREATE TRIGGER posts_no_delete BEFORE DELETE ON posts
        BEGIN SELECT RAISE(ABORT, 'the library is append-only: a post cannot be deleted'); END""",
    """CREATE TABLE reads (
        id TEXT NOT NULL PRIMARY KEY, generation INTEGER NOT NULL, phase TEXT NOT NULL, agent TEXT NOT NULL,
        request TEXT NOT NULL, post TEXT NOT NULL, propensity REAL NOT NULL)""",
    "CREATE INDEX reads_post ON reads (post)",
    "CREATE INDEX reads_agent ON reads (agent, post)",
    """CREATE TABLE removals (
        post TEXT NOT NULL PRIMARY KEY, generation INTEGER NOT NULL, state TEXT NOT NULL, cause TEXT NOT NULL,
        reason TEXT NOT NULL)""",
    """CREATE TRIGGER removals_no_replace BEFORE INSERT ON removals
        WHEN EXISTS (SELECT 1 FROM removals WHERE post = NEW.post)
        BEGIN SELECT RAISE(ABORT, 'removals are append-only: this post has left the index already'); END""",
    """CREATE TRIGGER removals_no_update BEFORE UPDATE ON removals
        BEGIN SELECT RAISE(ABORT, 'removals are append-only: one cannot be changed'); END""",
    """CREATE TRIGGER removals_no_delete BEFORE DELETE ON removals
        BEGIN SELECT RAISE(ABORT, 'removals are append-only: one cannot be taken back'); END""",
    """CREATE TABLE withheld (
        id TEXT NOT NULL PRIMARY KEY, generation INTEGER NOT NULL, phase TEXT NOT NULL, agent TEXT NOT NULL,
        request TEXT NOT NULL, post TEXT NOT NULL, propensity REAL NOT NULL)""",
    "CREATE INDEX withheld_post ON withheld (post)",
    "CREATE INDEX posts_author_generation ON posts (author, generation, seq, kind)",
    "CREATE INDEX posts_generation ON posts (generation, seq, kind, author)",
    "CREATE INDEX posts_reviews ON posts (about, author) WHERE kind = 'review'",
)


def to_post(row: Sequence) -> Post:
    """The post in a row of `COLUMNS`. Raises ValueError if the row is not a valid post."""
    kind, author, generation, title, body, cites, about, applies, supersedes = row
    try:
        ids = json.loads(cites)
    except (TypeError, RecursionError):
        ids = None
    if type(ids) is not list:
        raise ValueError(f"stored cites are not a list: {str(cites)[:100]!r}")
    return Post(kind, author, generation, title, body, tuple(ids), about, applies, supersedes)
