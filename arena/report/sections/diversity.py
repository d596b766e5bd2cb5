"""Diversity: are the problems varied, did that change, did anything collapse?

`arena.report.metrics.diversity` measures problems, `arena.report.metrics.entropy` the policy that sets them; this
section compares the first quarter of the generations with the last. Collapse means less than half of the value at the
start.

Left out: corrections for multiple measures, which are largely redundant.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from arena.report.figures.figure import Figure, Panel, Section, Series, Table
from arena.report.metrics.diversity import FEWEST_SAMPLED, Amount, diversity
from arena.report.metrics.entropy import Fit, entropy, fit
from arena.report.source import Source
from arena.report.stats.intervals import bootstrap_difference, bootstrap_interval
from arena.run.store import Row
from arena.text import between, clear, count, listed, number

KEY, TITLE = "diversity", "Diversity: did anything collapse?"
COLLAPSE = 0.5
"""A value below this share of the first quarter's is called a collapse."""


@dataclass(frozen=True)
class Measure:
    """A measure that increases with diversity; `least` is its value if all problems are alike."""

    label: str
    value: Callable[[Row], float | None]
    least: float = 0.0


@dataclass(frozen=True)
class Change:
    measure: Measure
    first: float
    last: float
    low: float
    high: float

    @property
    def collapsed(self) -> bool:
        """Clearly less, and less than half, counted from `least`."""
        left, had = self.last - self.measure.least, self.first - self.measure.least
        return self.high < 0 and left < COLLAPSE * had


MEASURES = (
    Measure("different behaviours (N1)", lambda r: r["behaviours_n1"], 1.0),
    Measure("common behaviours (N2)", lambda r: r["behaviours_n2"], 1.0),
    Measure("first words (N1)", lambda r: r["first_words_n1"], 1.0),
    Measure("words (N1)", lambda r: r["words_n1"], 1.0),
    Measure("different texts (Vendi score)", lambda r: r["vendi"], 1.0),
    Measure("distinct word pairs (distinct-2)", lambda r: r["distinct_2"]),
    Measure("distinct triples (distinct-3)", lambda r: r["distinct_3"]),
    Measure("operations (N1)", lambda r: r["operations_n1"], 1.0),
    Measure("what compression leaves", lambda r: 1 / r["compression"]),
    Measure("not exact repeats, share of set", lambda r: 1 - r["duplicates"]),
    Measure("distinct behaviours, share of valid", lambda r: 1 - r["same_behaviour"]),
)
ENTROPY = Measure("entropy of proposals, nats per token", lambda r: r["entropy"])


def section(source: Source) -> Section:
    domain = source.config.main_domain
    rows, amount = diversity(source.store, domain, source.config.seed)
    sure = entropy(source.store)
    missing = []
    if amount is None:
        missing.append(
            f"No generation has set {FEWEST_SAMPLED} valid problems yet, the minimum for measures of diversity."
        )
    if not sure:
        missing.append(
            "The entropy of the setters' policy is not known: proposals have no log-probabilities, because none was "
            "made yet, no model made them, or the server did not return them."
        )
    found = [*changes(rows, MEASURES), *changes(sure, (ENTROPY,))]
    fitted = fit([r for r in sure if r["reward"] is not None])
    figures = [*(problem_figures(rows, amount) if amount else ()), *(entropy_figures(sure, fitted) if sure else ())]
    findings = [*collapse(found, max(len(rows), len(sure))), *style_finding(rows), *reward_finding(sure, fitted)]
    return Section(KEY, TITLE, tuple(findings), tuple(figures), (change_table(found),) if found else (), tuple(missing))


def collapsed(source: Source) -> list[str]:
    """Whether anything collapsed, in one or two sentences; empty before the first problem."""
    rows, _ = diversity(source.store, source.config.main_domain, source.config.seed)
    sure = entropy(source.store)
    return collapse([*changes(rows, MEASURES), *changes(sure, (ENTROPY,))], max(len(rows), len(sure)))


def changes(rows: Sequence[Row], measures: Sequence[Measure]) -> list[Change]:
    """Mean of the first and of the last quarter of the generations; the interval bootstraps generations."""
    quarter = len(rows) // 4
    if quarter < 2:
        return []
    found = []
    for m in measures:
        first, last = ([v for r in side if (v := m.value(r)) is not None] for side in (rows[:quarter], rows[-quarter:]))
        if not first or not last:
            continue
        low, high = bootstrap_difference(last, first)
        found.append(Change(m, sum(first) / len(first), sum(last) / len(last), low, high))
    return found


def collapse(found: Sequence[Change], generations: int) -> list[str]:
    """Did anything collapse, in one sentence, and what fell or rose."""
    if not generations:
        return []
    if not found:
        return [f"Collapse cannot be judged from {count(generations, 'generation')}: it takes 8."]
    sides = {side: [c for c in found if clear(c.low, c.high) == side] for side in (1, -1, 0)}
    gone = [c for c in sides[-1] if c.collapsed]
    told = [f"{c.measure.label} {number(c.first)} to {number(c.last)}" for c in gone]
    if gone:
        text = f"Collapsed to less than half of the value at the start: {listed(told)}."
    else:
        text = f"Nothing collapsed: none of {len(found)} measures fell clearly to less than half of its first quarter."
    fell = [c for c in sides[-1] if c not in gone]
    if fell:
        text += f" Clearly less varied in the last quarter: {listed([change_words(c) for c in fell])}."
    if sides[1]:
        text += f" Clearly more: {listed([change_words(c) for c in sides[1]])}."
    if sides[0]:
        text += f" No clear change in {len(sides[0])}."
    return [text]


def style_finding(rows: Sequence[Row]) -> list[str]:
    """Whether authors differ in the words they use."""
    several = [r for r in rows if r["authors"] > 1]
    if len(several) < 2:
        return []
    above = [r["styles"] - r["styles_by_chance"] for r in several]
    low, high = bootstrap_interval(above)
    mean = sum(r["styles"] for r in several) / len(several)
    verdict = "differ in style" if clear(low, high) > 0 else "do not write differently"
    return [
        f"Authors {verdict}: their word use makes {number(mean)} effective styles, where 1 means no difference, "
        f"{between(sum(above) / len(above), low, high, 3, sign=True)} against problems dealt to authors at random."
    ]


def change_words(c: Change) -> str:
    return f"{c.measure.label} {between(c.last - c.first, c.low, c.high, sign=True)}"


def change_table(found: Sequence[Change]) -> Table:
    columns = ("measure", "first quarter", "last quarter", "change", "verdict")
    words = {1: "more varied", -1: "less varied", 0: "no clear change"}
    rows = tuple(
        (
            c.measure.label,
            number(c.first),
            number(c.last),
            between(c.last - c.first, c.low, c.high, sign=True),
            "collapsed" if c.collapsed else words[clear(c.low, c.high)],
        )
        for c in found
    )
    caption = (
        "Means over the first and the last quarter of the generations; intervals of the change by bootstrap over "
        "generations, as if these were independent. Every measure is higher the more varied problems are."
    )
    return Table(columns, rows, caption, frozenset(columns[1:4]))


def problem_figures(rows: Sequence[Row], amount: Amount) -> tuple[Figure, Figure]:
    x = tuple(r["generation"] for r in rows)

    def line(label: str, key: str, colour: str = "", dash: bool = False) -> Series:
        return Series(label, x, tuple(r[key] for r in rows), colour=colour, dash=dash)

    orders = (("all (N0)", 0), ("even weight (N1)", 1), ("common (N2)", 2))

    def hill(name: str) -> tuple[Series, ...]:
        return tuple(line(label, f"{name}_n{order}") for label, order in orders)

    def upto(key: str) -> tuple[float, float]:
        return 0.0, 1.05 * max(r[key] for r in rows)

    sample = f"{amount.problems} valid problems of the main domain in each generation, a fixed random sample"
    kinds = Figure(
        "diversity",
        "Effective numbers of problems, first words and words",
        f"Effective numbers (Hill numbers) among {sample}: all kinds that occur count in N0, each by its share in N1, "
        "the common ones in N2; where the lines diverge, few kinds dominate. Behaviours are distinguished by the "
        "outputs of programs on fixed probe inputs.",
        (
            Panel(hill("behaviours"), "", "different behaviours", (0.0, amount.problems), whole_x=True, height=0.75),
            Panel(hill("first_words"), "", "different first words", upto("first_words_n0"), whole_x=True, height=0.75),
            Panel(hill("words"), "generation", "different words", upto("words_n0"), whole_x=True, height=0.75),
        ),
        tuple(rows),
    )
    texts = Figure(
        "diversity-texts",
        "Similarity of the problems' texts",
        f"Of {sample}; the share of distinct word pairs and triples among their first {amount.words} words; the Vendi "
        "score, an effective number of texts by the word pairs they share; bytes over compressed bytes of the first "
        f"{amount.bytes} (higher: more repetitive); the effective number of authors' styles, beside the number that "
        "chance would give if all wrote alike; and of all problems set, exact repeats (refused) and valid ones that "
        "behave like another one.",
        (
            Panel(
                (line("word pairs", "distinct_2"), line("word triples", "distinct_3")),
                "",
                "distinct share",
                (0.0, 1.0),
                whole_x=True,
                height=0.65,
            ),
            Panel((line("", "vendi"),), "", "Vendi score", (0.0, amount.problems), whole_x=True, height=0.65),
            Panel((line("", "compression"),), "", "compression ratio", upto("compression"), whole_x=True, height=0.65),
            Panel(
                (line("as written", "styles"), line("by chance", "styles_by_chance", dash=True)),
                "",
                "styles",
                (1.0, max(2.0, *(r["authors"] for r in rows))),
                whole_x=True,
                height=0.65,
            ),
            Panel(
                (line("exact repeats", "duplicates"), line("same behaviour", "same_behaviour")),
                "generation",
                "share of set",
                (0.0, 1.0),
                whole_x=True,
                height=0.65,
            ),
        ),
        tuple(rows),
    )
    return kinds, texts


def reward_finding(rows: Sequence[Row], fitted: Fit | None) -> list[str]:
    if fitted is None:
        return []
    told = between(fitted.a, fitted.low, fitted.high, 3)
    blocks = f"bootstrap over blocks of {fitted.block} generations"
    if fitted.identifiable:
        return [
            f"Setters' reward rose as their entropy fell, as in R = -a e^H + b, with a = {told} ({blocks}) and b = "
            f"{number(fitted.b)}. Both move with training, so this does not prove that one caused the other."
        ]
    alone = ", and it depends on one generation" if fitted.low > 0 else ""
    return [
        "Whether reward came at the expense of entropy (R = -a e^H + b) cannot be determined from this run: a = "
        f"{told} ({blocks}){alone}."
    ]


def entropy_figures(rows: Sequence[Row], fitted: Fit | None) -> tuple[Figure, ...]:
    paid = [r for r in rows if r["reward"] is not None]
    points = Series(
        "a generation",
        tuple(r["entropy"] for r in paid),
        tuple(r["reward"] for r in paid),
        kind="points",
        text=tuple(f"generation {r['generation']}" for r in paid),
    )
    drawn = (points, fitted_line(paid, fitted)) if fitted and fitted.identifiable else (points,)
    line = Series("proposals", tuple(r["generation"] for r in rows), tuple(r["entropy"] for r in rows))
    over_time = Figure(
        "entropy",
        "Entropy of the setters' proposals",
        "Mean negative log-probability per token of proposals, in nats: an estimate of the entropy of the policy that "
        "wrote them. 0 would be a setter that always writes the same.",
        (Panel((line,), "generation", "nats a token", (0.0, 1.05 * max(r["entropy"] for r in rows)), whole_x=True),),
        tuple(rows),
    )
    against_reward = Figure(
        "entropy-reward",
        "Reward over entropy",
        "Each generation's mean reward of setters over the entropy of their proposals"
        + (", with the fit R = -a e^H + b." if len(drawn) > 1 else ".")
        + " Where reward rises only as entropy falls, exploring ends when entropy is spent.",
        (Panel(drawn, "entropy of proposals, nats per token", "mean reward of setters"),),
        tuple(paid),
    )
    return (over_time, against_reward) if paid else (over_time,)


def fitted_line(rows: Sequence[Row], fitted: Fit) -> Series:
    low, high = (end(r["entropy"] for r in rows) for end in (min, max))
    xs = tuple(low + (high - low) * i / 100 for i in range(101))
    return Series("fit", xs, tuple(fitted.b - fitted.a * math.exp(x) for x in xs))
