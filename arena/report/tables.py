"""The analysis as tables on a terminal, readable from 80 columns on.

Long runs show their first, last and evenly spaced generations. Text that agents wrote is shown as it is, never as
markup.

Left out: plots (`write`), and figures that `analysis` did not compute. Not guaranteed: every column below 80 columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from arena.report.metrics.heldout import MIDDLE_DEPTHS
from arena.report.metrics.ratchet import NONE, SCHOOLS
from arena.run.budget import amount
from arena.text import between

T = TypeVar("T")
Analysis = dict[str, Any]
MOST_ROWS = 14
"""Most generations, and most agents, one table shows."""


def print_report(console: Console, analysis: Analysis) -> None:
    """Print the whole report."""
    a = analysis
    console.print(Text(f"Run {a['run']}, seed {a['seed']}", style="bold"))
    played = sum(g["complete"] for g in a["generations"])
    console.print(Text(f"{played} of {a['planned_generations']} generations of {' and '.join(a['domains'])}"))
    c = a["compute"]
    units = f"Compute {count(c['counted'])} units, evaluation {count(c['evaluation'])} apart"
    console.print(Text(f"{units}, {duration(c['seconds'])}"))
    console.print(Text(f"{cost_sentence(c)}\n"))
    if c["money"] is not None:
        console.print(cost_table(c))
    if a["words_gone_until"] is not None:
        gone = f"up to generation {a['words_gone_until']} were not kept (store.retention)"
        console.print(Text(f"Words of proposals, attempts, grades and guesses {gone}\n", style="dim"))
    for warning in a["warnings"]:
        console.print(Text(f"! {warning}", style="yellow"))
    if a["warnings"]:
        console.print()
    if a["generations"]:
        console.print(generations_table(a))
    print_heldout(console, a)
    if a["names"]:
        console.print(names_table(a["names"]))
    if a["ratchet"]:
        print_ratchet(console, a["ratchet"])
    if a["worth"]:
        print_worth(console, a["worth"])
    if a["library"]["posts"]:
        print_library(console, a["library"])
    console.print(agents_table(a["agents"]))
    g = a["grading"]
    if g["graded"]:
        text = f"Graders judged {g['graded']} attempts, {g['no_vote']} without a vote;"
        console.print(Text(f"{text} agreement with execution {rate(g['agreement'])}"))


def cost_sentence(compute: dict[str, Any]) -> str:
    """What was asked for and, where prices are set, what it cost, evaluation counted in."""
    c = compute
    paid = "" if c["money"] is None else f", {amount(c['money'], c['currency'])} at the prices of the config"
    return f"{count(c['requests'])} requests{paid}, evaluation counted in"


def cost_table(compute: dict[str, Any]) -> Table:
    c, table = compute, new_table("What it cost, by phase", "phase", "requests", "tokens", compute["currency"])
    for row in c["by_phase"]:
        if row["requests"]:
            table.add_row(row["phase"], count(row["requests"]), count(row["tokens"]), f"{row['money']:,.4f}")
    return table


def generations_table(a: Analysis) -> Table:
    table = new_table("What was set, solved and posted", "gen", "set", "valid", "learn", "depth", "solved")
    for name in ("posts", "reads", f"held-out {span(MIDDLE_DEPTHS)}", "sec"):
        table.add_column(name, justify="right")
    middle = middle_rates(a)
    for g in spread(a["generations"]):
        table.add_row(
            str(g["index"]),
            count(g["proposed"]),
            count(g["valid"]),
            count(g["learnable"]),
            decimal(g["mean_difficulty"], 1),
            rate(g["solve_rate"]),
            count(g["posts"]),
            count(g["reads"]),
            rate(middle.get(g["index"])),
            decimal(g["seconds"], 1),
        )
    table.caption = (
        "learn: neither always nor never solved; depth, solved: means of valid problems\n"
        f"held-out {span(MIDDLE_DEPTHS)}: pass rate, mean of these depths\n"
    )
    return table


def print_heldout(console: Console, a: Analysis) -> None:
    """Held-out problems before and after by depth, and the mean of the middle depths with the gain."""
    table = heldout_table(a)
    if table:
        console.print(table)
        console.print(Text(gain_sentence(a) + "\n"))


def heldout_table(a: Analysis) -> Table | None:
    """Pass rates by depth before the first and after the last generation; None if neither was measured."""
    full = [h for h in a["heldout"] if h["mode"] == "full"]
    if not full:
        return None
    before = {h["depth"]: h for h in full if h["generation"] == 0}
    after = {h["depth"]: h for h in full if h["generation"] > 0}
    k = max(h["k"] for h in full)
    title = f"Held-out {a['domain']}, before and after, 95 % intervals"
    table = new_table(title, "depth", "before", "after", *([f"pass@{k} before", "after"] if k > 1 else []))
    for depth in sorted({*before, *after}):
        cells = [interval(side.get(depth), "pass_at_1") for side in (before, after)]
        if k > 1:
            cells += [rate(side[depth]["pass_at_k"]) if depth in side else "-" for side in (before, after)]
        table.add_row(str(depth), *cells)
    means = a["heldout_before_after"]
    if means["depths"]:
        table.add_section()
        table.add_row(f"mean {span(means['depths'])}", *(interval(means[side], "mean") for side in ("before", "after")))
    return table


def gain_sentence(a: Analysis) -> str:
    means = a["heldout_before_after"]
    if not means["depths"]:
        return f"No held-out depth between {MIDDLE_DEPTHS[0]} and {MIDDLE_DEPTHS[-1]} was measured."
    if means["gain"] is None and a["finished"]:
        return "No generation was played, so there is no gain to tell."
    if means["gain"] is None:
        return "The run has no evaluation after its last generation yet."
    return f"Gain at depths {span(means['depths'])}: {interval(means['gain'], 'mean', sign=True)}, paired by problem"


def names_table(names: Analysis) -> Table:
    table = new_table("Hidden names, solved with and without reading", "gen", "problems", "with", "without")
    for name in ("known", "with", "without", "difference"):
        table.add_column(name, justify="right")

    def row(label: str, found: Analysis) -> None:
        every, known = found["all"], found["known"]
        table.add_row(
            label,
            count(every["n"]),
            rate(every["with_reading"]),
            rate(every["without_reading"]),
            count(known["n"]),
            rate(known["with_reading"]),
            rate(known["without_reading"]),
            interval(known, "difference", sign=True),
        )

    for found in spread(names["generations"]):
        row(str(found["generation"]), found)
    table.add_section()
    row("1 on", names["overall"])
    if names["final"]:
        row("final", names["final"])
    table.caption = "known: problems whose names were all defined by then;\ndifference: on these\n"
    return table


def names_sentence(names: Analysis) -> str:
    """One sentence on the last thing measured of names."""
    last = names["final"] or (names["generations"][-1] if names["generations"] else None)
    if last is None:
        return "Names were not measured."
    found = last["known"]
    if not found["n"]:
        return f"Names: the library defines {names['defined']}; none of those is among the problems measured last."
    text = f"Known names after generation {last['generation']}: solved {rate(found['with_reading'])} with reading, "
    text += f"{rate(found['without_reading'])} without"
    return f"{text}, difference {interval(found, 'difference', sign=True)} (n = {found['n']})"


LIBRARIES = ("none", "first", "own", "filler", "shuffled", "authors", "stale")


def print_ratchet(console: Console, ratchet: Analysis) -> None:
    """A frozen newborn's held-out rates by what it reads, R with its interval, and how it rises."""
    if ratchet["schools"]:
        print_schools(console, ratchet["schools"])
    named = [r for r in ratchet["readings"] if r["ratchet"]["n"]]
    if not named:
        return
    table = new_table("The ratchet: a frozen newborn on problems with names, by what it reads", "gen", *LIBRARIES)
    table.add_column("R", justify="right", no_wrap=True)
    table.collapse_padding = True  # it fills 80 columns
    for r in spread(named):
        rates = [rate(r["rates"][f"newborn_{library}"]["value"]) for library in LIBRARIES]
        table.add_row(str(r["generation"]), *rates, interval(r["ratchet"], "value", sign=True))
    n = named[-1]["ratchet"]["n"]
    table.caption = (
        f"{n} held-out problems; R: own less first library, paired, 95 % interval\n"
        "controls: filler of equal length, bodies shuffled, one author's part, an old library\n"
    )
    console.print(table)
    wrong = named[-1]["wrong"]
    if wrong["follows"]["n"]:
        follows, right = (interval(wrong[key], "value") for key in ("follows", "right"))
        text = f"With a wrong definition the answer followed it in {follows} of {wrong['follows']['n']}\n"
        console.print(Text(f"{text}problems and was right in the true world in {right}\n"))
    if len(named) > 1:
        s = ratchet["slope"]
        console.print(Text(f"R a generation: {between(s['value'], s['low'], s['high'], 3, sign=True)}\n"))


def print_schools(console: Console, schools: Analysis) -> None:
    """What newborns solve that slept on posts of a part of the run, and whether late posts taught more."""
    rows = schools["rows"]
    groups = list(dict.fromkeys(r["depths"] for r in rows))
    table = new_table("What schools taught: held-out problems without names", "slept on")
    table.columns[0].justify = "left"
    for group in groups:
        table.add_column(group, justify="right")
        table.add_column("over none", justify="right", no_wrap=True)
    for school in dict.fromkeys(r["school"] for r in rows):
        cells = []
        for r in (r for r in rows if r["school"] == school):
            over = "" if school == NONE else interval(r["above_none"], "value", sign=True)
            cells += [rate(r["solved"]["value"]), over]
        table.add_row(SCHOOLS[school], *cells)
    table.caption = "by depths; over none: more than on seed examples alone, paired, 95 % interval\n"
    console.print(table)
    for r in schools["late"]:
        what = f"{SCHOOLS[r['late']]} less {SCHOOLS[r['early']]}, depths {r['depths']}"
        console.print(Text(f"{what}: {interval(r['above'], 'value', sign=True)}"))
    console.print()


def print_worth(console: Console, worth: Analysis) -> None:
    """What posts of each kind did for those who were shown them, from what was left out at random."""
    table = new_table("What posts did, some being left out at random", "kind", "posts", "shown")
    table.columns[0].justify = "left"
    for name in ("left out", "uplift"):
        table.add_column(name, justify="right")
    for kind, found in worth["kinds"].items():
        uplift = interval(found, "difference", sign=True)
        cells = (count(found["posts"]), count(found["shown"]), count(found["withheld"]), uplift)
        table.add_row(Text(kind.replace("_", " ")), *cells)
    table.caption = (
        "shown, left out: attempts of readers for\nwhom one was chosen; uplift: pass rate\nwith it less without, 95 %\n"
    )
    console.print(table)
    text = f"To see {worth['effect']:g} on one post takes {worth['needed']} problems an arm; {worth['enough']} of"
    console.print(Text(f"{text} {worth['posts']} posts have them\n"))


def print_library(console: Console, library: Analysis) -> None:
    table = new_table("Library", "kind", "posts")
    table.columns[0].justify = "left"
    for kind, n in library["by_kind"].items():
        table.add_row(Text(kind.replace("_", " ")), count(n))
    console.print(table)
    text = f"Read {count(library['reads'])} times at work and {count(library['sleep_reads'])} times asleep"
    if library["cited_by_others"] is not None:
        text += f"; {library['cited_by_others']:.0%} cited by others, chain of {library['longest_chain']}"
    console.print(Text(text))
    authors = list(library["by_author"].items())
    listed = ", ".join(f"{name} {n}" for name, n in authors[:8])
    more = f" and {len(authors) - 8} more" if len(authors) > 8 else ""
    console.print(Text(f"Most posts: {listed}{more}\n"))


def agents_table(agents: Sequence[Analysis]) -> Table:
    shown = agents
    if len(agents) > MOST_ROWS:  # who lives is what matters now
        shown = ([x for x in agents if x["retired"] is None] + [x for x in agents if x["retired"] is not None])[
            :MOST_ROWS
        ]
    table = new_table(
        "Agents, mean reward by role", "name", "born", "retired", "inherited", "setter", "solver", "grader"
    )
    table.columns[0].justify = table.columns[3].justify = "left"
    for x in shown:
        source = f"{x['inherited']} of {', '.join(x['parents'])}" if x["parents"] else x["inherited"]
        rewards = [decimal(x["rewards"].get(role), 2) for role in ("setter", "solver", "grader")]
        table.add_row(Text(x["name"]), str(x["born"]), count(x["retired"]), Text(source), *rewards)
    if len(shown) < len(agents):
        table.caption = f"and {len(agents) - len(shown)} more, the living first\n"
    return table


# -- small things ------------------------------------------------------------------------------------------------


def new_table(title: str, *columns: str) -> Table:
    """A table of right-aligned columns under a left-aligned title."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    table.caption_justify, table.caption_style = "left", "dim"
    for name in columns:
        table.add_column(name, justify="right")
    return table


def spread(items: Sequence[T], most: int = MOST_ROWS) -> list[T]:
    """At most `most` (2 or more) of the items: the first, the last and evenly spaced ones between."""
    if len(items) <= most:
        return list(items)
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def middle_rates(a: Analysis) -> dict[int, float]:
    """Held-out pass rate by generation, the mean over the middle depths that were measured."""
    found: dict[int, list[float]] = {}
    for h in a["heldout"]:
        if h["depth"] in MIDDLE_DEPTHS:
            found.setdefault(h["generation"], []).append(h["pass_at_1"])
    return {g: sum(rates) / len(rates) for g, rates in found.items()}


def span(depths: Sequence[int]) -> str:
    return str(depths[0]) if len(depths) == 1 else f"{depths[0]}-{depths[-1]}"


def interval(found: Analysis | None, key: str, sign: bool = False) -> str:
    """`0.65 [0.52, 0.77]`, without the interval if there is none, `-` if nothing was measured."""
    if found is None or found[key] is None:
        return "-"
    return between(found[key], found.get("low"), found.get("high"), sign=sign)


def rate(value: float | None) -> str:
    return decimal(value, 2)


def decimal(value: float | None, places: int) -> str:
    return "-" if value is None else f"{value:.{places}f}"


def count(value: float | None) -> str:
    """A whole number in at most 6 characters: 12345, 123.5k, 12.3M."""
    if value is None:
        return "-"
    if abs(value) < 99_999.5:
        return f"{value:.0f}"
    return (
        f"{value / 1e3:.1f}k" if abs(value) < 999_950 else f"{value / 1e6:.1f}M" if abs(value) < 1e9 else f"{value:.1e}"
    )


def duration(seconds: float | None) -> str:
    """`12.3 s`, `4 min 10 s` or `3 h 12 min`."""
    if seconds is None:
        return "-"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
