"""Result files of an evaluation, for each set: the scores as JSON, every answer as a CSV row, and a figure.

Files are written atomically and replace those of an earlier evaluation of the same set and generation. Two evaluations
of one run with the same options write the same bytes on one machine with the same package versions.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

from agents.atomic import write_atomically
from arena.evals.contamination import KINDS
from arena.evals.participants import AGENTS, BASE, MODEL
from arena.evals.run_eval import Result
from arena.evals.scores import ALL, CLEAN, GREEDY, READING
from arena.report.figures.figure import COLOURS, GREY, Figure, Panel, Series

VERSION = 1
ASKED = ("set", "line", "id", "level", "player", "sample")
ANSWERED = ("correct", "reason", "answer", "text", "finish", "met", "question", "reference", "read")
NO_LEVELS = "all items"


def write(result: Result, folder: Path) -> list[Path]:
    """Write all files of a set into `folder`. Returns their paths, the JSON file first. Raises OSError."""
    from arena.report.figures.matplotlib_backend import save

    folder.mkdir(parents=True, exist_ok=True)
    stem = stem_of(result)
    paths = [folder / f"{stem}.json", folder / f"{stem}.csv"]
    texts = json.dumps(as_data(result), indent=1, ensure_ascii=False) + "\n", as_csv(result)
    for path, text in zip(paths, texts, strict=True):
        write_atomically(path, text.encode(errors="replace"))  # a server may send half a surrogate pair
    return [*paths, *save(figure(result), folder)]


def stem_of(result: Result) -> str:
    return f"{result.set.name}-g{result.selection.generation}"


def as_data(result: Result) -> dict[str, Any]:
    """The result without the answers, as JSON data."""
    s, options = result.set, result.options
    replies = [j.reply for j in result.judged]
    return {
        "version": VERSION,
        "run": result.run,
        "seed": result.config.seed,
        "generation": result.selection.generation,
        "engine": result.config.engine.kind,
        "set": {"name": s.name, "file": s.path.name, "sha256": s.digest, "items": len(s.items), "of": s.total},
        "levels": s.levels(),
        "agents": list(dict.fromkeys(p.name for p in result.selection.players if p.group == AGENTS and not p.reads)),
        "options": {
            "k": options.k,
            "temperature": options.temperature,
            "top_p": options.top_p,
            "max_tokens": options.max_tokens,
        },
        "met": {
            "items": len(result.met),
            **{kind: sum(kind in kinds for kinds in result.met.values()) for kind in KINDS},
        },
        "repeated": len(s.repeated()),
        "cut": sum(r.finish == "length" for r in replies),
        "replies": len(replies),
        "checker_failures": dict(sorted(checker_failures(result).items())),
        "tokens": {
            "prompt": sum(r.prompt_tokens for r in replies),
            "generated": sum(r.generated_tokens for r in replies),
        },
        "rows": result.scores.rows,
        "differences": result.scores.differences,
    }


def checker_failures(result: Result) -> Counter[str]:
    """Number of answers on which a checker failed, by reason."""
    reasons = (j.reason.split(":")[1].strip() for j in result.judged if j.reason.startswith("checker: "))
    return Counter(r for r in reasons if r != "False")


def as_csv(result: Result) -> str:
    """One CSV row per answer."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow([*ASKED, *ANSWERED])
    for j in result.judged:
        q, r = j.reply.question, j.reply
        item = q.item
        rows.writerow(
            [
                result.set.name,
                item.line,
                item.id,
                item.level,
                q.player.name,
                GREEDY if r.sample is None else r.sample,
                int(j.correct),
                j.reason,
                j.answer,
                r.text,
                r.finish,
                " ".join(kind for kind in KINDS if kind in result.met.get(item.line, ())),
                item.text,
                item.problem.answer if item.problem else item.answer or "",
                "\n".join(q.notes),
            ]
        )
    return out.getvalue()


def figure(result: Result) -> Figure:
    """Figure with pass@1 by level and pass@k over k."""
    scores, levels = result.scores, [v for v in result.scores.levels if v not in (ALL, CLEAN)] or [ALL]
    names = tuple(NO_LEVELS if v == ALL else v.removeprefix("level ") for v in levels)
    passes = [m for m in scores.measures if m != GREEDY]
    by_level, by_k, rows = list[Series](), list[Series](), list[dict[str, Any]]()
    for at, arm in enumerate(scores.arms):
        shade, dash = colour(arm, at), arm.endswith(READING)
        y, low, high = _ends([scores.row(arm, level)[GREEDY] for level in levels])
        by_level.append(Series(arm, names, y, low, high, "bars", shade))
        y, low, high = _ends([scores.row(arm)[m] for m in passes])
        by_k.append(Series(arm, tuple(map(int, passes)), y, low, high, colour=shade, dash=dash))
        rows += [
            {"who": arm, "level": name, "items": scores.row(arm, level)["items"], "measure": m, **(value or {})}
            for level, name in zip(levels, names, strict=True)
            for m in scores.measures
            for value in [scores.row(arm, level)[m]]
        ]
    panels = [Panel(tuple(by_level), "level", "pass@1, greedy", (0.0, 1.0))]
    if passes:
        panels.append(Panel(tuple(by_k), "k", f"pass@k at {result.options.temperature:g}", (0.0, 1.0), whole_x=True))
    g = result.selection.generation
    title = f"{result.set.name}, {len(result.set.items)} items, by {result.run} as of generation {g}"
    caption = "Intervals are 95 % over items; pass@k is the unbiased estimate (Chen et al. 2021)."
    return Figure(stem_of(result), title, caption, tuple(panels), tuple(rows))


def colour(arm: str, at: int) -> str:
    """Colour of an arm: blue for fine-tuned agents, grey for the base model, other colours with reading."""
    own = {AGENTS: 0, MODEL: 0, AGENTS + READING: 2, MODEL + READING: 2, BASE + READING: 4}
    return GREY if arm == BASE else COLOURS[own.get(arm, at % len(COLOURS))]


Ends = tuple[float | None, ...]


def _ends(found: list[Any]) -> tuple[Ends, Ends, Ends]:
    """Means, lower and upper ends."""

    def of(key: str) -> Ends:
        return tuple(None if f is None else f[key] for f in found)

    return of("mean"), of("low"), of("high")
