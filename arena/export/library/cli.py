"""The actions of the command `library`: search, show, tree, export, verify, proof.

All actions only read the run. Left out: changing posts. Not guaranteed: equal results of two actions while the run is
in progress.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agents.atomic import replacing
from arena.config.schema import Config, nearest
from arena.export.library.find import SHORT, resolve, search
from arena.export.library.tree import Node, edges, lines
from arena.report.metrics.post_status import standings
from arena.run.store import Store
from arena.run.waiting import waiting
from arena.text import count, visible
from culture.kinds import kind_of

SEARCHED, TREE = 20, 40
"""Default of `--limit`: posts of a search, and lines of a tree in each direction."""
WIDTH = 120
"""Minimum number of columns if the output is not a terminal."""


@dataclass(frozen=True)
class Asked:
    """Arguments of one action.

    Attributes:
        folder: the run folder.
        store: the run's database.
        config: the run's config.
        words: the words after the action; empty: none.
        kind: `--kind`; like the other options, None if it was not given.
        generation: `--generation`.
        limit: `--limit`.
        to: `--to`.
    """

    folder: Path
    store: Store
    config: Config
    words: str
    kind: str | None = None
    generation: int | None = None
    limit: int | None = None
    to: Path | None = None


def library(action: str, asked: Asked, console: Console | None = None) -> int:
    """Run one action and print its result.

    Returns:
        The exit status: 0, or 2 if `verify` found a problem.

    Raises:
        ValueError: for an unknown action, an option that the action does not take, missing words or an unknown post.
    """
    if action not in ACTIONS:
        raise ValueError(f"unknown action {action!r}{nearest(action, list(ACTIONS)) or _expected()}")
    needs, options, do = ACTIONS[action]
    for name in ("kind", "generation", "limit", "to"):
        if getattr(asked, name) is not None and name not in options:
            fit = [a for a, (_, o, _) in ACTIONS.items() if name in o]
            raise ValueError(f"--{name} is for {' and '.join(fit)}, not for {action}")
    if needs and not asked.words.strip():
        raise ValueError(f"{action} needs {needs}, as in: library {asked.folder} {action} {EXAMPLES[action]}")
    if not needs and asked.words.strip() and action != "search":
        raise ValueError(f"{action} takes no arguments, got {asked.words!r}")
    if asked.limit is not None and asked.limit < 1:
        raise ValueError(f"--limit must be at least 1, got {asked.limit}")
    console = console or Console()
    if not console.is_terminal:
        console.width = max(console.width, WIDTH)
    status = do(asked, console)
    if action != "proof" and (line := waiting(asked.store).line(asked.folder)):
        console.print(Text(line, "yellow"), soft_wrap=True)
    return status


def _search(asked: Asked, console: Console) -> int:
    found = search(asked.store, asked.words, asked.kind, asked.generation, asked.limit or SEARCHED)
    if not found:
        what = f" with any of the words {asked.words!r}" if asked.words.strip() else ""
        console.print(Text(f"no post{what}{_when(asked)}"))
        return 0
    rows = []
    for f in found:
        p = f.post
        cells = (p["id"][:SHORT], p["kind"].replace("_", " "), p["title"], p["author"], f"{p['generation']}", p["body"])
        rows.append([_flat(cell) for cell in (*cells, f.standing, f"{f.uses:,}", f"{f.cited:,}")])
    console.print(_list(rows, console.width))
    limit = asked.limit or SEARCHED
    if len(found) == limit:
        console.print(Text(f"The first {limit} are shown; --limit shows more.", "dim"))
    return 0


def _list(rows: list[list[str]], width: int) -> Table:
    """Posts as a table of at most `width` columns, for a `width` of 80 or more: titles and bodies are truncated."""
    names = ("id", "kind", "title", "author", "gen", "body", "standing", "uses", "cited")
    widths = [max(len(name), *(len(row[i]) for row in rows)) for i, name in enumerate(names)]
    title, body = names.index("title"), names.index("body")
    left = width - len(names) - sum(w for i, w in enumerate(widths) if i not in (title, body))
    widths[title] = min(widths[title], max(12, left * 2 // 5))
    widths[body] = min(widths[body], max(8, left - widths[title]))
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=0)
    for name, wide in zip(names, widths, strict=True):
        column = partial(table.add_column, name, no_wrap=True, overflow="ellipsis", min_width=wide, max_width=wide)
        column(justify="right" if name in ("gen", "uses", "cited") else "left")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _show(asked: Asked, console: Console) -> int:
    from arena.export.library.show import show

    for part in show(asked.store, resolve(asked.store, asked.words)):
        console.print(part)
    return 0


def _tree(asked: Asked, console: Console) -> int:
    store, start = asked.store, resolve(asked.store, asked.words)
    up, down = edges(store)
    gone = standings(store)

    def line(node: Node) -> str:
        return f"{node.relation} {_label(store, node.id)}" + (f"  [{gone[node.id].state}]" if node.id in gone else "")

    console.print(Text(_label(store, start), "bold"))
    for graph, title, nothing in ((up, "Builds on", "nothing"), (down, "Basis of", "no posts")):
        found = lines(graph, start, line, asked.limit or TREE)
        console.print(Text(f"{title}{':' if found else f' {nothing}.'}"))
        for one in found:
            console.print(Text(one), no_wrap=True, overflow="ellipsis")
    return 0


def _export(asked: Asked, console: Console) -> int:
    from arena.export.library_book import book_text

    to = asked.to or asked.folder / "library.md"
    if to.is_dir() or not to.parent.is_dir():
        raise ValueError(f"{to} is a folder: give --to a file" if to.is_dir() else f"no folder {to.parent}")
    asked.store.db.execute("BEGIN")  # read one snapshot while the run may be in progress
    try:
        with replacing(to) as new, open(new, "w", encoding="utf-8", newline="\n") as file:
            for piece in book_text(asked.store, asked.config.run.name):
                file.write(piece)
    finally:
        asked.store.db.execute("ROLLBACK")
    posts = asked.store.query("SELECT COUNT(*) AS n FROM posts")[0]["n"]
    console.print(Text(f"wrote {to}: {count(posts, 'post')}, {to.stat().st_size:,} bytes"), soft_wrap=True)
    return 0


def _verify(asked: Asked, console: Console) -> int:
    from arena.report.sections.provenance import checkpoint_finding, checkpoints
    from arena.run.adapters import missing_states, stored_adapters
    from arena.run.ledger import state, verify

    problems = verify(asked.store)
    kept = checkpoints(asked.folder, asked.store, asked.config)
    if kept["changed"]:
        problems.append(checkpoint_finding(kept).rstrip("."))
    problems += [lost] if (lost := stored_adapters(asked.folder, asked.store, asked.config).lost()) else []
    for problem in problems:
        console.print(Text(visible(f"wrong    {problem}")), soft_wrap=True)
    if problems:
        return 2
    for text in (*state(asked.store), checkpoint_finding(kept) if kept else ""):
        if text:
            console.print(Text(f"ok       {text}"), soft_wrap=True)
    for path in missing_states(asked.folder, asked.store):
        console.print(Text(f"note     {path} is missing; to resume or extend the run needs it"), soft_wrap=True)
    return 0


def _proof(asked: Asked, console: Console) -> int:
    from arena.run.ledger import prove, prove_consistency

    word = asked.words.strip()
    generation = re.fullmatch(r"g(\d+)", word)
    known = asked.store.query("SELECT 1 FROM leaves WHERE subject = ? LIMIT 1", [word])
    if generation:
        proof = prove_consistency(asked.store, int(generation[1]))
    else:
        proof = prove(asked.store, word if known else resolve(asked.store, word))
    print(json.dumps(proof, indent=1, ensure_ascii=False), file=console.file)
    return 0


def _label(store: Store, id: str) -> str:
    (p,) = store.query("SELECT * FROM posts WHERE id = ?", [id])
    formal = kind_of(p["kind"]).shown == "body" and p["title"] in p["body"]
    words = p["body"] if formal or p["kind"] == "review" else p["title"]
    by = f"{p['author']}, generation {p['generation']}"
    return _flat(f"{p['kind'].replace('_', ' ')} {words}") + f"  ({by})  {p['id'][:SHORT]}"


def _flat(text: str) -> str:
    return " ".join(visible(text).split())


def _when(asked: Asked) -> str:
    kind = f", of kind {asked.kind}" if asked.kind else ""
    return kind + (f", up to generation {asked.generation}" if asked.generation is not None else "")


def _expected() -> str:
    return f"; expected one of {', '.join(ACTIONS)}"


Action = Callable[[Asked, Console], int]
ACTIONS: dict[str, tuple[str, tuple[str, ...], Action]] = {
    "search": ("", ("kind", "generation", "limit"), _search),
    "show": ("a name, a title or an id", (), _show),
    "tree": ("a name, a title or an id", ("limit",), _tree),
    "export": ("", ("to",), _export),
    "verify": ("", (), _verify),
    "proof": ("a post, a receipt, a training or a generation", (), _proof),
}
"""For each action: its required argument (empty: none), its options, its function."""
EXAMPLES = {"show": "w3", "tree": "w3", "proof": "w3"}
