"""Reasons why proposals were rejected, by generation, and examples.

Left out: reasons why posts were refused. Not guaranteed: examples of generations whose texts were not kept.
"""

from __future__ import annotations

from collections.abc import Mapping

from arena.report.metrics.generation import Database
from arena.text import listed, one_line

EXAMPLES = 3
"""Proposals that are shown of a generation without a valid one."""
WIDTH = 72
"""Characters of such a proposal."""


def rejections(db: Database, generation: int | None = None) -> dict[int, dict[str, int]]:
    """By generation, the number of rejected proposals by reason, the most frequent first."""
    where, values = ("", []) if generation is None else (" AND generation = ?", [generation])
    sql = (
        f"SELECT generation, reason, COUNT(*) AS n FROM problems WHERE NOT valid{where}"
        " GROUP BY generation, reason ORDER BY generation, n DESC, reason"
    )
    found: dict[int, dict[str, int]] = {}
    for r in db.query(sql, values):
        found.setdefault(r["generation"], {})[r["reason"]] = r["n"]
    return found


def reasons(counts: Mapping[str, int], most: int = 2) -> str:
    """The most frequent reasons, such as `malformed 8, syntax 5 and 3 for other reasons`; empty without any."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0] or ""))
    shown = ", ".join(f"{reason} {n}" for reason, n in ranked[:most])
    rest = sum(n for _, n in ranked[most:])
    return listed([shown, f"{rest} for other reasons"]) if rest else shown


def example(proposal: str | None, reason: str, detail: str | None, width: int = WIDTH) -> str:
    """One rejected proposal on one line, with the reason and what exactly was wrong."""
    text = "(not kept)" if proposal is None else one_line(proposal, width) or "(empty)"
    wrong = one_line(detail or "", width)
    return f"{text} <- {reason}{f': {wrong}' if wrong not in ('', text) else ''}"


def examples(db: Database, generation: int, most: int = EXAMPLES) -> list[str]:
    """Rejected proposals of a generation, one a line: first one of each reason, the most frequent reasons first."""
    rows = db.query(
        "SELECT proposal, reason, detail FROM problems WHERE NOT valid AND generation = ? ORDER BY round", [generation]
    )
    counts = rejections(db, generation).get(generation, {})
    seen: dict[str, int] = {}
    ranked = []
    for at, r in enumerate(rows):
        nth = seen[r["reason"]] = seen.get(r["reason"], 0) + 1
        ranked.append((nth, -counts[r["reason"]], at, r))
    chosen = [r for *_, r in sorted(ranked, key=lambda item: item[:3])[:most]]
    return [example(r["proposal"], r["reason"], r["detail"]) for r in chosen]
