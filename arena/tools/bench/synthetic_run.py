"""A synthetic run database of any size, filled by SQL in seconds, to measure and test the watcher.

Every table that a screen reads has as many rows as a real run of that size; their content repeats. Signatures are
empty, so none of its posts is valid."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from arena.config.schema import load_config
from arena.config.shipped import CONFIGS
from arena.phases.order import LOOP
from arena.run.store import Row, Store
from culture.posts import Post

CONFIG = CONFIGS / "tiny.yaml"
UNSIGNED = {"public_key": "", "signature": ""}
COUNT = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"


@dataclass(frozen=True)
class Scale:
    """The numbers of rows; the default has a million attempts."""

    generations: int = 250
    problems: int = 1000
    """In a generation."""
    attempts: int = 4
    """At each problem."""
    agents: int = 8
    pairs: int = 192
    """Evaluations in a generation, with and without reading together."""
    heldout: int = 512
    """Other evaluations in a generation."""

    @property
    def tries(self) -> int:
        return self.generations * self.problems * self.attempts


def fill(folder: Path, scale: Scale | None = None) -> Path:
    """Fill `folder`, which must exist and be empty, with a run whose phases are all finished except the last."""
    scale = scale or Scale()
    config = load_config(CONFIG, [f"generations={scale.generations}", "run.name=large"])
    (folder / "config.yaml").write_text(config.to_yaml(), encoding="utf-8")
    store = Store(folder / "run.db", create=True)
    db = store.db.conn
    db.execute("PRAGMA synchronous=OFF")
    g, name = f"(i / {scale.problems} + 1)", f"('a' || (i % {scale.agents}))"
    id_ = f"printf('g%04dr%04d', {g}, i % {scale.problems})"
    post = "(SELECT id FROM posts WHERE seq = i / 10 + 1)"
    problems = scale.generations * scale.problems
    with store.transaction():

        def many(rows: int, table: str, select: str) -> None:
            db.execute(f"{COUNT} INSERT INTO {table} SELECT {select} FROM n", [rows - 1])

        store.insert({"posts": posts(scale)})
        many(scale.agents, "agents", f"{name}, i, 0, CASE WHEN i THEN '[\"a0\"]' ELSE '[]' END, 'weights', '', i")
        many(
            problems, "rounds",
            f"{id_}, {g}, i % {scale.problems}, 'list_programs', {name}, 'self', '[\"a0\"]', 'a1', 'p', {post}",
        )  # fmt: skip
        many(
            problems, "problems",
            f"{id_}, {g}, 'list_programs', {name}, 'rev inc dup | 1 2 3', 'rev inc dup | 1 2 3', i % 20 > 0, 'ok', '',"
            f" i % 8 + 1, i, i % {max(scale.problems * 9 // 10, 1)}, NULL, NULL, 1, NULL",
        )  # fmt: skip
        many(problems, "outcomes", f"{id_}, {g}, (i % 5) / 4.0, i % 5 BETWEEN 1 AND 3, (i % 3) / 2.0, NULL")
        db.execute(
            "INSERT INTO attempts SELECT p.round || '/' || k.value, p.generation, p.round, p.author, 's', k.value,"
            " '[]', 'rev 3 2 1 ; inc 4 3 2 answer 4 3 2', k.value % 2, 1, 'ok', NULL, '4 3 2', NULL, 1,"
            " NULL, NULL, NULL"
            f" FROM problems p, json_each('{list(range(scale.attempts))}') k"
        )
        many(
            problems // 10, "grades",
            f"printf('g%04dr%04d/grader', i * 10 / {scale.problems} + 1, i * 10 % {scale.problems}),"
            f" i * 10 / {scale.problems} + 1, '', '', 'a1', '', '1', 1, i % 9 > 0, NULL",
        )  # fmt: skip
        many(problems // 10, "guesses", f"i, i * 10 / {scale.problems} + 1, {name}, 'w1', '', '', i % 7 = 0, ''")
        many(problems, "reads", f"i, {g}, 'solve', {name}, 'q', {post}, 1.0")
        roles = 'json_each(\'["setter", "solver", "grader"]\') r'
        db.execute(
            f"{COUNT} INSERT INTO rewards SELECT i / {scale.agents} + 1, {name}, r.value, (i * 7 % 13) / 13.0, 9"
            f" FROM n, {roles}",
            [scale.generations * scale.agents - 1],
        )
        many(
            scale.generations * scale.pairs, "evaluations",
            f"'p' || i, i / {scale.pairs} + 1, 'hidden_words', 'dev', 2, 'a' || (i / 2 % {scale.agents}),"
            f" printf('w%d rev | %d', i / 2 % 16, i / 2), i % 2, 'greedy', 1, i % 2, 0",
        )  # fmt: skip
        many(
            scale.generations * scale.heldout, "evaluations",
            f"'h' || i, i / {scale.heldout} + 1, 'list_programs', 'dev', i % 8 + 1, {name}, i % 64, NULL, 'greedy', 1,"
            f" i % 8 * 40 < i / {scale.heldout}, 0",
        )  # fmt: skip
        phases = [(0, "birth"), (0, "baseline")] + [(n, p) for n in range(1, scale.generations + 1) for p in LOOP]
        done = {"prompt_tokens": 1, "generated_tokens": 1, "trained_tokens": 0, "counted": 1}
        store.insert({"phases": [{"generation": n, "phase": p, **done} for n, p in phases]})
        store.insert({"telemetry": [{"generation": n, "phase": p, "seconds": 1.0, "finished": ""} for n, p in phases]})
    store.close()
    return folder


def posts(scale: Scale) -> list[Row]:
    """One post for every ten problems: chains of ten posts that cite each other, and some definitions."""
    rows: list[Row] = []
    for i in range(scale.generations * scale.problems // 10):
        kind, title, body = "worked_example", f"rev inc dup | 1 2 {i}", "rev 2 1 ; inc 3 2 ; dup 3 3 2 answer 3 3 2"
        if i % 1000 == 0:
            kind, title, body = "definition", f"w{i // 1000}", f"w{i // 1000} = rev inc"
        cites = (rows[-1]["id"],) if i % 10 else ()
        post = Post(kind, f"a{i % scale.agents}", i * 10 // scale.problems + 1, title, body, cites, "")
        row = {"id": post.id, "seq": i + 1, "generation": post.generation, "kind": kind, "author": post.author}
        rows.append(row | {"title": title, "body": body, "cites": json.dumps(cites), "about": ""} | UNSIGNED)
    return rows
