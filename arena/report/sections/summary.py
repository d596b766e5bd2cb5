"""The first page: what was run, what was found and how sure it is, who set the best problems, which post helped most.

Every number here is explained in a section of its own; this one names them. Alarms stand above it on the page.

Left out: causes, but for reading, which was withheld to measure it. Not guaranteed: that another seed would find the
same; intervals of one run speak of other problems for the same agents.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from arena.report.figure import Section, Table
from arena.report.measured import names_in
from arena.report.ratings import Rating, Ratings
from arena.report.source import Source
from arena.report.statistics import wilson_interval
from arena.report.tables import count, decimal, duration, gain_sentence, interval, names_sentence, span
from arena.report.usefulness import EVALUATIONS, Pairs, Uplift, offspring, uplifts
from arena.store import Row, Store

MOST_ROWS = 12
BODY = 90
"""Letters of a post's body in a table."""
SURE = (
    "How sure: intervals are 95 %, over problems. All problems of a run were tried by the same agents, so they do not "
    "say how another seed would fare; for that, several seeds have to be run and analyzed together."
)


@dataclass(frozen=True)
class Setter:
    """What an agent set over its life."""

    name: str
    set: int
    valid: int
    learnable: int
    varied_set: int
    """Varied from a post of the library."""
    varied: int
    """Of these, learnable."""
    depth: float | None
    """Mean of the learnable ones."""
    reward: float | None
    rating: Rating | None


def section(source: Source) -> Section:
    a, store = source.analysis, source.store
    setters, helpful, fertile = read_setters(store), definitions(store), worked_examples(store)
    found = [what_was_run(source), *skill(a), *named(a), held(a), *best_setter(setters), *best_post(helpful, fertile)]
    if len(found) > 2:
        found.append(SURE)
    missing = []
    if not a["generations"]:
        missing.append("Anything that was learned: no generation has been played yet.")
    if not helpful and a["generations"]:
        missing.append(
            "Which post helped most: nothing was asked both with and without reading."
            if "hidden_words" in a["domains"]
            else "Which post helped most: reading is measured with hidden names only, and the run has none."
        )
    tables = [run_table(source)]
    if setters:
        tables.append(setters_table(setters))
    if helpful:
        tables.append(posts_table(helpful))
    return Section("summary", "What was run, and what was found", tuple(found), (), tuple(tables), tuple(missing))


# -- what is said ----------------------------------------------------------------------------------------------------


def what_was_run(source: Source) -> str:
    a, config = source.analysis, source.config
    played = sum(g["complete"] for g in a["generations"])
    c, domains = a["compute"], " and ".join(map(spaced, a["domains"]))
    return (
        f"{config.population.agents} agents played {played} of {a['planned_generations']} generations of {domains} "
        f"from seed {a['seed']}, in {duration(c['seconds'])} and {count(c['counted'])} compute units "
        f"(evaluation: {count(c['evaluation'])} more, apart)."
    )


def skill(a: dict[str, Any]) -> list[str]:
    means = a["heldout_before_after"]
    if not means["depths"]:
        return []
    if means["gain"] is None:
        before = f"Held-out pass rate at depths {span(means['depths'])} before the first generation: "
        return [before + f"{interval(means['before'], 'mean')}. {gain_sentence(a)}"] if means["before"] else []
    low, high = means["gain"]["low"], means["gain"]["high"]
    rose, fell = low is not None and low > 0, high is not None and high < 0
    verb = "rose" if rose else "fell" if fell else "did not clearly change"
    return [
        f"Held-out skill {verb}: pass rate at depths {span(means['depths'])} {interval(means['before'], 'mean')} "
        f"before, {interval(means['after'], 'mean')} after generation {means['generation']}; gain "
        f"{interval(means['gain'], 'mean', sign=True)}, paired by problem."
    ]


def named(a: dict[str, Any]) -> list[str]:
    return [names_sentence(a["names"]).rstrip(".") + "."] if a["names"] and a["names"]["generations"] else []


def held(a: dict[str, Any]) -> str:
    library = a["library"]
    if not library["posts"]:
        return "The library holds nothing."
    kinds = ", ".join(f"{count(n)} {spaced(kind)}s" for kind, n in library["by_kind"].items())
    asleep = count(library["sleep_reads"])
    text = f"The library holds {kinds}, read {count(library['reads'])} times at work and {asleep} asleep"
    if library["cited_by_others"] is not None:
        text += f"; {library['cited_by_others']:.0%} of them are cited by others"
    return text + "."


def best_setter(setters: Sequence[Setter]) -> list[str]:
    if not any(s.learnable for s in setters):
        return []
    most = max(setters, key=lambda s: s.learnable)
    low, high = wilson_interval(most.learnable, most.set)
    total = sum(s.learnable for s in setters)
    text = (
        f"Most useful setter: {most.name}, with {most.learnable} learnable problems of {most.set} set "
        f"({most.learnable / most.set:.0%} [{low:.0%}, {high:.0%}]), {most.learnable / total:.0%} of the run's; their "
        f"mean depth is {decimal(most.depth, 1)}."
    )
    fresh = most.set - most.varied_set
    if most.varied_set and fresh:
        text += (
            f" Why: of what it varied from posts of the library {most.varied / most.varied_set:.0%} was learnable, of "
            f"the rest {(most.learnable - most.varied) / fresh:.0%}, and {most.varied_set / most.set:.0%} was varied."
        )
    rate = max((s for s in setters if s.set), key=lambda s: s.learnable / s.set)
    if rate is not most:
        low, high = wilson_interval(rate.learnable, rate.set)
        text += (
            f" A problem by {rate.name} was learnable more often: {rate.learnable} of {rate.set} "
            f"({rate.learnable / rate.set:.0%} [{low:.0%}, {high:.0%}])."
        )
    return [text]


def best_post(helpful: Sequence[tuple[Row, Uplift, Row]], fertile: Sequence[Row]) -> list[str]:
    said = []
    if helpful:
        post, u, use = helpful[0]
        said.append(
            f"Post that helped most: the definition of {post['title']} by {post['author']}, generation "
            f"{post['generation']}. Held-out problems that use it are solved {u.with_reading:.2f} with reading, "
            f"{u.without_reading:.2f} without: {u.difference:+.2f} [{u.low:+.2f}, {u.high:+.2f}] (n = {u.n}). "
            f"It was read {count(use['reads'])} times at work by {use['readers']} agent{'s' * (use['readers'] != 1)}."
        )
    if fertile and fertile[0]["learnable"]:
        top = fertile[0]
        said.append(
            f"Worked example with most offspring: {clip(top['title'])} by {top['author']}, generation "
            f"{top['generation']}; {top['n']} problems were varied from it, {top['learnable']} of them learnable. That "
            "is use, not a measured effect."
        )
    return said


# -- what is read ----------------------------------------------------------------------------------------------------


def read_setters(store: Store) -> list[Setter]:
    """Who set problems, most learnable ones first."""
    ratings = Ratings()
    rewards: dict[str, tuple[float, int]] = {}
    races: dict[int, dict[str, float]] = {}
    for r in store.query("SELECT generation, agent, reward, n FROM rewards WHERE role = 'setter' ORDER BY generation"):
        races.setdefault(r["generation"], {})[r["agent"]] = r["reward"]
        total, n = rewards.get(r["agent"], (0.0, 0))
        rewards[r["agent"]] = (total + r["reward"] * r["n"], n + r["n"])
    for generation, rewarded in races.items():
        ratings.race(generation, "setter", rewarded)
    sql = (
        "SELECT p.author, COUNT(*) AS n, SUM(p.valid) AS valid, SUM(COALESCE(o.learnable, 0)) AS learnable,"
        " SUM(r.parent_post IS NOT NULL) AS varied_set,"
        " SUM(COALESCE(o.learnable, 0) AND r.parent_post IS NOT NULL) AS varied,"
        " AVG(CASE WHEN o.learnable THEN p.depth END) AS depth FROM problems p"
        " LEFT JOIN outcomes o ON o.round = p.round LEFT JOIN rounds r ON r.id = p.round GROUP BY p.author"
    )
    found = [
        Setter(
            r["author"],
            r["n"],
            r["valid"],
            r["learnable"],
            r["varied_set"],
            r["varied"],
            r["depth"],
            rewards[r["author"]][0] / rewards[r["author"]][1] if r["author"] in rewards else None,
            ratings.at("setter", r["author"]),
        )
        for r in store.query(sql)
    ]
    return sorted(found, key=lambda s: (-s.learnable, s.name))


def definitions(store: Store) -> list[tuple[Row, Uplift, Row]]:
    """Definitions by measured uplift, the best first: (post, uplift, how it was read at work)."""
    posts = store.query("SELECT id, title, author, generation, body FROM posts WHERE kind = 'definition' ORDER BY seq")
    if not posts:
        return []
    pairs = Pairs()
    pairs.add(row[1:] for row in store.db.execute(EVALUATIONS + " ORDER BY rowid").fetchall())
    found = uplifts({p["id"]: pairs.counts(p["title"], p["generation"]) for p in posts if names_in(p["title"])})
    reads = {
        r["post"]: r
        for r in store.query(
            "SELECT r.post, COUNT(*) AS reads, COUNT(DISTINCT r.agent) AS readers FROM reads r JOIN posts p"
            " ON p.id = r.post WHERE r.phase != 'sleep' AND p.kind = 'definition' GROUP BY r.post"
        )
    }
    by_id = {p["id"]: p for p in posts}
    ranked = sorted(found, key=lambda i: (-found[i].shrunk, by_id[i]["title"]))
    return [(by_id[i], found[i], reads.get(i, {"reads": 0, "readers": 0})) for i in ranked]


def worked_examples(store: Store) -> list[Row]:
    """Worked examples that were varied, those with most learnable offspring first."""
    found = offspring(store)
    posts = store.query("SELECT id, title, author, generation FROM posts WHERE kind = 'worked_example' ORDER BY seq")
    rows = [
        {**p, "n": found[p["id"]].set, "valid": found[p["id"]].valid, "learnable": found[p["id"]].learnable}
        for p in posts
        if p["id"] in found
    ]
    return sorted(rows, key=lambda r: (-r["learnable"], -r["n"]))


# -- what is shown ---------------------------------------------------------------------------------------------------


def run_table(source: Source) -> Table:
    a, config, meta = source.analysis, source.config, source.store.meta()
    shares = ", ".join(f"{spaced(name)} {d.share:.0%}" for name, d in config.domains.items())
    r, s = config.rounds, config.sleep
    rows = [
        ("run", f"{a['run']}, seed {a['seed']}" + ("" if a["finished"] else " (not finished)")),
        ("domains", shares),
        ("base model", f"{meta.get('base', config.model.path)}, {meta.get('base model', 'digest unknown')}"),
        ("engine", f"{meta.get('engine', config.engine.kind)} on {meta.get('device', config.engine.device)}"),
        ("agents", f"{config.population.agents} at a time, {len(a['agents'])} in all"),
        ("a generation", f"{r.per_agent} problems an agent, each tried {r.attempts} times by {r.solvers} solvers"),
        ("setter", f"{r.setter}; {r.vary:.0%} vary a post of the library; paid by {config.rewards.setter}"),
        ("library", "shared" if config.library.shared else "each agent on its own"),
        ("sleep", f"LoRA rank {s.rank}, learning rate {s.learning_rate:g}" if s.enabled else "off: nothing is learned"),
        ("turnover", f"every {config.turnover.every} generations" if config.turnover.every else "nobody retires"),
        ("held-out set", config.measure.split),
    ]
    return Table(("what", "how"), tuple(rows), "What was run; config.yaml beside the report has every key.")


def setters_table(setters: Sequence[Setter]) -> Table:
    columns = ("agent", "set", "valid", "learnable", "share learnable", "varied", "mean depth", "reward", "rating")
    rows = []
    for s in setters[:MOST_ROWS]:
        low, high = wilson_interval(s.learnable, s.set)
        rating = f"{s.rating.mu:.1f} ± {2 * s.rating.sigma:.1f}" if s.rating else "-"
        rows.append(
            (
                s.name,
                str(s.set),
                str(s.valid),
                str(s.learnable),
                f"{s.learnable / s.set:.2f} [{low:.2f}, {high:.2f}]",
                str(s.varied),
                decimal(s.depth, 1),
                decimal(s.reward, 2),
                rating,
            )
        )
    more = f" {MOST_ROWS} of {len(setters)}." if len(setters) > MOST_ROWS else ""
    return Table(
        columns,
        tuple(rows),
        "Who set useful problems. Varied, mean depth: of the learnable ones. Reward: mean a problem. Rating: against "
        f"those alive at the same time, mean 25 at birth, ± 2 standard deviations.{more}",
        frozenset(columns[1:]),
    )


def posts_table(helpful: Sequence[tuple[Row, Uplift, Row]]) -> Table:
    columns = ("definition", "by", "generation", "with", "without", "uplift", "pairs", "reads", "readers")
    rows = tuple(
        (
            clip(p["body"]),
            p["author"],
            str(p["generation"]),
            f"{u.with_reading:.2f}",
            f"{u.without_reading:.2f}",
            f"{u.difference:+.2f} [{u.low:+.2f}, {u.high:+.2f}]",
            str(u.n),
            str(use["reads"]),
            str(use["readers"]),
        )
        for p, u, use in helpful[:MOST_ROWS]
    )
    more = f" {MOST_ROWS} of {len(helpful)}." if len(helpful) > MOST_ROWS else ""
    return Table(
        columns,
        rows,
        "What reading a definition did, most first, ranked by the estimate drawn towards the mean of all where pairs "
        f"are few. A problem with several names counts for each of them.{more}",
        frozenset(columns[2:]),
    )


def clip(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= BODY else line[: BODY - 1] + "…"


def spaced(name: str) -> str:
    return name.replace("_", " ")
