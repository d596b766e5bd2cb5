"""The library as a Markdown book: a title page, then one chapter per kind of post, worked examples by depth.

The book is a folder of chapters or a single file. Definitions are sorted by level and come after those they cite; posts
that are no longer in force are marked. Text by agents is put into code blocks and code spans that it cannot close, so
it never becomes a heading, a link or HTML. Memory holds one post at a time, and all definitions.

Left out: signatures (see the table `posts`; `library RUN verify` checks them). Not guaranteed: that a post caused what
is reported of its readers; only the rates with and without reading compare the same problems and agents, the other
figures are use, not effect.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from arena.export.traces import Tell
from arena.report.metrics.generation import AT_WORK
from arena.report.metrics.paired_uplift import EVALUATIONS, Offspring, Pairs, Uplift, offspring, uplifts
from arena.report.metrics.post_status import Standing, standings
from arena.run.store import Row, Store
from arena.text import code, fence
from culture.kinds import kind_of
from curricula.hidden_world import WORDS, level_of

_POSTS = (
    "FROM posts p LEFT JOIN problems q ON p.kind = 'worked_example' AND q.round ="
    " substr(p.about, instr(p.about, '/') + 1)"
)
_OF_CHAPTER = (
    "SELECT p.*, (SELECT o.solve_rate FROM outcomes o WHERE o.round = q.round) AS solve_rate,"
    f" (SELECT COUNT(*) FROM attempts a WHERE a.round = q.round) AS tries {_POSTS}"
    " WHERE p.kind = ? AND q.domain IS ? AND q.depth IS ? ORDER BY p.seq"
)


@dataclass(frozen=True)
class Chapter:
    """Posts of one kind; for worked examples, of one domain and depth."""

    kind: str
    domain: str | None
    depth: int | None
    posts: int

    @property
    def name(self) -> str:
        kind = f"{self.kind.replace('_', ' ')}s"
        return f"{kind}, {self.domain}, depth {self.depth}" if self.domain else kind

    @property
    def file(self) -> str:
        return f"{self.name.replace(', ', '-').replace(' ', '-')}.md"


@dataclass(frozen=True)
class Use:
    """The use of posts, by id: reads at work, offspring, uplift, and removals."""

    reads: dict[str, int]
    offspring: dict[str, Offspring]
    uplifts: dict[str, Uplift]
    standings: dict[str, Standing]  # of posts that are not in force

    @staticmethod
    def of(store: Store) -> Use:
        execute = store.db.conn.execute
        sql = f"SELECT post, COUNT(*) FROM reads WHERE {AT_WORK} GROUP BY post"
        reads, pairs = dict(execute(sql).fetchall()), Pairs()
        pairs.add(row[1:] for row in execute(f"{EVALUATIONS} ORDER BY rowid"))
        sql = "SELECT id, title, generation FROM posts WHERE kind = 'definition' ORDER BY seq"
        up = uplifts({id_: pairs.counts(name, g) for id_, name, g in execute(sql)})
        return Use(reads, offspring(store), up, standings(store))


def chapters(store: Store) -> list[Chapter]:
    rows = store.query(f"SELECT p.kind, q.domain, q.depth, COUNT(*) AS posts {_POSTS} GROUP BY 1, 2, 3")
    found = [Chapter(**row) for row in rows]
    return sorted(found, key=lambda c: (kind_of(c.kind).position, c.kind, c.domain or "", c.depth or 0))


def write_book(store: Store, run: str, folder: Path, tell: Tell) -> int:
    """Write the chapters into a new folder. Returns the number of posts."""
    folder.mkdir()
    contents, use, done = chapters(store), Use.of(store), 0
    total = sum(c.posts for c in contents)
    for chapter in contents:
        with open(folder / chapter.file, "w", encoding="utf-8", newline="\n") as file:
            file.write(f"# {chapter.name.capitalize()}\n\n{kind_of(chapter.kind).chapter}\n".rstrip() + "\n")
            for entry in _entries(store, chapter, use, _page):
                file.write(entry)
                done += 1
                tell(done, total)
    title = _title_page(store, run, contents, use, _page)
    (folder / "README.md").write_text(title, encoding="utf-8", newline="\n")
    return total


def book_text(store: Store, run: str) -> Iterator[str]:
    """Yield the whole book as one Markdown text, in pieces."""
    contents, use = chapters(store), Use.of(store)
    yield _title_page(store, run, contents, use, _anchor)
    for chapter in contents:
        head = f'\n<a id="{_slug(chapter)}"></a>\n\n# {chapter.name.capitalize()}\n'
        yield f"{head}\n{kind_of(chapter.kind).chapter}".rstrip() + "\n"
        yield from _entries(store, chapter, use, _anchor)


Target = Callable[[Chapter, str], str]
"""Returns the target of a link to a chapter, or to a post in it (by the prefix of its id)."""


def _page(chapter: Chapter, post: str) -> str:
    return f"{chapter.file}#p-{post}" if post else chapter.file


def _anchor(chapter: Chapter, post: str) -> str:
    return f"#p-{post}" if post else f"#{_slug(chapter)}"


def _slug(chapter: Chapter) -> str:
    return f"c-{chapter.file.removesuffix('.md')}"


def _title_page(store: Store, run: str, contents: list[Chapter], use: Use, target: Target) -> str:
    total = sum(c.posts for c in contents)
    lines = [f"# The library of {code(run)}", ""]
    if not total:
        return "\n".join([*lines, "Nothing was posted in this run.", ""])
    last = store.query("SELECT MAX(generation) AS g FROM posts")[0]["g"]
    authors: dict[str, Counter[str]] = {}
    for row in store.query("SELECT author, kind, COUNT(*) AS n FROM posts GROUP BY 1, 2 ORDER BY 1, 2"):
        authors.setdefault(row["author"], Counter())[row["kind"]] = row["n"]
    lines += [
        f"{total:,} posts by {len(authors)} agents, the last of generation {last}. Every post is signed by its author"
        " and was admitted by a check of its content."
        + (f" {len(use.standings):,} are no longer in force, and say so." if use.standings else ""),
        "",
        "## Contents",
        "",
        *(f"- [{c.name.capitalize()}]({target(c, '')}): {c.posts:,}" for c in contents),
        "",
        "## Authors",
        "",
    ]
    for author, kinds in sorted(authors.items(), key=lambda item: (-item[1].total(), item[0])):
        wrote = ", ".join(f"{n:,} {kind.replace('_', ' ')}{'s' * (n != 1)}" for kind, n in sorted(kinds.items()))
        lines.append(f"- {code(author)}: {wrote}")
    return "\n".join([*lines, ""])


def _entries(store: Store, chapter: Chapter, use: Use, target: Target) -> Iterator[str]:
    """The posts of a chapter: definitions by level and after those they cite, other posts by generation."""
    rows: Iterable[Row] = _posts(store, chapter)
    if chapter.kind == "definition":
        rows = list(rows)
        height = _heights(rows)
        rows = sorted(rows, key=lambda post: (_level(post), height[post["id"]], post["title"], post["seq"]))
    last = ""
    for post in rows:
        heading = f"Level {_level(post)}" if chapter.kind == "definition" else f"Generation {post['generation']}"
        yield (f"\n## {heading}\n" if heading != last else "") + _entry(store, post, use, target)
        last = heading


def _posts(store: Store, chapter: Chapter) -> Iterator[Row]:
    cursor = store.db.conn.execute(_OF_CHAPTER, (chapter.kind, chapter.domain, chapter.depth))
    names = [c[0] for c in cursor.description]
    return (dict(zip(names, row, strict=True)) for row in cursor)


def _heights(definitions: Iterable[Row]) -> dict[str, int]:
    """Length of the longest chain of cited definitions below each definition; a post cites only earlier ones."""
    found = dict[str, int]()
    for post in definitions:
        found[post["id"]] = 1 + max((found[c] for c in json.loads(post["cites"]) if c in found), default=-1)
    return found


def _level(post: Row) -> int:
    """Of the name that a definition defines; 0 for one that the domain of hidden words did not issue."""
    return level_of(post["title"]) if post["title"] in WORDS else 0


def _entry(store: Store, post: Row, use: Use, target: Target) -> str:
    said = [f"by {code(post['author'])}, generation {post['generation']}"]
    if post["solve_rate"] is not None and post["tries"]:
        said.append(f"solved in {round(post['solve_rate'] * post['tries'])} of {post['tries']} attempts")
    if reads := use.reads.get(post["id"]):
        said.append(f"read {reads:,} time{'s' * (reads != 1)} at work")
    if (young := use.offspring.get(post["id"])) and young.set:
        said.append(
            f"varied into {young.set} problem{'s' * (young.set != 1)}, {young.valid} valid, {young.learnable} learnable"
        )
    lines = [f"- {'; '.join(said)}"]
    if gone := use.standings.get(post["id"]):
        by = f" by {_link(store, gone.cause, target)}" if gone.cause else ""
        why = f": {code(gone.reason)}" if gone.reason else ""
        lines.append(f"- no longer in force: {code(gone.state)} in generation {gone.generation}{by}{why}")
    if post["applies"]:
        lines.append(f"- applies: {code(post['applies'])}")
    if up := use.uplifts.get(post["id"]):
        lines.append(
            f"- paired uplift, on held-out problems that use it: solved {up.with_reading:.2f} with reading,"
            f" {up.without_reading:.2f} without; difference {up.difference:+.2f}"
            f" [{up.low:+.2f}, {up.high:+.2f}], {up.n} pairs"
        )
    if links := [_link(store, id_, target) for id_ in json.loads(post["cites"])]:
        lines.append(f"- cites {', '.join(links)}")
    if post["supersedes"]:
        lines.append(f"- supersedes {_link(store, post['supersedes'], target)}")
    if not kind_of(post["kind"]).checked and post["about"]:
        lines.append(f"- about {_link(store, post['about'], target)}")
    head = f'\n<a id="p-{post["id"][:16]}"></a>\n\n### {code(post["title"])}\n\n{fence(post["body"])}\n\n'
    return head + "\n".join(lines) + "\n"


def _link(store: Store, id_: str, target: Target) -> str:
    """A link to another post of the book."""
    sql = f"SELECT p.kind, p.title, p.id, q.domain, q.depth {_POSTS} WHERE p.id = ?"
    found = store.query(sql, [id_])
    if not found:
        return f"{code(id_[:16])} (not in this library)"
    post = found[0]
    chapter = Chapter(post["kind"], post["domain"], post["depth"], 0)
    # the code span binds tighter than the link, so brackets in the title do not end it
    return f"[{code(post['title'])}]({target(chapter, post['id'][:16])})"
