"""Held-out skill: pass@1 and pass@k by depth, over the generations and before against after.

Left out: names with and without reading (`culture`). Not guaranteed: that another seed would gain as much; intervals
are over problems.
"""

from __future__ import annotations

from typing import Any

from arena.report.figures.figure import Figure, Panel, Section, Series, Table, shades
from arena.report.source import Source
from arena.run.store import Row
from arena.text import interval, number, span

Analysis = dict[str, Any]


def section(source: Source) -> Section:
    a = source.analysis
    title = "Held-out skill"
    if not a["heldout"]:
        return Section("heldout", title, missing=("No held-out problem has been attempted yet.",))
    full = [h for h in a["heldout"] if h["mode"] == "full"]
    between = {h["generation"] for h in a["heldout"] if h["mode"] == "greedy"}
    missing = []
    if not between:
        missing.append("Held-out skill between the first and the last generation: measure.per_depth is 0.")
    if not any(h["generation"] > 0 for h in full):
        missing.append("The full evaluation after the last generation, with pass@k: the run has not reached it.")
    figures, table = [heldout_figure(a)], before_after_table(a)
    if full:
        figures.append(before_after_figure(a, full))
    return Section("heldout", title, findings(a, full), tuple(figures), (table,) if table else (), tuple(missing))


def middle(a: Analysis) -> Analysis | None:
    """The mean over depths 3 to 6, where they were measured and are not the headline's."""
    found = a.get("heldout_3_6") or {"depths": []}
    return found if found["depths"] and found["depths"] != a["heldout_before_after"]["depths"] else None


def gain_sentence(a: Analysis) -> str:
    """The gain of the headline's mean, and of that over depths 3 to 6 if it is another; or why it is not known."""
    means = a["heldout_before_after"]
    if not means["depths"]:
        return "No held-out problem was attempted."
    if means["gain"] is None and a["finished"]:
        return "No generation was played, so there is no gain."
    if means["gain"] is None:
        return "The run has no evaluation after its last generation yet."
    other = middle(a)
    also = f"; at depths {span(other['depths'])}: {interval(other['gain'], 'mean', sign=True)}" if other else ""
    gain = interval(means["gain"], "mean", sign=True)
    return f"Gain at depths {span(means['depths'])}: {gain}, paired by problem{also}"


def left_out(a: Analysis) -> str:
    """Which depths the headline leaves out, and why; empty if it has all."""
    of, full = a["heldout_before_after"]["depths"], [h for h in a["heldout"] if h["mode"] == "full"]
    rest = {d: [h["pass_at_1"] for h in full if h["depth"] == d] for d in sorted({h["depth"] for h in full} - {*of})}
    never, always = ([d for d, rates in rest.items() if rates[0] == end] for end in (0.0, 1.0))
    parts = [f"{span(never)} (never solved)"] if never else []
    parts += [f"{span(always)} (always solved)"] if always else []
    when = "before and after" if any(h["generation"] > 0 for h in full) else "before"
    which = "depth" if len(rest) == 1 else "depths"
    return f"The mean leaves out {which} {' and '.join(parts)}, {when}." if parts else ""


def findings(a: Analysis, full: list[Analysis]) -> tuple[str, ...]:
    found = []
    means = a["heldout_before_after"]
    for m in filter(None, (means, middle(a))):
        if m["before"] and m["after"]:
            found.append(
                f"Mean pass rate at depths {span(m['depths'])}: {interval(m['before'], 'mean')} before, "
                f"{interval(m['after'], 'mean')} after generation {m['generation']}."
            )
    if means["depths"]:
        found.append(gain_sentence(a).rstrip(".") + ".")
    found += filter(None, [left_out(a)])
    before = {h["depth"]: h for h in full if h["generation"] == 0}
    after = {h["depth"]: h for h in full if h["generation"] > 0}
    both = [d for d in before if d in after]
    risen = [d for d in both if after[d]["low"] > before[d]["high"]]
    fallen = [d for d in both if after[d]["high"] < before[d]["low"]]
    if both:
        found.append(
            f"By depth, from before to after: risen beyond its interval at {listed(risen)}, fallen beyond it at "
            f"{listed(fallen)}; at the others the change may be chance."
        )
        k = max(h["k"] for h in full)
        beyond = [d for d in both if None not in (after[d]["k_low"], before[d]["k_high"])]
        beyond = [d for d in beyond if after[d]["k_low"] > before[d]["k_high"]]
        if k > 1:
            found.append(
                f"pass@{k}, what {k} samples reach, rose beyond its intervals at depth {listed(beyond)}: there the "
                "agents solve problems that no sample solved before, and have not only become more certain."
                if beyond
                else f"pass@{k}, what {k} samples reach, rose beyond its intervals at no depth: the gain may be "
                "certainty on problems that some sample solved before."
            )
    return tuple(found)


def heldout_figure(a: Analysis) -> Figure:
    """Pass rate over the generations, one line a depth; deeper is darker and thinner, so that all stay visible."""
    by_depth: dict[int, list[Row]] = {}
    for h in a["heldout"]:
        by_depth.setdefault(h["depth"], []).append(h)
    depths = sorted(by_depth)
    series = []
    for i, (depth, colour) in enumerate(zip(depths, shades(len(depths)), strict=True)):
        line = by_depth[depth]
        series.append(
            Series(
                str(depth),
                tuple(h["generation"] for h in line),
                tuple(h["pass_at_1"] for h in line),
                tuple(h["low"] for h in line),
                tuple(h["high"] for h in line),
                colour=colour,
                width=4.2 - 2.7 * i / max(1, len(depths) - 1),
                text=tuple(f"n = {h['n']}, {'full evaluation' if h['mode'] == 'full' else 'small set'}" for h in line),
            )
        )
    full = sorted({h["generation"] for h in a["heldout"] if h["mode"] == "full"})
    told = f" Full evaluations: generation {listed(full)}." if full else ""
    return Figure(
        "heldout",
        _title(a),
        "Frozen problems that are never set, posted or trained on, by depth of their program; one greedy attempt per "
        f"problem. Generation 0 is before the first. Bands: 95 % Wilson intervals.{told}",
        (
            Panel(
                tuple(series),
                "generation (0: before the first)",
                "pass rate, one greedy attempt per problem",
                (0.0, 1.0),
                whole_x=True,
                height=1.35,
                legend="depth",
                empty="no held-out problem has been attempted yet",
            ),
        ),
        tuple(_row(h) for h in a["heldout"]),
    )


def before_after_figure(a: Analysis, full: list[Analysis]) -> Figure:
    k = max(h["k"] for h in full)
    last = max(h["generation"] for h in full)
    before = [h for h in full if h["generation"] == 0]
    after = [h for h in full if h["generation"] == last > 0]
    series = []
    one, many = ("pass_at_1", "low", "high"), ("pass_at_k", "k_low", "k_high")
    for name, side, keys, colour in (
        ("pass@1 before", before, one, "#D55E00"),
        (f"pass@{k} before", before, many, "#E69F00"),
        (f"pass@1 after {last}", after, one, "#0072B2"),
        (f"pass@{k} after {last}", after, many, "#56B4E9"),
    ):
        if side and (keys == one or k > 1):
            depths, counts = tuple(h["depth"] for h in side), tuple(f"n = {h['n']}" for h in side)
            y, low, high = (tuple(h[key] for h in side) for key in keys)
            series.append(Series(name, depths, y, low, high, "points", colour, text=counts))
    return Figure(
        "heldout-before-after",
        "Held-out pass rates by depth, before and after",
        f"pass@1: one greedy attempt. pass@{k}: at least one of {k} samples is right. Whiskers: 95 % Wilson intervals."
        if k > 1
        else "pass@1: one greedy attempt. Whiskers: 95 % Wilson intervals.",
        (Panel(tuple(series), "depth of the program", "pass rate", (0.0, 1.0), whole_x=True),),
        tuple(_row(h) for h in (*before, *after)),
    )


def before_after_table(a: Analysis) -> Table | None:
    """Pass rates by depth before the first and after the last generation; None if neither was measured."""
    full = [h for h in a["heldout"] if h["mode"] == "full"]
    if not full:
        return None
    before = {h["depth"]: h for h in full if h["generation"] == 0}
    after = {h["depth"]: h for h in full if h["generation"] > 0}
    k = max(h["k"] for h in full)
    columns = ["depth", "before", "after", *([f"pass@{k} before", f"pass@{k} after"] if k > 1 else [])]
    rows = []
    for depth in sorted({*before, *after}):
        cells = [interval(side.get(depth), "pass_at_1") for side in (before, after)]
        if k > 1:
            cells += [number(side[depth]["pass_at_k"]) if depth in side else "-" for side in (before, after)]
        rows.append((str(depth), *cells))
    for means in filter(None, (middle(a), a["heldout_before_after"])):
        if means["depths"]:
            ends = [interval(means[side], "mean") for side in ("before", "after")]
            rows.append((f"mean {span(means['depths'])}", *ends, *([""] * (len(columns) - 3))))
    caption = (
        f"Held-out {a['domain'].replace('_', ' ')}, before and after, full evaluation; 95 % intervals in brackets. "
        "The last mean leaves out depths that are never or always solved both times, unless all are."
    )
    return Table(tuple(columns), tuple(rows), caption, frozenset(columns))


def listed(values: list[int]) -> str:
    """`3, 4 and 6`, or `none`."""
    words = [str(v) for v in values]
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else "none"


def _row(h: Analysis) -> Row:
    keys = ("generation", "depth", "mode", "n", "pass_at_1", "low", "high", "k", "pass_at_k", "k_low", "k_high")
    return {key: h.get(key) for key in keys}


def _title(a: Analysis) -> str:
    title = f"Held-out {a['domain'].replace('_', ' ')} by depth"
    means = a["heldout_before_after"]
    if means["before"] and means["after"]:
        depths, last = span(means["depths"]), means["generation"]
        told = f"{means['before']['mean']:.2f} before, {means['after']['mean']:.2f} after generation {last}"
        return f"{title}\nmean of depths {depths}: {told}"
    return f"{title}\nrun {a['run']}, seed {a['seed']}" + ("" if a["finished"] else ", not finished")
