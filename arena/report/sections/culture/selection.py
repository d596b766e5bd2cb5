"""Selection and transmission: why the depth of worked examples and the level of definitions that are read change.

By the Price equation (`culture.transmission.price`) a change of a mean is the sum of selection (some parents have more
offspring than others) and transmission (offspring differ from their parents).

Left out: causes of either. Not guaranteed: that generations are independent, as the intervals of the means assume; and
the worked examples of the last generations have few offspring yet.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from arena.report.figures.figure import Figure, Panel, Section, Series
from arena.report.metrics.lineage import Descent, readings, variations
from arena.report.source import Source
from arena.report.stats.intervals import mean_interval
from arena.run.store import Row
from arena.text import between, clear
from culture.transmission import price

PARTS = ("selection", "transmission", "change")
FEWEST = 3
"""Generations with offspring that a sentence or a figure needs."""


def part(source: Source) -> Section:
    depths, levels = rows("depth", variations(source.store)), rows("level", readings(source.store))
    findings = [*sentence(depths, DEPTHS), *sentence(levels, LEVELS)]
    figures = (figure(depths, levels),) if len(depths) >= FEWEST else ()
    return Section("selection", "", tuple(findings), figures)


DEPTHS = (
    "The mean depth from worked examples to their variations changes by {change} (Price equation): {selection} because "
    "setters vary {side} ones, {transmission} because variations differ from their parents."
)
LEVELS = "Definitions that are read at work are of {side} level than those that could be read: {selection}."
SIDES = {"depth": ("deeper", "shallower", "neither deeper nor shallower"), "level": ("higher", "lower", "no other")}


def rows(trait: str, descents: Mapping[int, Descent]) -> list[Row]:
    """One row a generation whose posts have offspring."""
    found = []
    for g, descent in descents.items():
        p = price(descent.parents, descent.offspring)
        if not math.isnan(p.change):
            counts = {"parents": len(descent.parents), "offspring": len(descent.offspring)}
            found.append({"generation": g, "trait": trait, **counts, **{k: getattr(p, k) for k in PARTS}})
    return found


def sentence(found: Sequence[Row], words: str) -> list[str]:
    """Means over generations with their 95 % t intervals."""
    if len(found) < FEWEST:
        return []
    told = {}
    for key in PARTS:
        values = [r[key] for r in found]
        told[key] = between(math.fsum(values) / len(values), *mean_interval(values), sign=True)
    up, down, neither = SIDES[found[0]["trait"]]
    side = {1: up, -1: down, 0: neither}[clear(*mean_interval([r["selection"] for r in found]))]
    return [words.format(side=side, **told)]


def figure(depths: Sequence[Row], levels: Sequence[Row]) -> Figure:
    def lines(found: Sequence[Row], parts: Sequence[str]) -> tuple[Series, ...]:
        x = tuple(r["generation"] for r in found)
        return tuple(Series(key, x, tuple(r[key] for r in found), dash=key == "change") for key in parts)

    panels = [Panel(lines(depths, PARTS), "generation of the parents", "change of mean depth", whole_x=True)]
    if len(levels) >= FEWEST:
        panels.append(Panel(lines(levels, PARTS[:1]), "generation", "level read, less level written", whole_x=True))
    return Figure(
        "selection",
        "Selection and transmission of what is passed on",
        "Price equation. Above: from the worked examples written in a generation to all that were varied from them; "
        "selection: some were varied more often, transmission: variations are deeper or shallower than their parents. "
        "Below: the level of the definitions that were read, less the mean of those that could be read; they are read "
        "as they are, so all of it is selection.",
        tuple(panels),
        (*depths, *levels),
    )
