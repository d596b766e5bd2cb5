"""The library: an append-only table of signed posts, found by name and words, and the log of who read what.

It lives in a database that the arena opened and shares. Every write is a plain statement inside the caller's
transaction: the library never commits, so a generation's posts appear with its records or not at all.

Left out: ranking by usefulness, supersession and retraction (every post stays visible), and the log (`culture.log`).

Not guaranteed: that nobody rewrote history together with all signatures (that takes the signed log); that the
search index is in step after someone dropped the triggers (`verify` looks at the posts alone).
"""

import hashlib
import json
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sqlite_utils import Database

from culture.posts import Post, SignedPost, check_kind

MAX_SEARCH_WORDS = 64
"""Distinct words of a query that are looked up; the rest is ignored, which bounds the cost of a search."""

_COLUMNS = "p.kind, p.author, p.generation, p.title, p.body, p.cites, p.about, p.applies, p.supersedes"
_SCHEMA = (
    """CREATE TABLE posts (
        id TEXT NOT NULL PRIMARY KEY, seq INTEGER NOT NULL UNIQUE, generation INTEGER NOT NULL,
        kind TEXT NOT NULL, author TEXT NOT NULL, title TEXT NOT NULL, body TEXT NOT NULL,
        cites TEXT NOT NULL, about TEXT NOT NULL, public_key TEXT NOT NULL, signature TEXT NOT NULL,
        applies TEXT NOT NULL DEFAULT '', supersedes TEXT NOT NULL DEFAULT '')""",
    "CREATE INDEX posts_kind_title ON posts (kind, title)",
    "CREATE INDEX posts_author ON posts (author)",
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
)
SHELF = (
    """CREATE TABLE removals (
        post TEXT NOT NULL PRIMARY KEY, generation INTEGER NOT NULL, state TEXT NOT NULL, cause TEXT NOT NULL,
        reason TEXT NOT NULL)""",
    """CREATE TABLE withheld (
        id TEXT NOT NULL PRIMARY KEY, generation INTEGER NOT NULL, phase TEXT NOT NULL, agent TEXT NOT NULL,
        request TEXT NOT NULL, post TEXT NOT NULL, propensity REAL NOT NULL)""",
    "CREATE INDEX withheld_post ON withheld (post)",
)
"""Tables since schema 3: posts that left the index and why, and posts that were chosen for a reader and left out."""
COLUMNS_SINCE = (
    "ALTER TABLE posts ADD COLUMN applies TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE posts ADD COLUMN supersedes TEXT NOT NULL DEFAULT ''",
)


@dataclass(frozen=True)
class Read:
    """One post put in an agent's context for one request, and the probability with which it was chosen."""

    generation: int
    phase: str
    agent: str
    request: str
    post: str
    propensity: float

    def __post_init__(self) -> None:
        if not 0.0 < self.propensity <= 1.0:
            raise ValueError(f"propensity of a read must lie in (0, 1]: {self.propensity!r}")

    @property
    def id(self) -> str:
        """SHA-256 over who read what when; a post counts once per request."""
        key = [self.generation, self.phase, self.agent, self.request, self.post]
        return hashlib.sha256(json.dumps(key, separators=(",", ":")).encode()).hexdigest()


class Library:
    """The posts of one run; with `up_to_generation`, a view that ends there and cannot be added to."""

    def __init__(self, db: Database, up_to_generation: int | None = None) -> None:
        self.db = db
        self.up_to_generation = up_to_generation

    @staticmethod
    def create_tables(db: Database) -> None:
        """Create the tables, index and triggers; once per run; commits nothing."""
        for statement in (*_SCHEMA, *SHELF):
            db.conn.execute(statement)

    def as_of(self, generation: int) -> "Library":
        """The library as it stood after `generation` (search still weighs words by the whole index)."""
        return Library(self.db, generation)

    def add(self, signed: Sequence[SignedPost], check: Callable[[Post], str | None]) -> list[tuple[str, str | None]]:
        """Admit posts in order; per post, its id and None or the reason it was refused.

        Refused are: a bad signature, a post already there ("duplicate"), an author's name used with another
        key than before, a cite of a post that is not there yet, and whatever `check` gives a reason against.
        Commits nothing.
        """
        conn = self.db.conn
        assert conn.in_transaction or conn.isolation_level is not None, "no transaction is open"
        if self.up_to_generation is not None:
            raise ValueError(f"a view up to generation {self.up_to_generation} cannot be added to")
        seq = conn.execute("SELECT COALESCE(MAX(seq), 0) FROM posts").fetchone()[0]
        results: list[tuple[str, str | None]] = []
        for item in signed:
            post = item.post
            reason = self.refusal(item, check)
            results.append((post.id, reason))
            if reason is None:
                seq += 1
                conn.execute(
                    "INSERT INTO posts (id, seq, generation, kind, author, title, body, cites, about,"
                    " public_key, signature, applies, supersedes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (post.id, seq, post.generation, post.kind, post.author, post.title, post.body,
                     json.dumps(post.cites), post.about, item.public_key, item.signature, post.applies,
                     post.supersedes),
                )  # fmt: skip
        return results

    def refusal(self, item: SignedPost, check: Callable[[Post], str | None]) -> str | None:
        """Why `add` would refuse this post now, or None."""
        return self._refusal(item) or check(item.post)

    def _refusal(self, item: SignedPost) -> str | None:
        conn = self.db.conn
        if not item.verify():
            return "bad signature"
        if conn.execute("SELECT 1 FROM posts WHERE id = ?", (item.post.id,)).fetchone():
            return "duplicate"
        author = item.post.author
        known = conn.execute("SELECT public_key FROM posts WHERE author = ? LIMIT 1", (author,)).fetchone()
        if known and known[0] != item.public_key:
            return f"{author} has posted with another key"
        for cite in item.post.cites:
            if not conn.execute("SELECT 1 FROM posts WHERE id = ?", (cite,)).fetchone():
                return f"cites a post that is not in the library: {cite}"
        return None

    def log_reads(self, rows: Sequence[Read]) -> None:
        """Store reads; the same read twice raises sqlite3.IntegrityError. Commits nothing."""
        self.db.conn.executemany(
            "INSERT INTO reads (id, generation, phase, agent, request, post, propensity) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(r.id, r.generation, r.phase, r.agent, r.request, r.post, r.propensity) for r in rows],
        )

    def get(self, id: str) -> Post | None:
        """The post with this id, or None."""
        found = self._posts("p.id = ?", [id], "p.seq")
        return found[0] if found else None

    def signed(self, id: str) -> SignedPost | None:
        """The post with this id with its key and signature, or None."""
        post = self.get(id)
        if post is None:
            return None
        row = self.db.conn.execute("SELECT public_key, signature FROM posts WHERE id = ?", (id,)).fetchone()
        return SignedPost(post, row[0], row[1])

    def count(self) -> int:
        """Number of posts."""
        return int(self._rows("SELECT COUNT(*) FROM posts p WHERE {}", [], "")[0][0])

    def by_kind(self) -> dict[str, int]:
        """Number of posts of each kind that occurs, in alphabetical order."""
        return self._tally("kind")

    def by_author(self) -> dict[str, int]:
        """Number of posts of each author, in alphabetical order."""
        return self._tally("author")

    def definition_ids(self) -> dict[str, str]:
        """Name to id of every definition in force (of several with one title, the first), oldest first."""
        head = "SELECT p.title, p.id, MIN(p.seq) FROM posts p WHERE p.kind = 'definition' AND {}"
        return {row[0]: row[1] for row in self._rows(head, [], "GROUP BY p.title ORDER BY MIN(p.seq)")}

    def definitions(self, names: Sequence[str]) -> dict[str, Post]:
        """The definitions in force of these names, in the order of `names`; unknown names are absent."""
        where = "p.kind = 'definition' AND p.title IN (SELECT value FROM json_each(?))"
        first: dict[str, Post] = {}
        for post in self._posts(where, [json.dumps(list(names))], "p.seq"):
            first.setdefault(post.title, post)
        return {name: first[name] for name in dict.fromkeys(names) if name in first}

    def search(self, words: str, kind: str | None = None, limit: int = 10) -> list[Post]:
        """Posts holding any of `words`, best BM25 first, the earlier on a tie; any text is legal."""
        if limit < 0:
            raise ValueError(f"limit of a search must not be negative: {limit}")
        terms = _terms(words)
        if not terms:
            return []
        where, params = "posts_fts MATCH ?", [" OR ".join(f'"{term}"' for term in terms)]
        if kind is not None:
            check_kind(kind)
            where, params = where + " AND p.kind = ?", [*params, kind]
        source = "posts_fts JOIN posts p ON p.seq = posts_fts.rowid"
        return self._posts(where, params, "bm25(posts_fts), p.seq", source, limit)

    def iterate(
        self, kind: str | None = None, up_to_generation: int | None = None, author: str | None = None
    ) -> Iterator[Post]:
        """Posts in the order they were admitted, if asked of one kind or author, up to one generation."""
        where, params = _filters(kind, up_to_generation, author)
        return iter(self._posts(where, params, "p.seq"))

    def recent(self, limit: int = 10, kind: str | None = None, author: str | None = None) -> list[Post]:
        """The last `limit` posts admitted, in the order they were admitted."""
        if limit < 0:
            raise ValueError(f"limit must not be negative: {limit}")
        where, params = _filters(kind, None, author)
        return self._posts(where, params, "p.seq DESC", limit=limit)[::-1]

    def verify(self) -> list[str]:
        """Recheck every stored post; one readable line per problem, an empty list when all is well.

        Looks for gaps in the order, ids that do not match the text, bad signatures, authors with two keys,
        and cites of posts that are absent or later. Always looks at the whole library, also from a view.
        """
        problems: list[str] = []
        seen: set[str] = set()
        keys: dict[str, str] = {}
        query = f"SELECT p.seq, p.id, p.public_key, p.signature, {_COLUMNS} FROM posts p ORDER BY p.seq"
        expected = 1
        for seq, id, key, signature, *columns in self.db.conn.execute(query):
            where = f"post {seq} ({id[:12]})"
            if seq != expected:
                problems.append(f"{where}: expected post {expected} here; something is missing")
            expected = seq + 1
            try:
                post = _post(columns)
            except ValueError as error:  # a row that someone damaged is what verify is for
                problems.append(f"{where}: damaged: {error}")
                continue
            finally:
                seen.add(id)
            if post.id != id:
                problems.append(f"{where}: bad id: the text hashes to {post.id[:12]}")
            if not SignedPost(post, key, signature).verify():
                problems.append(f"{where}: bad signature of {post.author}")
            if keys.setdefault(post.author, key) != key:
                problems.append(f"{where}: {post.author} signs with another key than before")
            problems += [f"{where}: dangling cite {c[:12]}" for c in post.cites if c not in seen or c == id]
        return problems

    def _tally(self, column: str) -> dict[str, int]:
        tail = f"GROUP BY p.{column} ORDER BY p.{column}"
        return dict(self._rows(f"SELECT p.{column}, COUNT(*) FROM posts p WHERE {{}}", [], tail))

    def _rows(self, head: str, params: list[object], tail: str) -> list[tuple]:
        """Run `head` with its `{}` filled by the view's bound on generations."""
        bound = "1" if self.up_to_generation is None else f"p.generation <= {int(self.up_to_generation)}"
        return self.db.conn.execute(f"{head.format(bound)} {tail}", params).fetchall()

    def _posts(
        self, where: str, params: Sequence[object], order: str, source: str = "posts p", limit: int = -1
    ) -> list[Post]:
        head = f"SELECT {_COLUMNS} FROM {source} WHERE {where} AND {{}}"
        return [_post(row) for row in self._rows(head, [*params, limit], f"ORDER BY {order} LIMIT ?")]


def _post(row: Sequence) -> Post:
    kind, author, generation, title, body, cites, about, applies, supersedes = row
    ids = json.loads(cites)
    if type(ids) is not list:
        raise ValueError(f"stored cites are not a list: {cites!r}")
    return Post(kind, author, generation, title, body, tuple(ids), about, applies, supersedes)


def _terms(words: str) -> list[str]:
    """The words of a query, each once. Only letters, marks and digits survive, so none can be FTS syntax."""
    kept = "".join(char if unicodedata.category(char)[0] in "LMN" else " " for char in words)
    return list({term.casefold(): term for term in kept.split()}.values())[:MAX_SEARCH_WORDS]


def _filters(kind: str | None, up_to_generation: int | None, author: str | None) -> tuple[str, list[object]]:
    if kind is not None:
        check_kind(kind)
    values = {"p.kind = ?": kind, "p.generation <= ?": up_to_generation, "p.author = ?": author}
    used = {test: value for test, value in values.items() if value is not None}
    return " AND ".join(["1", *used]), list(used.values())
