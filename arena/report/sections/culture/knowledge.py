"""Names that agents know as they begin to guess, what their guesses found, and what reading adds, by generation.

Left out: the knowledge of single agents; names that a reader could have looked up and was not shown. Not guaranteed:
that a known definition can be used: a body may be longer than its reader can follow.
"""

from __future__ import annotations

from collections import Counter

from arena.report.figures.figure import Figure, Panel, Section, Series, Table, spread
from arena.report.metrics import generation
from arena.report.source import Source
from arena.run.store import Row, Store
from arena.text import compact, count, interval, number


def part(source: Source) -> Section:
    rows, names = by_generation(source.store), source.analysis["names"]
    tables = (names_table(names),) if names and names["generations"] else ()
    if not rows:
        return Section("knowledge", "", tables=tables)
    return Section("knowledge", "", (finding(rows),), (figure(source, rows),), tables)


def by_generation(store: Store) -> list[Row]:
    """Means over agents, and discoveries up to the generation's end; empty without a guess."""
    found = Counter(d.generation for d in generation.discoveries(store))
    guesses = generation.guesses(store)
    rows, discovered, made = list[Row](), 0, 0
    for row in generation.knowledge(store):
        discovered += found[row["generation"]]
        made += guesses.get(row["generation"], generation.Guesses()).made
        rows.append({**row, "discoveries": discovered, "guesses": made})
    return rows if made else []


def finding(rows: list[Row]) -> str:
    last, most = rows[-1], max(rows, key=lambda r: (r["known"], -r["generation"]))
    text = (
        f"As generation {last['generation']} begins to guess, an agent knows {last['known']:.1f} names "
        f"({last['read']:.1f} by reading, {last['recalled']:.1f} more from memory) and is wrong about "
        f"{last['wrong']:.1f}; {count(last['guesses'], 'guess', 'guesses')} have made "
        f"{count(last['discoveries'], 'discovery', 'discoveries')}."
    )
    if most["known"] > 1.25 * last["known"] + 0.5:
        text += f" In generation {most['generation']} it knew {most['known']:.1f}."
    return text


def figure(source: Source, rows: list[Row]) -> Figure:
    x = tuple(r["generation"] for r in rows)

    def line(name: str, key: str, dash: bool = False) -> Series:
        return Series(name, x, tuple(float(r[key]) for r in rows), dash=dash)

    names = [line("known correctly", "known"), line("by reading", "read", dash=True)]
    names += [line("from memory, not by reading", "recalled", dash=True)] if source.config.rounds.recall else []
    names += [line("wrong about", "wrong")]
    library = source.config.library
    fire = f" The library burns in generation {library.burn}" if library.burn else ""
    fire += f" and is restored in {library.restore}." if library.burn and library.restore else "." if fire else ""
    return Figure(
        "knowledge",
        "Names an agent knows",
        "Mean over agents, as each generation begins to guess; a discovery is the first correct guess of a name in "
        f"the run.{fire}",
        (
            Panel(tuple(names), "", "names an agent", whole_x=True),
            Panel((line("discoveries so far", "discoveries"),), "generation", "names", whole_x=True, height=0.7),
        ),
        tuple(rows),
    )


# -- held-out problems with names -------------------------------------------------------------------------------------


def names_sentence(names: Row) -> str:
    """What reading adds on held-out problems with names, as of the last measurement."""
    last = names["final"] or (names["generations"][-1] if names["generations"] else None)
    if last is None:
        return "Names were not measured."
    found = last["known"]
    if not found["n"]:
        return f"Names: the library defines {names['defined']}; none of them is among the problems measured last."
    text = f"Known names after generation {last['generation']}: solved {number(found['with_reading'])} with reading, "
    text += f"{number(found['without_reading'])} without"
    return f"{text}, difference {interval(found, 'difference', sign=True)} (n = {found['n']})"


def names_table(names: Row) -> Table:
    """Held-out problems with names, solved with and without reading, by generation and in all."""

    def row(label: str, found: Row) -> tuple[str, ...]:
        every, known = found["all"], found["known"]
        return (
            label,
            *(compact(every["n"]), number(every["with_reading"]), number(every["without_reading"])),
            *(compact(known["n"]), number(known["with_reading"]), number(known["without_reading"])),
            interval(known, "difference", sign=True),
        )

    rows = [row(str(found["generation"]), found) for found in spread(names["generations"])]
    rows.append(row("1 on", names["overall"]))
    if names["final"]:
        rows.append(row("final", names["final"]))
    columns = ("gen", "problems", "with", "without", "known", "known, with", "known, without", "difference")
    caption = (
        "Held-out problems with names, share solved with and without reading. Known: problems whose names were all "
        "defined by then; difference: of these, with reading less without."
    )
    return Table(columns, tuple(rows), caption, frozenset(columns))
