"""Metrics of culture for experiments: knowledge, discoveries, the ratchet, schools and diversity.

One small function each, by name in `CULTURE_METRICS`; each reads the run's database and returns one number, or None if
the run has no data for it. Some need `measure.ratchet` or `library.burn`.

Left out: tail mass and perplexity on a frozen reference, which runs do not store.

Not guaranteed: an order among the guesses of one generation, which are made at the same time: they count in the order
in which they are stored, agent by agent.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable, Sequence

from arena.report.metrics import generation
from arena.report.metrics.finished_run import FinishedRun, Metric, Points, difference
from arena.report.metrics.generation import Discovery
from arena.report.metrics.ratchet import Reading, readings, rise
from arena.report.stats.over_seeds import real
from curricula.hidden_world import level_of

# -- what is known ----------------------------------------------------------------------------------------------------


def known_at(run: FinishedRun, generation: int, column: str = "known") -> float | None:
    """Mean over the agents of a generation, as they begin to guess, of a column of table `knowledge`."""
    return dict(knowledge(run, column)).get(generation)


def knowledge(run: FinishedRun, column: str) -> Points:
    return [(r["generation"], r[column]) for r in generation.knowledge(run.store) if r[column] is not None]


def names_known_end(run: FinishedRun) -> float | None:
    return known_at(run, run.last)


def level_end(run: FinishedRun) -> float | None:
    """Mean over agents of the deepest level of a name they know, in the last generation."""
    return known_at(run, run.last, "level")


def names_wrong_end(run: FinishedRun) -> float | None:
    """Mean over agents of the names about which they hold a wrong belief, in the last generation."""
    return known_at(run, run.last, "wrong")


def names_known_before_burn(run: FinishedRun) -> float | None:
    """In the generation before the library burns; None if it does not burn."""
    return known_at(run, run.library.burn - 1) if run.library.burn else None


def names_known_after_burn(run: FinishedRun) -> float | None:
    """In the generation in which the library burns, which happens before anyone reads."""
    return known_at(run, run.library.burn) if run.library.burn else None


def names_known_after_restore(run: FinishedRun) -> float | None:
    """In the generation in which the burned posts are restored."""
    return known_at(run, run.library.restore) if run.library.restore else None


# -- what is found ----------------------------------------------------------------------------------------------------


def discoveries_of(run: FinishedRun) -> list[Discovery] | None:
    """All discoveries in their order; None if nothing was guessed at all."""
    return generation.discoveries(run.store) if generation.guesses(run.store) else None


def discoveries(run: FinishedRun) -> float | None:
    found = discoveries_of(run)
    return None if found is None else float(len(found))


def guesses_per_discovery(run: FinishedRun) -> float | None:
    """All guesses over all discoveries; None without a discovery."""
    found = discoveries_of(run)
    return sum(g.made for g in generation.guesses(run.store).values()) / len(found) if found else None


def discoveries_half(run: FinishedRun) -> float | None:
    """Discoveries of the first half of the generations (of 30: generations 1 to 14), when nothing has burned yet."""
    found = discoveries_of(run)
    return None if found is None else float(sum(d.generation <= half(run) for d in found))


def guesses_per_discovery_half(run: FinishedRun) -> float | None:
    """The same as `guesses_per_discovery`, of the first half."""
    found = discoveries_half(run)
    made = generation.guesses(run.store)
    return sum(n.made for g, n in made.items() if g <= half(run)) / found if found else None


def half(run: FinishedRun) -> int:
    return (run.last - 1) // 2


def guesses_to(k: int) -> Metric:
    """Guesses of a run up to and including its k-th discovery; None if it did not make as many. A mean over the seeds
    that reached it flatters an arm in which few did, so report the number of seeds with it."""

    def metric(run: FinishedRun) -> float | None:
        found = discoveries_of(run) or []
        return float(found[k - 1].guesses) if len(found) >= k else None

    return metric


def level_reached(run: FinishedRun) -> float | None:
    """The deepest level of which at least two names were discovered, 0 without one; None if nothing was guessed."""
    found = discoveries_of(run)
    if found is None:
        return None
    levels = Counter(level_of(d.name) for d in found)
    return float(max((level for level, n in levels.items() if n >= 2), default=0))


# -- the ratchet ------------------------------------------------------------------------------------------------------

NEWBORN, SCHOOLED = "newborn", "schooled"
"""Readers in table `ratchet`: a newborn, which is the base model without an adapter; one that slept on a library."""
OWN, EMPTY, WRONG = "own", "none", "wrong"
"""Libraries: of that generation; nothing to read; definitions of another world."""
CONTROLS = ("filler", "shuffled", "authors")
MIDDLE, WHOLE = (3, 4, 5, 6), (3, 4, 5, 6, 7, 8)
"""Depths over which schools are averaged."""
READINGS = 3
"""Readings over which the end of a run is averaged."""


def by_reading(run: FinishedRun, value: Callable[[Reading], float]) -> Points:
    """A figure of each reading of the ratchet, without the readings for which it is undefined."""
    found = [(r.generation, value(r)) for r in readings(run.store)]
    return [(g, v) for g, v in found if not math.isnan(v)]


def ratchet(run: FinishedRun, control: str = "first") -> Points:
    """By generation, how much more a frozen newborn solves with that generation's library than with another."""
    return by_reading(run, lambda r: r.above(control).value)


def end_of(points: Sequence[tuple[int, float]]) -> float | None:
    """Mean of the last readings; None without one."""
    return statistics.fmean(v for _, v in points[-READINGS:]) if points else None


def ratchet_end(run: FinishedRun) -> float | None:
    return end_of(ratchet(run))


def ratchet_slope(run: FinishedRun) -> float | None:
    """Least-squares slope of the ratchet per generation, over all readings; None with fewer than two."""
    return real(rise([r for r in readings(run.store) if r.above("first").n]).value)


def ratchet_margin(run: FinishedRun) -> float | None:
    """Own library minus the best of the controls that were read (filler, shuffled, authors), at the end."""
    margins = [m for c in CONTROLS if (m := end_of(ratchet(run, c))) is not None]
    return min(margins, default=None)


def ratchet_over_stale(run: FinishedRun) -> float | None:
    """Own library minus the stale one, at the end."""
    return end_of(ratchet(run, "stale"))


def text_channel(run: FinishedRun) -> float | None:
    """Effect of reading alone: a newborn with the library minus the same without."""
    return end_of(by_reading(run, lambda r: r.channels().text.value))


def weights_channel(run: FinishedRun) -> float | None:
    """Effect of weights alone: the living agents without a library minus a newborn without."""
    return end_of(by_reading(run, lambda r: r.channels().weights.value))


def synergy(run: FinishedRun) -> float | None:
    """Effect of both together beyond the sum of the two."""
    return end_of(by_reading(run, lambda r: r.channels().synergy.value))


def over_nothing(run: FinishedRun, library: str) -> float | None:
    """Difference of the share a newborn solves with a library and with nothing, over the problems for which its own
    library shows all that is needed; mean over the last readings. Definitions that do not fit into the budget are not
    shown, and their problems are left out. In a domain without names, over all problems: posts are found by words."""
    rows = run.store.query(
        "SELECT own.generation, AVG(other.correct > 0) - AVG(bare.correct > 0) AS gain FROM ratchet own"
        " JOIN ratchet other ON other.generation = own.generation AND other.mind = own.mind AND other.library = ?"
        " AND other.domain = own.domain AND other.depth = own.depth AND other.problem = own.problem"
        " AND other.needs = 1"
        " JOIN ratchet bare ON bare.generation = own.generation AND bare.mind = own.mind AND bare.library = ?"
        " AND bare.domain = own.domain AND bare.depth = own.depth AND bare.problem = own.problem"
        " AND bare.needs = 1"
        " WHERE own.mind = ? AND own.library = ? AND own.needs = 1"
        " AND (own.follows IS NOT NULL OR own.domain NOT IN (SELECT domain FROM ratchet WHERE library = ?))"
        " GROUP BY own.generation ORDER BY own.generation",
        [library, EMPTY, NEWBORN, OWN, WRONG],
    )
    return end_of([(r["generation"], r["gain"]) for r in rows])


def reading_difference(run: FinishedRun) -> float | None:
    return over_nothing(run, OWN)


def filler_difference(run: FinishedRun) -> float | None:
    """The same for filler notes of equal length that do not concern the problem."""
    return over_nothing(run, "filler")


def follows(library: str) -> Metric:
    """Share of the answers that follow the definitions shown, at the end (`Reading.followed`)."""
    return lambda run: end_of(by_reading(run, lambda r: r.followed(library)[0].value))


def right_despite_wrong(run: FinishedRun) -> float | None:
    """Share of the answers that are right although the definitions shown are wrong, at the end."""
    return end_of(by_reading(run, lambda r: r.followed(WRONG)[1].value))


# -- schools ----------------------------------------------------------------------------------------------------------


def school(run: FinishedRun, name: str, depths: Sequence[int]) -> float | None:
    """Mean over depths of the share of problems without names that the newborn of a school solves, after the last
    generation; None without that school or one of the depths. `arena.phases.measure.newborn_school` defines the
    schools."""
    rows = run.store.query(
        "SELECT depth, AVG(correct > 0) AS share FROM ratchet WHERE mind = ? AND library = ? AND needs = 0"
        " AND generation = ? GROUP BY depth",
        [SCHOOLED, f"school_{name}", run.last],
    )
    by_depth = {r["depth"]: r["share"] for r in rows}
    return statistics.fmean(by_depth[d] for d in depths) if set(depths) <= set(by_depth) else None


def schooled(name: str, depths: Sequence[int] = MIDDLE) -> Metric:
    return lambda run: school(run, name, depths)


def late_over_early(run: FinishedRun) -> float | None:
    """A newborn schooled on late posts minus one on early ones, depths 3 to 6."""
    return difference(school(run, "late", MIDDLE), school(run, "early", MIDDLE))


def late_over_early_3_8(run: FinishedRun) -> float | None:
    return difference(school(run, "late", WHOLE), school(run, "early", WHOLE))


# -- diversity --------------------------------------------------------------------------------------------------------


def distinct_problems(run: FinishedRun) -> Points:
    """By generation, distinct behaviours as a share of the valid problems."""
    found = generation.proposals(run.store)
    return [(g, p.behaviours / p.valid) for g, p in found.items() if p.valid]


def depth(run: FinishedRun) -> Points:
    """By generation, mean depth of the valid problems."""
    return [(g, p.depth) for g, p in generation.proposals(run.store).items() if p.depth is not None]


def prompt_entropy(run: FinishedRun) -> float | None:
    """Shannon entropy, in bits, of the words of all programs set in the last generation: 0 for a single word. Not
    corrected for the number of words, so it is biased downwards for small generations."""
    rows = run.store.query("SELECT text FROM problems WHERE valid AND generation = ?", [run.last])
    words = Counter(w for r in rows for w in (r["text"] or "").partition("|")[0].split())
    total = words.total()
    return math.fsum(n / total * math.log2(total / n) for n in words.values()) if total else None


def distinct_problems_first(run: FinishedRun) -> float | None:
    return dict(distinct_problems(run)).get(1)


def distinct_problems_last(run: FinishedRun) -> float | None:
    return dict(distinct_problems(run)).get(run.last)


def depth_first(run: FinishedRun) -> float | None:
    return dict(depth(run)).get(1)


def depth_last(run: FinishedRun) -> float | None:
    return dict(depth(run)).get(run.last)


def distinct_change(run: FinishedRun) -> float | None:
    return difference(distinct_problems_last(run), distinct_problems_first(run))


CULTURE_METRICS: dict[str, Metric] = {
    "names_known_end": names_known_end,
    "level_end": level_end,
    "names_wrong_end": names_wrong_end,
    "names_known_before_burn": names_known_before_burn,
    "names_known_after_burn": names_known_after_burn,
    "names_known_after_restore": names_known_after_restore,
    "discoveries": discoveries,
    "guesses_per_discovery": guesses_per_discovery,
    "discoveries_half": discoveries_half,
    "guesses_per_discovery_half": guesses_per_discovery_half,
    "guesses_to_8": guesses_to(8),
    "guesses_to_16": guesses_to(16),
    "guesses_to_24": guesses_to(24),
    "guesses_to_32": guesses_to(32),
    "level_reached": level_reached,
    "ratchet_end": ratchet_end,
    "ratchet_slope": ratchet_slope,
    "ratchet_margin": ratchet_margin,
    "ratchet_over_stale": ratchet_over_stale,
    "text_channel": text_channel,
    "weights_channel": weights_channel,
    "synergy": synergy,
    "reading_difference": reading_difference,
    "filler_difference": filler_difference,
    "follows_own": follows(OWN),
    "follows_wrong": follows(WRONG),
    "right_despite_wrong": right_despite_wrong,
    "late_over_early": late_over_early,
    "late_over_early_3_8": late_over_early_3_8,
    "school_none_3_6": schooled("none"),
    "school_early_3_6": schooled("early"),
    "school_late_3_6": schooled("late"),
    "school_hard_early_3_6": schooled("hard_early"),
    "school_hard_late_3_6": schooled("hard_late"),
    "distinct_first": distinct_problems_first,
    "distinct_problems_last": distinct_problems_last,
    "distinct_change": distinct_change,
    "depth_first": depth_first,
    "depth_last": depth_last,
    "prompt_entropy": prompt_entropy,
}
CULTURE_LABELS: dict[str, str] = {
    "names_known_end": "names an agent knows, at the end",
    "level_end": "deepest level an agent knows, at the end",
    "names_wrong_end": "names an agent is wrong about, at the end",
    "names_known_before_burn": "names known before the library burns",
    "names_known_after_burn": "names known after the library burns",
    "names_known_after_restore": "names known after it is restored",
    "discoveries": "discoveries",
    "guesses_per_discovery": "guesses per discovery",
    "discoveries_half": "names discovered in the first half",
    "guesses_per_discovery_half": "guesses per discovery in the first half",
    "guesses_to_8": "guesses up to the 8th discovery",
    "guesses_to_16": "guesses up to the 16th discovery",
    "guesses_to_24": "guesses up to the 24th discovery",
    "guesses_to_32": "guesses up to the 32nd discovery",
    "level_reached": "deepest level with two discoveries",
    "ratchet_end": "ratchet, at the end",
    "ratchet_slope": "ratchet, slope per generation",
    "ratchet_margin": "ratchet, over the best control",
    "ratchet_over_stale": "ratchet, over the stale library",
    "text_channel": "channel of text",
    "weights_channel": "channel of weights",
    "synergy": "synergy of text and weights",
    "reading_difference": "reading what is needed or found, over nothing",
    "filler_difference": "filler of equal length, over nothing",
    "follows_own": "answers that follow a right definition",
    "follows_wrong": "answers that follow a wrong definition",
    "right_despite_wrong": "answers right despite a wrong definition",
    "late_over_early": "schooled on late posts over early ones, depths 3-6",
    "late_over_early_3_8": "schooled on late posts over early ones, depths 3-8",
    "school_none_3_6": "schooled on seed examples alone, depths 3-6",
    "school_early_3_6": "schooled on early posts, depths 3-6",
    "school_late_3_6": "schooled on late posts, depths 3-6",
    "school_hard_early_3_6": "schooled on early posts, hard first, depths 3-6",
    "school_hard_late_3_6": "schooled on late posts, hard first, depths 3-6",
    "distinct_first": "distinct problems, first generation",
    "distinct_problems_last": "distinct problems, last generation",
    "distinct_change": "distinct problems, change",
    "depth_first": "depth set, first generation",
    "depth_last": "depth set, last generation",
    "prompt_entropy": "entropy of words set, bits",
}
"""Labels of the metrics in a comparison."""
