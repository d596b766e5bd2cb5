"""The cost of a library of a million posts: appending a post, and queries.

Posts are appended as the arena does it: `Library.add` in batches, each in a transaction of the run's store, with every
signature checked. Signature checks are also timed separately on every fiftieth batch, to give the rate without them.
The domain's check of a post (a definition executed, an example verified) and signing are not counted.

Then a hundred different queries of each kind are run on the full library, in processor time.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agents.identity import agent_name
from arena.run.store import Store
from culture.library import Library
from culture.posts import Post, SignedPost, sign_post
from culture.retrieval import retrieve
from culture.scope import Scope

RATE = 5000.0
"""Target: posts a processor second."""
MOST_MS = 20.0
"""Target: milliseconds of the slowest search."""
PRIMITIVES = ("rev", "inc", "dec", "dbl", "sort", "tail", "init", "dup", "swap", "neg", "sum", "map")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Size:
    """`posts` posts by `authors` agents, one batch a generation; definitions of `names` names."""

    posts: int = 1_000_000
    batch: int = 1000
    authors: int = 64
    names: int = 5000
    queries: int = 100
    sampled: int = 50
    """Of this many batches, the signatures of one are checked once more, to time the checks."""


QUICK = Size(20_000, names=500, sampled=10)


class Writers:
    """Authors who sign the same posts every time: examples, 2 % definitions, 1 % lessons, some edits."""

    def __init__(self, size: Size) -> None:
        self.size = size
        self.rng = random.Random("bench library")
        self.names = [agent_name(0, i) for i in range(size.authors)]
        self.keys = [Ed25519PrivateKey.from_private_bytes((i + 1).to_bytes(32, "big")) for i in range(size.authors)]
        self.public = [key.public_key().public_bytes_raw().hex() for key in self.keys]
        self.definitions: list[Post] = []

    def batch(self, generation: int) -> list[SignedPost]:
        return [self.one(generation, i) for i in range(self.size.batch)]

    def one(self, generation: int, i: int) -> SignedPost:
        rng = self.rng
        at, draw = rng.randrange(self.size.authors), rng.random()
        program = " ".join(rng.choices(PRIMITIVES, k=rng.randint(2, 7)))
        supersedes = ""
        if draw < 0.02:
            title, kind, body = f"w{rng.randrange(self.size.names)}", "definition", f"{program} {generation} {i}"
            if draw < 0.002 and self.definitions:  # an author supersedes its definition
                old = self.definitions.pop(rng.randrange(len(self.definitions)))
                at, title, supersedes = self.names.index(old.author), old.title, old.id
        elif draw < 0.03:
            title, kind, body = f"about {program}", "lesson", f"{program} turns {i} into {generation}"
        else:
            numbers = " ".join(str(rng.randrange(10)) for _ in range(4))
            title, kind = f"{program} | {numbers}", "worked_example"
            body = " ; ".join(f"{word} {rng.randrange(100)} {numbers}" for word in program.split())
        about = f"list_programs/{title}" if kind == "worked_example" else ""
        post = Post(kind, self.names[at], generation, title, body, (), about, "", supersedes)
        if kind == "definition":
            self.definitions.append(post)
        return sign_post(post, self.public[at], self.keys[at].sign)


def measure(quick: bool, say: Say, size: Size | None = None) -> dict[str, Any]:
    """Measure and print both parts, and return them as `--json` stores them."""
    size = size or (QUICK if quick else Size())
    with tempfile.TemporaryDirectory(prefix="bench-library-") as folder:
        say(f"library: {size.posts:,} posts of {size.authors} authors, {size.batch:,} a transaction")
        with closing(Store(Path(folder) / "run.db", create=True)) as store:
            writers = Writers(size)
            appended = append(store, writers, say)
            store.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            mebibytes = (Path(folder) / "run.db").stat().st_size / 2**20
            say(f"  the file has {mebibytes:,.0f} MiB, {1024 * mebibytes / size.posts:.2f} KiB a post")
            questions = ask(Library(store.db), writers, say)
    slowest = max(q["max_ms"] for q in questions if q["aimed"])
    met = {"append": appended["rate"] >= RATE, "search": slowest < MOST_MS}
    say(f"  target: {RATE:,.0f} posts a processor second, signatures checked: {appended['rate']:,.0f},"
        f" {'reached' if met['append'] else 'MISSED'}; unchecked {appended['rate_unchecked']:,.0f}")  # fmt: skip
    say(f"  target: searches under {MOST_MS:.0f} ms, the slowest of all: {slowest:.1f} ms,"
        f" {'reached' if met['search'] else 'MISSED'}")  # fmt: skip
    return {
        "posts": size.posts, "authors": size.authors, "batch": size.batch, "mebibytes": mebibytes,
        "append": appended, "questions": questions, "aimed": {"rate": RATE, "most_ms": MOST_MS}, "met": met,
    }  # fmt: skip


def append(store: Store, writers: Writers, say: Say) -> dict[str, Any]:
    """Posts a processor second and a wall second, with signatures checked, and the cost of the checks."""
    size, library = writers.size, Library(store.db)
    batches = max(size.posts // size.batch, 1)
    turns: list[tuple[float, float]] = []
    checks: list[float] = []
    tenth = max(batches // 10, 1)
    for generation in range(batches):
        items = writers.batch(generation)
        if generation % size.sampled == 0:
            began = time.process_time()
            assert all(item.verify() for item in items)
            checks.append((time.process_time() - began) / len(items))
        began, cpu = time.perf_counter(), time.process_time()
        with store.transaction():
            results = library.add(items, lambda post: None)
        turns.append((time.process_time() - cpu, time.perf_counter() - began))
        refused = [reason for _, reason in results if reason is not None]
        assert not refused, refused[0]
        if (generation + 1) % tenth == 0:
            rate = size.batch * tenth / sum(cpu for cpu, _ in turns[-tenth:])
            say(f"  {(generation + 1) * size.batch:>9,} posts: {rate:,.0f} a processor second")
    cpu, wall = sum(c for c, _ in turns), sum(w for _, w in turns)
    posts, check = batches * size.batch, statistics.median(checks)
    last = turns[-tenth:]
    return {
        "rate": posts / cpu,
        "rate_wall": posts / wall,
        "rate_last_tenth": tenth * size.batch / sum(c for c, _ in last),
        "rate_unchecked": posts / (cpu - posts * check),
        "check_us": 1e6 * check,
        "post_us": 1e6 * cpu / posts,
        "slowest_batch_s": max(w for _, w in turns),
    }


def ask(library: Library, writers: Writers, say: Say) -> list[dict[str, Any]]:
    """Milliseconds of processor time of each kind of query: the median and the greatest of `queries`."""
    size, rng = writers.size, random.Random("bench library, questions")
    last = max(size.posts // size.batch - 1, 0)
    with_all, now = library, library.within(Scope(now=last))
    own = library.within(Scope(frozenset(writers.names[:8]), ((0, last // 2), (last - last // 10, last)), last))
    early, recent = library.as_of(last // 4), library.within(Scope(generations=((last, last),), now=last))

    def names() -> list[str]:
        return [f"w{rng.randrange(size.names)}" for _ in range(3)]

    def program() -> str:
        return " ".join(rng.choices(PRIMITIVES, k=6)) + f" | {rng.randrange(10)} {rng.randrange(10)}"

    def rare() -> str:
        return f"w{rng.randrange(size.names)} {rng.choice(PRIMITIVES)} {rng.randrange(100, max(last, 101))}"

    def read(view: Library) -> list[Any]:
        return retrieve(
            view, names=names(), words=program(), budget=60, count_tokens=lambda text: len(text.split()),
            rng=random.Random(f"read {rng.random()}"), worth={}, explore=0.1, withhold=0.05,
        )  # fmt: skip

    sorts: list[tuple[str, bool, Callable[[], object]]] = [
        ("definitions of 3 names", True, lambda: with_all.definitions(names())),
        ("definitions of 3 names, in scope", True, lambda: own.definitions(names())),
        ("all definitions of 3 names, in scope", True, lambda: own.by_title(names())),
        ("words, one rare", True, lambda: with_all.search(rare())),
        ("words, one rare, in scope", True, lambda: own.search(rare())),
        ("common words", True, lambda: with_all.search(program())),
        ("common words, what is in force", True, lambda: now.search(program())),
        ("common words, in scope", True, lambda: own.search(program())),
        ("common words, lessons", True, lambda: with_all.search(program(), "lesson")),
        ("common words, an earlier generation", True, lambda: early.search(program())),
        ("40 words", True, lambda: with_all.search(" ".join([*PRIMITIVES, *map(str, range(28))]))),
        ("what an agent reads, in scope", False, lambda: read(own)),
        ("newest 10", False, lambda: now.recent(10)),
        ("newest 10 examples, in scope", False, lambda: own.recent(10, "worked_example")),
        ("newest 10 lessons", False, lambda: now.recent(10, "lesson")),
        ("examples of one generation", False, lambda: list(recent.iterate("worked_example"))),
        ("posts by kind, in scope", False, lambda: own.by_kind()),
        ("names and their definitions in force", False, lambda: now.definition_ids()),
    ]
    say(f"  {'question':<40} {'median':>9} {'worst':>9} {'posts':>7}")
    return list(_asked(sorts, size.queries, say))


def _asked(sorts: Sequence[tuple[str, bool, Callable[[], object]]], queries: int, say: Say) -> Iterator[dict[str, Any]]:
    for name, aimed, question in sorts:
        question()
        times, found = [], []
        for _ in range(queries if aimed else max(queries // 10, 1)):
            began = time.process_time()
            answer = question()
            times.append(1000 * (time.process_time() - began))
            found.append(len(answer) if isinstance(answer, (list, dict)) else 1)
        median, worst = statistics.median(times), max(times)
        say(f"  {name:<40} {median:6.2f} ms {worst:6.2f} ms {statistics.mean(found):7.1f}")
        yield {"question": name, "aimed": aimed, "median_ms": median, "max_ms": worst, "found": statistics.mean(found)}
