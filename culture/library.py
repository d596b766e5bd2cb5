"""The library: an append-only table of signed posts, found by name and words, and the log of who read what.

It lives in a database that the arena opened and shares. Every write is a plain statement inside the caller's
transaction: the library never commits, so a generation's posts appear with its records or not at all.

Nothing is ever deleted. A post that was superseded, retracted, compiled into a book or forgotten has a row in
`removals`, and is left out of a view whose scope has `now`; any other view shows it still.

Left out: ranking by usefulness, and the log (`culture.log`). A text that supersedes a definition does not inherit its
place in line: of several definitions of a name the oldest in the view is in force.

Not guaranteed: that nobody rewrote history together with all signatures (that takes the signed log); that the
search index is in step after someone dropped the triggers (`verify` looks at the posts alone).
"""

import hashlib
import json
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sqlite_utils import Database

from culture.audit import audit
from culture.posts import Post, SignedPost, check_kind
from culture.removals import STATES, Removal, refusal, removals_by, standing
from culture.scope import EVERYTHING, Scope
from culture.searching import find
from culture.tables import COLUMNS, COLUMNS_SINCE, SCHEMA, SHELF, to_post

__all__ = ["COLUMNS_SINCE", "SHELF", "Library", "Read"]

MAX_SEARCH_WORDS = 64
"""Distinct words of a query that are looked up; the rest is ignored, which bounds the cost of a search."""
MANY_AUTHORS = 1000
"""Authors of a view from which on they are not asked one by one for their newest post."""


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
    """The posts of one run; with `up_to_generation` or a scope, a view of a part of them that cannot be added to."""

    def __init__(self, db: Database, up_to_generation: int | None = None, scope: Scope = EVERYTHING) -> None:
        self.db = db
        self.up_to_generation = up_to_generation
        self.scope = scope

    @staticmethod
    def create_tables(db: Database) -> None:
        """Create the tables, index and triggers; once per run; commits nothing."""
        for statement in (*SCHEMA, *SHELF):
            db.conn.execute(statement)

    def as_of(self, generation: int) -> "Library":
        """The library as it stood after `generation` (search still weighs words by the whole index)."""
        if self.up_to_generation is not None:
            generation = min(generation, self.up_to_generation)
        return Library(self.db, generation, self.scope)

    def within(self, scope: Scope) -> "Library":
        """What of this library or view lies in `scope` (search still weighs words by the whole index)."""
        return Library(self.db, self.up_to_generation, self.scope.narrowed(scope))

    def add(
        self, signed: Sequence[SignedPost], check: Callable[[Post], str | None], quota: int = 0
    ) -> list[tuple[str, str | None]]:
        """Admit posts in order; per post, its id and None or the reason it was refused.

        Refused are: a bad signature, a post already there ("duplicate"), an author's name used with another
        key than before, a cite of a post that is not there yet, a post that may not supersede, retract, compile or
        review what it names (`culture.removals`), what goes beyond `quota` posts of an author in one generation
        (0: no limit), and whatever `check` gives a reason against. What an admitted post takes out of the index
        leaves it with it; of two removals the first stands. Commits nothing.
        """
        self._assert_open()
        conn = self.db.conn
        seq = conn.execute("SELECT COALESCE(MAX(seq), 0) FROM posts").fetchone()[0]
        results: list[tuple[str, str | None]] = []
        for item in signed:
            post = item.post
            reason = self.refusal(item, check, quota)
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
                self._store(removals_by(post))
        return results

    def refusal(self, item: SignedPost, check: Callable[[Post], str | None], quota: int = 0) -> str | None:
        """Why `add` would refuse this post now, or None."""
        return (
            self._refusal(item) or refusal(self.db.conn, item.post) or self._over(item.post, quota) or check(item.post)
        )

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

    def _over(self, post: Post, quota: int) -> str | None:
        if quota < 0:
            raise ValueError(f"a quota must not be negative: {quota}")
        if not quota:
            return None
        held = "SELECT COUNT(*) FROM (SELECT 1 FROM posts WHERE author = ? AND generation = ? LIMIT ?)"
        there = self.db.conn.execute(held, (post.author, post.generation, quota)).fetchone()[0]
        return f"over the quota of {quota} post{'s' if quota > 1 else ''}" if there >= quota else None

    def remove(
        self, ids: Sequence[str], generation: int, state: str = "forgotten", cause: str = "", reason: str = ""
    ) -> list[str]:
        """Take posts out of the index from `generation` on; the ids of those that had not left it before.

        For what no post says: forgetting. Raises ValueError for an id that is not in the library, for a state that
        is none, and for one that takes a causing post without `cause` being in the library. Commits nothing.
        """
        self._assert_open()
        conn = self.db.conn
        if state not in STATES:
            raise ValueError(f"unknown state of a removed post {state!r} (of {', '.join(STATES)})")
        for id in [*ids, *([cause] if cause or state != "forgotten" else [])]:
            if not conn.execute("SELECT 1 FROM posts WHERE id = ?", (id,)).fetchone():
                raise ValueError(f"cannot remove: no post of the library has the id {id!r}")
        return self._store([Removal(id, generation, state, cause, reason) for id in dict.fromkeys(ids)])

    def _store(self, removals: Sequence[Removal]) -> list[str]:
        """Write those whose post is in the index still."""
        conn = self.db.conn
        new = [r for r in removals if standing(conn, r.post) is None]
        conn.executemany(
            "INSERT INTO removals (post, generation, state, cause, reason) VALUES (?, ?, ?, ?, ?)",
            [(r.post, r.generation, r.state, r.cause, r.reason) for r in new],
        )
        return [r.post for r in new]

    def standing(self, id: str) -> Removal | None:
        """How the post with this id left the index, as far as this view reaches; None while it is in it."""
        found = standing(self.db.conn, id)
        until = self.scope.now if self.scope.now is not None else self.up_to_generation
        return None if found is None or (until is not None and found.generation > until) else found

    def reviews(self, post_id: str) -> list[Post]:
        """The reviews of a post in the order they were admitted; in a view with `now`, those in force then."""
        return self._posts("p.kind = 'review' AND p.about = ?", [post_id], "p.seq")

    def log_reads(self, rows: Sequence[Read], shown: bool = True) -> None:
        """Store reads, or what was chosen and left out at random; the same one twice raises sqlite3.IntegrityError.

        Commits nothing.
        """
        columns = "id, generation, phase, agent, request, post, propensity"
        self.db.conn.executemany(
            f"INSERT INTO {'reads' if shown else 'withheld'} ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(r.id, r.generation, r.phase, r.agent, r.request, r.post, r.propensity) for r in rows],
        )

    def get(self, id: str) -> Post | None:
        """The post with this id, or None."""
        found = self._posts("p.id = ?", [id], "p.seq")
        return found[0] if found else None

    def order(self, ids: Sequence[str]) -> dict[str, int]:
        """The place of admission, from 1, of the posts with these ids, where they are in the view."""
        head = "SELECT p.id, p.seq FROM posts p WHERE p.id IN (SELECT value FROM json_each(?)) AND {}"
        return dict(self._rows(head, [json.dumps(list(ids))], ""))

    def signed(self, id: str) -> SignedPost | None:
        """The post with this id with its key and signature, or None."""
        post = self.get(id)
        if post is None:
            return None
        row = self.db.conn.execute("SELECT public_key, signature FROM posts WHERE id = ?", (id,)).fetchone()
        return SignedPost(post, row[0], row[1])

    def count(self) -> int:
        """Number of posts."""
        return sum(self._tally("''").values())

    def by_kind(self) -> dict[str, int]:
        """Number of posts of each kind that occurs, in alphabetical order."""
        return self._tally("p.kind")

    def by_author(self) -> dict[str, int]:
        """Number of posts of each author, in alphabetical order."""
        return self._tally("p.author")

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

    def by_title(self, names: Sequence[str]) -> dict[str, list[Post]]:
        """All definitions of these names, in the order of `names`, each oldest first; unknown ones are absent."""
        found: dict[str, list[Post]] = {name: [] for name in names}
        where = "p.kind = 'definition' AND p.title IN (SELECT value FROM json_each(?))"
        for post in self._posts(where, [json.dumps(list(found))], "p.seq"):
            found[post.title].append(post)
        return {name: posts for name, posts in found.items() if posts}

    def search(self, words: str, kind: str | None = None, limit: int = 10) -> list[Post]:
        """Posts holding any of `words`, best BM25 first, the earlier on a tie; any text is legal.

        In a large library common words are looked for among the newest posts only: see `culture.searching`.
        """
        if limit < 0:
            raise ValueError(f"limit of a search must not be negative: {limit}")
        terms = _terms(words)
        bound, values = self._bound()
        if kind is not None:
            check_kind(kind)
            bound, values = f"{bound} AND p.kind = ?", [*values, kind]
        if not terms or not limit or not (newest := self._newest()):
            return []
        return [to_post(row) for row in find(self.db.conn, terms, (bound, values), newest, limit)]

    def _newest(self) -> int:
        """A place of admission after which this view holds nothing, where posts came in the order of generations."""
        spans = self.scope.generations
        ends = [] if spans is None else [max((last for _, last in spans), default=-1)]
        ends += [] if self.up_to_generation is None else [self.up_to_generation]
        last = "p.generation <= ? ORDER BY p.generation DESC, p.seq DESC LIMIT 1"
        until = min(ends, default=2**63 - 1)
        authors = self.scope.authors
        if authors is None or len(authors) > MANY_AUTHORS:
            row = self.db.conn.execute(f"SELECT p.seq FROM posts p WHERE {last}", (until,)).fetchone()
        else:
            each = f"SELECT (SELECT p.seq FROM posts p WHERE p.author = j.value AND {last}) AS at FROM json_each(?) j"
            row = self.db.conn.execute(f"SELECT MAX(at) FROM ({each})", (until, json.dumps(sorted(authors)))).fetchone()
        return (row[0] if row else None) or 0

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
        cites of posts that are absent or later, removals of posts that are not there or without the post that
        caused them, and posts whose removal of another is missing. Always looks at the whole library, also from a
        view.
        """
        return audit(self.db.conn)

    def _tally(self, by: str) -> dict[str, int]:
        """Posts of the view for each value of `by`: all there ever were, less those that left.

        Counted apart, because an index alone answers the first, and those that left are few.
        """
        bound, values = self._bound(removed=True)
        tail = f"WHERE {bound} GROUP BY {by} ORDER BY {by}"
        found = dict(self.db.conn.execute(f"SELECT {by}, COUNT(*) FROM posts p {tail}", values).fetchall())
        if self.scope.now is not None:
            gone = f"SELECT {by}, COUNT(*) FROM removals r JOIN posts p ON p.id = r.post AND r.generation <= ? {tail}"
            for key, n in self.db.conn.execute(gone, [self.scope.now, *values]):
                found[key] -= n
        return {key: n for key, n in found.items() if n}

    def _assert_open(self) -> None:
        conn = self.db.conn
        assert conn.in_transaction or conn.isolation_level is not None, "no transaction is open"
        if self.up_to_generation is not None:
            raise ValueError(f"a view up to generation {self.up_to_generation} cannot be added to")
        if self.scope != EVERYTHING:
            raise ValueError(f"a view of a part of the library cannot be added to: {self.scope}")

    def _bound(self, removed: bool = False) -> tuple[str, list[object]]:
        """The SQL test that a post `p` is in this view, and its parameters; with `removed`, as if nothing had left."""
        tests, values = ["1"], list[object]()
        if self.up_to_generation is not None:
            tests, values = [*tests, "p.generation <= ?"], [*values, self.up_to_generation]
        if self.scope.authors is not None:
            tests.append("p.author IN (SELECT value FROM json_each(?))")
            values.append(json.dumps(sorted(self.scope.authors)))
        if self.scope.generations is not None:
            spans = " OR ".join("p.generation BETWEEN ? AND ?" for _ in self.scope.generations)
            tests.append(f"({spans or 0})")
            values += [bound for span in self.scope.generations for bound in span]
        if self.scope.now is not None and not removed:
            tests.append("NOT EXISTS (SELECT 1 FROM removals r WHERE r.post = p.id AND r.generation <= ?)")
            values.append(self.scope.now)
        return " AND ".join(tests), values

    def _rows(self, head: str, params: Sequence[object], tail: str, last: Sequence[object] = ()) -> list[tuple]:
        """Run `head`, whose `{}` at its end becomes the bound of this view, and `tail`; each with its parameters."""
        bound, values = self._bound()
        return self.db.conn.execute(f"{head.format(bound)} {tail}", [*params, *values, *last]).fetchall()

    def _posts(
        self, where: str, params: Sequence[object], order: str, source: str = "posts p", limit: int = -1
    ) -> list[Post]:
        head = f"SELECT {COLUMNS} FROM {source} WHERE {where} AND {{}}"
        return [to_post(row) for row in self._rows(head, params, f"ORDER BY {order} LIMIT ?", [limit])]


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
