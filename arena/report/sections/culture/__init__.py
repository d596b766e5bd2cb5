"""What the library did for whom: posts that helped, setters that were useful, what was built on what, what was new.

Each question has a module of its own beside `arena.report.sections`; here they are put together.
"""

from __future__ import annotations

from arena.report.figures.figure import Section
from arena.report.metrics.alarms import empty_library
from arena.report.sections.culture import (
    authors,
    citations,
    family,
    forgetting,
    innovation,
    knowledge,
    posts,
    ratchet,
    selection,
    worth,
)
from arena.report.source import Builder, Source
from arena.run.waiting import waiting

KEY, TITLE = "culture", "Culture: posts, their authors, their use and their effect"


def section(source: Source) -> Section:
    if not source.store.query("SELECT 1 FROM posts LIMIT 1"):
        learnable = sum(g["learnable"] or 0 for g in source.analysis["generations"])
        nothing = empty_library(learnable, waiting(source.store).line(source.folder))
        return Section(KEY, TITLE, missing=(nothing, *ratchet.missing(source.config)))
    parts = [
        part(source, module.part)
        for module in (ratchet, knowledge, posts, worth, authors, citations, innovation, selection, forgetting, family)
    ]
    return Section(
        KEY,
        TITLE,
        tuple(x for p in parts for x in p.findings),
        tuple(x for p in parts for x in p.figures),
        tuple(x for p in parts for x in p.tables),
        tuple(x for p in parts for x in p.missing),
    )


def part(source: Source, build: Builder) -> Section:
    """One part; if it fails by a fault of the program that `source` collects, a sentence that says so."""
    name = build.__module__.rpartition(".")[2]
    what = f"the part {name} of the section {KEY}"
    return source.faults.part(what, lambda: build(source), lambda why: Section(name, "", missing=(why,)))
