"""The ratchet: does a frozen newborn do better with every generation's library, and is the library the cause?

`arena.phases.measure.ratchet_meter` takes the readings; this section states them in sentences and figures. The results
of schools are here too: the same question about weights that were trained on posts.

Left out: other runs. Not guaranteed: that the library's later definitions are the harder ones; levels are mixed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from arena.config.schema import Config
from arena.report.figures.figure import GREY, Figure, Panel, Section, Series, Table, spread
from arena.report.metrics.ratchet import (
    CONTROLS,
    GROUPS,
    LATE_AND_EARLY,
    NONE,
    SCHOOLS,
    Reading,
    Schools,
    readings,
    rise,
    schools,
)
from arena.report.source import Source
from arena.run.store import Row
from arena.text import between, clear, count, listed, number
from culture.transmission import Estimate

SAID = {
    "own": "its own library",
    "none": "nothing",
    "first": "the first library",
    "filler": "filler of equal length",
    "shuffled": "shuffled bodies",
    "authors": "one author's part",
    "wrong": "wrong definitions",
}
TABLED = ("none", "first", "own", "filler", "shuffled", "authors", "stale")
"""Libraries of the table."""
COLOURS = {"none": "#555555", "first": "#D55E00", "filler": "#CC79A7", "shuffled": "#E69F00"} | {
    "authors": "#009E73",
    "stale": "#56B4E9",
    "wrong": "#000000",
}


def part(source: Source) -> Section:
    found = readings(source.store)
    named = [r for r in found if r.of("newborn", "own")]
    taught = schools(source.store)
    said, table = (school_words(taught), (school_table(taught),)) if taught else ((), ())
    if not named:
        return Section("ratchet", "", said, tables=table, missing=missing(source.config, bool(found)))
    stale = source.config.measure.ratchet.stale
    findings = [gain(named[-1]), *controls(named[-1], stale), wrong_words(named[-1]), *slope_words(named)]
    findings += [both_ways(named[-1]), plain(named), *said]
    figures = (ratchet_figure(named, stale), channels_figure(named), needs_figure(named))
    return Section("ratchet", "", tuple(f for f in findings if f), figures, (ratchet_table(named), *table))


def missing(config: Config, asked: bool = False) -> tuple[str, ...]:
    """Why there is no reading, and the config that would give one."""
    r = config.measure.ratchet
    what = "The ratchet, what a frozen newborn gains from the library of generation g, "
    if asked:
        why = "has no readings of problems that need a definition: this run has no domain with names to look up."
    elif not r.every:
        why = "was not measured in this run: `measure.ratchet.every=5` takes a reading every fifth generation."
    else:
        why = (
            f"has no reading yet: `measure.ratchet.every` is {r.every}, and a reading waits until it costs at most "
            f"`measure.ratchet.share` ({r.share:g}) of what was played since the last."
        )
    channels = (
        "The four channels (neither, text, weights, both) are measured with the ratchet; without it there is only how "
        "hidden names are solved with and without reading."
    )
    return (what + why, channels)


# -- sentences ---------------------------------------------------------------------------------------------------


def say(e: Estimate, sign: bool = True) -> str:
    return between(e.value, e.low, e.high, sign=sign)


def gain(r: Reading) -> str:
    own, first, up = r.rate("newborn", "own"), r.rate("newborn", "first"), r.above("first")
    return (
        f"With the library of generation {r.generation} a frozen newborn solves {number(own.value)} of "
        f"{count(own.n, 'held-out problem')} that need a definition, with the first library {number(first.value)}: the "
        f"ratchet stands at R = {say(up)}."
    )


def slope_words(found: Sequence[Reading]) -> list[str]:
    if len(found) < 2:
        return []
    e = rise(found)
    verb = {1: "rises", 0: "does not clearly rise or fall", -1: "falls"}[clear(e.low, e.high)]
    return [
        f"Over {count(len(found), 'reading')}, from generation {found[0].generation} to {found[-1].generation}, "
        f"R {verb}: {between(e.value, e.low, e.high, 3, sign=True)} a generation (least squares, problems resampled)."
    ]


def controls(r: Reading, stale: int) -> list[str]:
    """Whether the own library is above every control, and above its own state some generations ago."""
    up = {c: r.above(c) for c in CONTROLS if c not in ("first", "stale") and r.of("newborn", c)}
    won = [c for c in up if clear(up[c].low, up[c].high) > 0]
    told = listed([f"{SAID[c]} ({say(up[c])})" for c in up])
    if len(won) == len(up):
        text = f"With its own library it solves clearly more than with each control: {told}."
    else:
        short = listed([SAID[c] for c in up if c not in won])
        text = f"With its own library it does not solve clearly more than with {short}; its lead over each: {told}."
    old = r.above("stale")
    past = f"the library as it was {count(stale, 'generation')} before"
    side = {1: "clearly more", 0: "not clearly more", -1: "clearly less"}[clear(old.low, old.high)]
    return [text, f"It is {side} than with {past} ({say(old)})." if old.n else ""]


def wrong_words(r: Reading) -> str:
    """Whether answers follow wrong definitions."""
    follows, right = r.followed()
    if not follows.n:
        return ""
    times = [str(sum(pair[i] for pair in r.shown["wrong"])) for i in (0, 1)]
    return (
        f"With a wrong definition the answer followed it in {times[0]} of {count(follows.n, 'problem')} "
        f"({say(follows, sign=False)}), and was right in the true world in {times[1]} ({say(right, sign=False)}); "
        "problems of which it makes the right answer are left out."
    )


def school_words(found: Schools) -> tuple[str, ...]:
    """Whether late posts teach more than early ones."""
    said = []
    how = {"school_late": "", "school_hard_late": ", drawn hard problems first,"}
    for late, early in LATE_AND_EARLY:
        e = [found.above(late, early, group) for group in GROUPS]
        if not all(x.n for x in e):
            continue
        verb = {1: "more", 0: "not clearly more or less", -1: "less"}[clear(e[0].low, e[0].high)]
        each = listed([f"{say(x)} at depths {group}" for x, group in zip(e, GROUPS, strict=True)])
        said.append(f"A newborn that sleeps on late posts{how[late]} solves {verb} than one on early posts: {each}.")
    return tuple(said)


def school_table(found: Schools) -> Table:
    """Pass rates of each school's newborn, and its gain over the seed examples alone."""
    right = [f"depths {group}{what}" for group in GROUPS for what in ("", ", gained")]
    cells = []
    for school in found.names():
        cell = [SCHOOLS[school]]
        for group in GROUPS:
            cell += [between((e := found.rate(school, group)).value, e.low, e.high)]
            cell += ["" if school == NONE else say(found.above(school, NONE, group))]
        cells.append(tuple(cell))
    n = found.rate(found.names()[0], next(iter(GROUPS))).n
    caption = (
        "Schools: newborns that slept once on equally many worked examples each, of the first third of the "
        f"generations, of the last, or of any, and then solved held-out problems that need no definition, greedy ({n} "
        f"of depths {next(iter(GROUPS))}). Gained: more than on seed examples alone, paired by problem. 95 % intervals."
    )
    return Table(("slept on", *right), tuple(cells), caption, frozenset(right))


def ratchet_table(found: Sequence[Reading]) -> Table:
    """One row a reading: what the newborn solves with each library, and R."""
    rows = []
    for r in spread(found):
        rates = (number(r.rate("newborn", library).value) for library in TABLED)
        rows.append((str(r.generation), *rates, say(r.above("first"))))
    columns = ("gen", *TABLED, "R")
    caption = (
        "Share of held-out problems with names that a frozen newborn solves, by what it reads "
        f"({found[-1].above('first').n} problems). R: own less first library, paired, with its 95 % interval. "
        "Controls: filler of equal length, bodies shuffled, the part of one author, an old library."
    )
    return Table(columns, tuple(rows), caption, frozenset(columns))


def both_ways(r: Reading) -> str:
    """The 2 x 2 at the end, in words."""
    c = r.channels()
    return (
        f"Knowledge reaches the living agents of generation {r.generation} by text {say(c.text)}, by weights "
        f"{say(c.weights)}, and by both together {say(c.synergy)} beyond the sum."
    )


def plain(found: Sequence[Reading]) -> str:
    r = found[-1]
    newborn, living, e = r.rate("newborn", "none", 0), r.rate("living", "none", 0), r.learned(0)
    if not newborn.n:
        return ""
    return (
        f"Of {count(newborn.n, 'problem')} that need no definition, for which nothing is shown, the newborn solves "
        f"{number(newborn.value)} and the living {number(living.value)} ({say(e)}): that part is due to the weights "
        "alone."
    )


# -- figures -----------------------------------------------------------------------------------------------------


def line(name: str, found: Sequence[Reading], values: Sequence[Estimate], **more: Any) -> Series:
    x, y = tuple(r.generation for r in found), tuple(finite(e.value) for e in values)
    return Series(name, x, y, text=tuple(f"n = {e.n}" for e in values), **more)


def band(name: str, found: Sequence[Reading], values: Sequence[Estimate], **more: Any) -> Series:
    low, high = tuple(finite(e.low) for e in values), tuple(finite(e.high) for e in values)
    return line(name, found, values, low=low, high=high, **more)


def ratchet_figure(found: Sequence[Reading], stale: int) -> Figure:
    last = found[-1]
    upper = [
        band(SAID["own"], found, [r.rate("newborn", "own") for r in found], colour="#0072B2", width=3.2),
        *(
            line(
                SAID.get(c, f"that of {count(stale, 'generation')} ago"),
                found,
                [r.rate("newborn", c) for r in found],
                colour=COLOURS[c],
                dash=c in ("none", "filler", "shuffled", "wrong"),
                width=1.6,
            )
            for c in CONTROLS
        ),
    ]
    gains = [r.above("first") for r in found]
    return Figure(
        "ratchet",
        f"The ratchet: a frozen newborn with each generation's library\nR = {say(gains[-1])} after generation "
        f"{last.generation}",
        "Above: held-out problems with hidden names solved by the untrained model, greedy, the same problems each "
        "time, by the library it reads (band: 95 % Wilson interval). The first library is the one after the first "
        "generation with posts; one author's part is what a newborn would have without pooling; wrong definitions are "
        "those of another world. Below: R, its own library less the first, paired by problem (band: 95 % interval). A "
        "ratchet rises and does not fall back.",
        (
            Panel(tuple(upper), "generation", "problems solved", (0.0, 1.0), True, height=1.3, legend="newborn reads"),
            Panel((band("R", found, gains, colour="#0072B2"), zero(found)), "generation", "R", whole_x=True),
        ),
        tuple(rows(found)),
    )


def channels_figure(found: Sequence[Reading]) -> Figure:
    parts = [r.channels() for r in found]
    series = (
        band("text", found, [c.text for c in parts], colour="#0072B2", width=3.6),
        band("weights", found, [c.weights for c in parts], colour="#D55E00", width=2.4),
        band("synergy", found, [c.synergy for c in parts], colour="#009E73", width=1.4),
        zero(found),
    )
    last = parts[-1]
    return Figure(
        "channels",
        f"Channels of knowledge: text, weights, and both\ntext {say(last.text)}, weights {say(last.weights)} after "
        f"generation {found[-1].generation}",
        "On held-out problems with hidden names. Text: the newborn with the library less without. Weights: the living "
        "without the library less the newborn without. Synergy: what both give beyond the sum. Bands: 95 %, problems "
        "resampled; there is none if all problems had the same result.",
        (Panel(series, "generation", "share of problems gained", whole_x=True),),
        tuple(
            {"generation": r.generation, "channel": name, "n": e.n, "gained": finite(e.value)}
            | {"low": finite(e.low), "high": finite(e.high)}
            for r, c in zip(found, parts, strict=True)
            for name, e in (("text", c.text), ("weights", c.weights), ("synergy", c.synergy))
        ),
    )


def needs_figure(found: Sequence[Reading]) -> Figure:
    """Pass rates on problems that need a definition, and on problems that need none."""
    # the living often do exactly as the newborn: a thin line on a thick one
    minds = (("newborn", "#0072B2", 4.0), ("living", "#D55E00", 1.6))
    needed = [
        (band if (mind, library) == ("newborn", "own") else line)(
            f"{mind}, {how}",
            found,
            [r.rate(mind, library) for r in found],
            colour=colour,
            width=width,
            dash=library == "none",
        )
        for mind, colour, width in minds
        for library, how in (("own", "with the library"), ("none", "without"))
    ]
    free = [
        band(mind, found, [r.rate(mind, "none", 0) for r in found], colour=colour, width=width)
        for mind, colour, width in minds
    ]
    return Figure(
        "ratchet-needs",
        "Problems that need a definition, and problems that need none",
        "Above: problems with hidden names, with the library and without. Below: problems without names, for which "
        "nothing is shown; what the living gain there is due to the weights alone; the newborn is frozen and stays "
        "constant. Bands: 95 % Wilson intervals, above of the newborn with the library.",
        (
            Panel(tuple(needed), "generation", "solved", (0.0, 1.0), True, title="a definition is needed"),
            Panel(tuple(free), "generation", "solved", (0.0, 1.0), True, title="none is needed"),
        ),
        tuple(
            {"generation": r.generation, "mind": mind, "library": library, "needs": needs, "solved": finite(e.value)}
            | {"low": finite(e.low), "high": finite(e.high), "n": e.n}
            for r in found
            for mind, _, _ in minds
            for library in ("none", "own")
            for needs in (1, 0)
            for e in [r.rate(mind, library, needs)]
            if e.n
        ),
    )


def zero(found: Sequence[Reading]) -> Series:
    at = tuple(r.generation for r in found)
    return Series("no difference", at, (0.0,) * len(at), colour=GREY, dash=True, width=1.0)


def rows(found: Sequence[Reading]) -> list[Row]:
    """One row per reading and library: the rate, and the lead of the own library; for wrong definitions also the shares
    of the `asked` that followed them and that were right nevertheless."""
    table = []
    for r in found:
        for library in ("own", *CONTROLS):
            e, up = r.rate("newborn", library), r.above(library)
            table.append(
                {"generation": r.generation, "library": library, "n": e.n, "solved": finite(e.value)}
                | {"low": finite(e.low), "high": finite(e.high)}
                | {"own_is_above_by": finite(up.value), "above_low": finite(up.low), "above_high": finite(up.high)}
                | (told(r) if library == "wrong" else {"follows": None, "right_answer": None, "asked": None})
            )
    return table


def told(r: Reading) -> Row:
    follows, right = r.followed()
    return {"follows": finite(follows.value), "right_answer": finite(right.value), "asked": follows.n}


def finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
