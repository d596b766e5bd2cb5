"""The library: an append-only table of signed posts, lookup by name and by words, and the log of reads.

It is stored in a database that the arena opened and shares. Every write is a plain statement inside the caller's
transaction: the library never commits, so a generation's posts appear with its records or not at all.

Posts are never deleted. A post that was superseded, retracted, compiled into a book, rejected or forgotten has a row in
`removals`. A view whose scope has `now` excludes it; every other view includes it.

Left out: ranking by usefulness, and the log (`culture.merkle`). A text that supersedes a definition does not inherit
its place in line: of several definitions of a name the oldest in the view is in force.

Not guaranteed: detection of a rewritten history whose signatures were all replaced (the signed log detects it); a
correct search index after someone dropped the triggers (`verify` checks the posts only).
"""

import hashlib
import json
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sqlite_utils import Database

from culture.audit import audit
from culture.posts import Post, SignedPost, check_kind
from culture.removals import BY_POST, STATES, Removal, refusal, removals_by, standing
from culture.schema import COLUMNS, SCHEMA, to_post
from culture.scope import EVERYTHING, Scope
from culture.search import find

MAX_SEARCH_WORDS = 64
"""Maximum distinct words of a query; the rest is ignored, which bounds the cost of a search."""
MANY_AUTHORS = 1000
"""Maximum authors of a view whose newest posts are looked up one by one."""
FEW = 2000
"""Maximum posts that are read and sorted when only a few of them are wanted."""


@dataclass(frozen=True)
class Read:
    """One post that was shown to an agent in one request, or chosen and withheld, and the probability of that."""

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
        """SHA-256 of generation, phase, agent, request and post; a post counts once per request."""
        key = [self.generation, self.phase, self.agent, self.request, self.post]
        return hashlib.sha256(json.dumps(key, separators=(",", ":")).encode()).hexdigest()


class Library:
    """The posts of one run. With `up_to_generation` or a scope, a read-only view of a part of them."""

    def __init__(self, db: Database, up_to_generation: int | None = None, scope: Scope = EVERYTHING) -> None:
        self.db = db
        self.up_to_generation = up_to_generation
        self.scope = scope

    @staticmethod
    def create_tables(db: Database) -> None:
        """Create the tables, index and triggers. Call once per run. Does not commit."""
        for statement in SCHEMA:
            db.conn.execute(statement)

    def as_of(self, generation: int) -> "Library":
        """A view of the library as of the end of `generation` (search still weighs words by the whole index)."""
        if self.up_to_generation is not None:
            generation = min(generation, self.up_to_generation)
        return Library(self.db, generation, self.scope)

    def within(self, scope: Scope) -> "Library":
        """A view of the posts within `scope` (search still weighs words by the whole index)."""
        return Library(self.db, self.up_to_generation, self.scope.narrowed(scope))

    def add(
        self, signed: Sequence[SignedPost], check: Callable[[Post], str | None], quota: int = 0
    ) -> list[tuple[str, str | None]]:
        """Admit posts in order. Does not commit.

        A post is refused for an invalid signature, as a duplicate, if its author's name was used with another key, if
        it cites a post that is not in the library, or if it may not supersede, retract, compile or review the posts it
        names (`culture.removals`). The removals that an admitted post causes are stored with it; of two removals of a
        post, the first counts.

        Args:
            signed: the posts.
            check: returns the reason to refuse a post, or None.
            quota: maximum posts per author and generation; 0: no limit.

        Returns:
            For each post, its id, and None or the reason for refusing it.
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
        """The reason for which `add` would refuse this post now, or None."""
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
        """Remove posts from the index from `generation` on, for removals that no post causes (forgetting, rejection).
        Does not commit.

        Returns:
            The ids of the posts that had not been removed before.

        Raises:
            ValueError: for an unknown id or state, for a state that needs a causing post that is not in the library,
                and for a rejection without a cause.
        """
        self._assert_open()
        conn = self.db.conn
        if state not in STATES:
            raise ValueError(f"unknown state of a removed post {state!r} (of {', '.join(STATES)})")
        if state == "rejected" and not cause:
            raise ValueError("cannot remove: a rejection names what recorded the decision as its cause")
        by_post = state in BY_POST or (cause and state == "forgotten")
        for id in [*ids, *([cause] if by_post else [])]:
            if not conn.execute("SELECT 1 FROM posts WHERE id = ?", (id,)).fetchone():
                raise ValueError(f"cannot remove: no post of the library has the id {id!r}")
        return self._store([Removal(id, generation, state, cause, reason) for id in dict.fromkeys(ids)])

    def _store(self, removals: Sequence[Removal]) -> list[str]:
        """Store the removals of posts that are still in the index. Returns the ids of those posts."""
        conn = self.db.conn
        new = [r for r in removals if standing(conn, r.post) is None]
        conn.executemany(
            "INSERT INTO removals (post, generation, state, cause, reason) VALUES (?, ?, ?, ?, ?)",
            [(r.post, r.generation, r.state, r.cause, r.reason) for r in new],
        )
        return [r.post for r in new]

    def standing(self, id: str) -> Removal | None:
        """The removal of the post with this id as of this view, or None while it is in the index."""
        found = standing(self.db.conn, id)
        until = self.scope.now if self.scope.now is not None else self.up_to_generation
        return None if found is None or (until is not None and found.generation > until) else found

    def reviews(self, post_id: str) -> list[Post]:
        """The reviews of a post in order of admission; in a view with `now`, only those in force."""
        return self._posts("p.kind = 'review' AND p.about = ?", [post_id], "p.seq")

    def log_reads(self, rows: Sequence[Read]) -> None:
        """Store reads. Raises sqlite3.IntegrityError if a read is stored twice. Does not commit."""
        self._log("reads", rows)

    def log_withheld(self, rows: Sequence[Read]) -> None:
        """Store posts that were chosen and withheld, with the probability of that; otherwise like `log_reads`."""
        self._log("withheld", rows)

    def _log(self, table: str, rows: Sequence[Read]) -> None:
        columns = "id, generation, phase, agent, request, post, propensity"
        self.db.conn.executemany(
            f"INSERT INTO {table} ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(r.id, r.generation, r.phase, r.agent, r.request, r.post, r.propensity) for r in rows],
        )

    def get(self, id: str) -> Post | None:
        """The post with this id, or None."""
        found = self._posts("p.id = ?", [id], "p.seq")
        return found[0] if found else None

    def order(self, ids: Sequence[str]) -> dict[str, int]:
        """The position in the ledger, from 1, of the posts with these ids that are in the view."""
        head = "SELECT p.id, p.seq FROM posts p WHERE p.id IN (SELECT value FROM json_each(?)) AND {}"
        return dict(self._rows(head, [json.dumps(list(ids))], ""))

    def signed(self, id: str) -> SignedPost | None:
        """The post with this id, its key and its signature, or None."""
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
        """Id by name of every definition in force (the first of its name), the oldest first."""
        head = "SELECT p.title, p.id, MIN(p.seq) FROM posts p WHERE p.kind = 'definition' AND {}"
        return {row[0]: row[1] for row in self._rows(head, [], "GROUP BY p.title ORDER BY MIN(p.seq)")}

    def definitions(self, names: Sequence[str]) -> dict[str, Post]:
        """The definitions in force of these names, in the order of `names`; unknown names are left out."""
        where = "p.kind = 'definition' AND p.title IN (SELECT value FROM json_each(?))"
        first: dict[str, Post] = {}
        for post in self._posts(where, [json.dumps(list(names))], "p.seq"):
            first.setdefault(post.title, post)
        return {name: first[name] for name in dict.fromkeys(names) if name in first}

    def by_title(self, names: Sequence[str]) -> dict[str, list[Post]]:
        """All definitions of these names, in the order of `names`, the oldest first; unknown names are left out."""
        found: dict[str, list[Post]] = {name: [] for name in names}
        where = "p.kind = 'definition' AND p.title IN (SELECT value FROM json_each(?))"
        for post in self._posts(where, [json.dumps(list(found))], "p.seq"):
            found[post.title].append(post)
        return {name: posts for name, posts in found.items() if posts}

    def search(self, words: str, kind: str | None = None, limit: int = 10) -> list[Post]:
        """At most `limit` posts that contain any of `words`, by BM25 and then by age. Any text is allowed.

        In a large library, common words are searched among the newest posts only: see `culture.search`.
        """
        return self._search(_terms(words), kind, limit)

    def lookup(self, words: str, kind: str | None = None, limit: int = 10) -> list[Post]:
        """`search` for people. First come definitions whose name or meaning is exactly `words`, then posts that contain
        them next to each other, then those that contain any.

        BM25 alone ranks a post higher that repeats the words, such as a problem about them, than their definition.
        """
        said, near = " ".join(words.split()), " ".join(_words(words))
        found = dict.fromkeys(self._defining(said, kind, limit))
        for terms in ([near] if len(near.split()) > 1 else [], _terms(words)):
            if len(found) < limit:
                found |= dict.fromkeys(self._search(terms, kind, limit))
        return list(found)[:limit]

    def _search(self, terms: Sequence[str], kind: str | None, limit: int) -> list[Post]:
        if limit < 0:
            raise ValueError(f"limit of a search must not be negative: {limit}")
        bound, values = self._within(kind)
        if not terms or not limit or not (newest := self._newest()):
            return []
        return [to_post(row) for row in find(self.db.conn, terms, (bound, values), newest, limit)]

    def _defining(self, said: str, kind: str | None, limit: int) -> list[Post]:
        """Definitions with exactly this name or meaning, in order of admission."""
        bound, values = self._within(kind)
        query = (
            f"SELECT {COLUMNS} FROM posts p WHERE p.kind = 'definition' AND {bound}"
            " AND ? COLLATE NOCASE IN (p.title, p.body, (CASE WHEN p.body LIKE p.title || ' = %'"
            " THEN substr(p.body, length(p.title) + 4) END)) ORDER BY p.seq LIMIT ?"
        )
        return [to_post(row) for row in self.db.conn.execute(query, [*values, said, limit])]

    def _within(self, kind: str | None) -> tuple[str, list[object]]:
        """The bound of this view, for one kind of posts if it is given. Raises ValueError for an unknown kind."""
        bound, values = self._bound()
        if kind is None:
            return bound, [*values]
        check_kind(kind)
        return f"{bound} AND p.kind = ?", [*values, kind]

    def _newest(self) -> int:
        """A position in the ledger after which this view has no posts, if posts were admitted in generation order."""
        spans = self.scope.generations
        ends = [] if spans is None else [max((last for _, last in spans), default=-1)]
        ends += [] if self.up_to_generation is None else [self.up_to_generation]
        until = min(ends, default=2**63 - 1)
        authors, conn = self.scope.authors, self.db.conn
        last = "p.generation <= ? ORDER BY p.generation DESC, p.seq DESC LIMIT 1"
        if authors is not None and len(authors) <= MANY_AUTHORS:
            each = f"SELECT (SELECT p.seq FROM posts p WHERE p.author = j.value AND {last}) AS at FROM json_each(?) j"
            row = conn.execute(f"SELECT MAX(at) FROM ({each})", (until, json.dumps(sorted(authors)))).fetchone()
        else:
            top = conn.execute("SELECT MAX(generation) FROM posts").fetchone()[0]
            if top is None or top <= until:
                row = conn.execute("SELECT MAX(seq) FROM posts").fetchone()
            else:
                row = conn.execute(f"SELECT p.seq FROM posts p WHERE {last}", (until,)).fetchone()
        return (row[0] if row else None) or 0

    def iterate(
        self, kind: str | None = None, up_to_generation: int | None = None, author: str | None = None
    ) -> Iterator[Post]:
        """Posts in order of admission, optionally of one kind or author, up to one generation."""
        view = self if up_to_generation is None else self.as_of(up_to_generation)
        return iter(view._by(author)._run(kind, -1))

    def recent(self, limit: int = 10, kind: str | None = None, author: str | None = None) -> list[Post]:
        """The last `limit` admitted posts, in order of admission."""
        if limit < 0:
            raise ValueError(f"limit must not be negative: {limit}")
        return self._by(author)._run(kind, limit)[::-1]

    def verify(self) -> list[str]:
        """Check every stored post. Returns one readable line per problem; an empty list if there are none.

        Checks for gaps in the order, ids that do not match the text, bad signatures, authors with two keys,
        cites of posts that are absent or later, removals of absent posts, removals without the post that caused them,
        and missing removals. Always checks the whole library, also when called on a view.
        """
        return audit(self.db.conn)

    def _tally(self, by: str) -> dict[str, int]:
        """Number of posts of the view for each value of `by`: all admitted posts minus the removed ones.

        Two queries, because an index alone answers the first, and removed posts are few.
        """
        bound, values = self._bound(removed=True, plan=True)
        group = by if bound == "1" else f"+{by}"  # without +, SQLite would scan a whole index in the order of `by`
        tail = f"WHERE {bound} GROUP BY {group} ORDER BY {group}"
        found = dict(self.db.conn.execute(f"SELECT {by}, COUNT(*) FROM posts p {tail}", values).fetchall())
        if self.scope.now is not None:
            gone = f"removals r CROSS JOIN posts p ON p.id = r.post AND r.generation <= ? {tail}"
            for key, n in self.db.conn.execute(f"SELECT {by}, COUNT(*) FROM {gone}", [self.scope.now, *values]):
                found[key] -= n
        return {key: n for key, n in found.items() if n}

    def _by(self, author: str | None) -> "Library":
        return self if author is None else self.within(Scope(frozenset([author])))

    def _run(self, kind: str | None, limit: int) -> list[Post]:
        """Posts of one kind, or of all. Without a limit (-1), oldest first; otherwise the `limit` newest, newest first.

        The query selects the index, since SQLite does not know how many posts a kind or a scope has: the index of the
        scope or of the kind if it has few posts, otherwise the order of admission.
        """
        if kind is not None:
            check_kind(kind)
        within, values = self._bound(removed=True, plan=True)
        bound, params = self._bound()
        order = "p.seq" if limit < 0 else "p.seq DESC"
        most = self._newest() // 20 if limit < 0 else FEW
        if within != "1" and self._few(within, values, FEW):
            bound, order, kinds = self._bound(plan=True)[0], f"+{order}", "+p.kind = ?"
        elif kind is not None and self._few("p.kind = ?", [kind], most):
            order, kinds = f"+{order}", "p.kind = ?"
        elif limit < 0:
            bound, kinds = self._bound(plan=True)[0], "+p.kind = ?"
        else:
            kinds = "+p.kind = ?"
        if kind is not None:
            bound, params = f"{bound} AND {kinds}", [*params, kind]
        query = f"SELECT {COLUMNS} FROM posts p WHERE {bound} ORDER BY {order} LIMIT ?"
        return [to_post(row) for row in self.db.conn.execute(query, [*params, limit])]

    def _few(self, where: str, values: Sequence[object], most: int) -> bool:
        count = f"SELECT COUNT(*) FROM (SELECT 1 FROM posts p WHERE {where} LIMIT ?)"
        return bool(self.db.conn.execute(count, [*values, most + 1]).fetchone()[0] <= most)

    def _assert_open(self) -> None:
        conn = self.db.conn
        assert conn.in_transaction or conn.isolation_level is not None, "no transaction is open"
        if self.up_to_generation is not None:
            raise ValueError(f"a view up to generation {self.up_to_generation} cannot be added to")
        if self.scope != EVERYTHING:
            raise ValueError(f"a view of a part of the library cannot be added to: {self.scope}")

    def _bound(self, removed: bool = False, plan: bool = False) -> tuple[str, list[object]]:
        """The SQL test that a post `p` is in this view, and its parameters; with `removed`, including removed posts.

        By default SQLite must not use the test to choose an index (unary +). With `plan` it may: the authors' index if
        the scope has authors, otherwise that of the generations.
        """
        tests, values = ["1"], list[object]()
        author = "p.author" if plan else "+p.author"
        generation = "p.generation" if plan and self.scope.authors is None else "+p.generation"
        if self.up_to_generation is not None:
            tests, values = [*tests, f"{generation} <= ?"], [*values, self.up_to_generation]
        if self.scope.authors is not None:
            tests.append(f"{author} IN (SELECT value FROM json_each(?))")
            values.append(json.dumps(sorted(self.scope.authors)))
        if self.scope.generations is not None:
            spans = " OR ".join(f"{generation} BETWEEN ? AND ?" for _ in self.scope.generations)
            tests.append(f"({spans or 0})")
            values += [bound for span in self.scope.generations for bound in span]
        if self.scope.now is not None and not removed:
            tests.append("NOT EXISTS (SELECT 1 FROM removals r WHERE r.post = p.id AND r.generation <= ?)")
            values.append(self.scope.now)
        return " AND ".join(tests), values

    def _rows(self, head: str, params: Sequence[object], tail: str) -> list[tuple]:
        """Execute `head` and `tail`, with the test of this view in place of the final `{}` of `head`."""
        bound, values = self._bound()
        return self.db.conn.execute(f"{head.format(bound)} {tail}", [*params, *values]).fetchall()

    def _posts(self, where: str, params: Sequence[object], order: str) -> list[Post]:
        head = f"SELECT {COLUMNS} FROM posts p WHERE {where} AND {{}}"
        return [to_post(row) for row in self._rows(head, params, f"ORDER BY {order}")]


def _terms(words: str) -> list[str]:
    """The distinct words of a query."""
    return list({term.casefold(): term for term in _words(words)}.values())[:MAX_SEARCH_WORDS]


def _words(text: str) -> list[str]:
    """The words of a text. Only letters, marks and digits are kept, so no word can be FTS syntax."""
    return "".join(char if unicodedata.category(char)[0] in "LMN" else " " for char in text).split()
