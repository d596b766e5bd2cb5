"""The first section: the run, the findings with their uncertainty, the best setters and the most helpful post.

Every number here is explained in a section of its own. Alarms are above it on the page.

Left out: causes, except of reading, which was withheld to measure it. Not guaranteed: that another seed would find the
same; intervals of one run are over problems, for the same agents.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from arena.config.schema import Config
from arena.report.figures.figure import Section, Table
from arena.report.metrics.randomised_uplift import worths
from arena.report.metrics.reward_hacking import attempts, rejections
from arena.report.sections.culture.authors import authors, most_useful
from arena.report.sections.culture.knowledge import names_sentence
from arena.report.sections.culture.posts import best, definitions, why_none
from arena.report.sections.culture.worth import kinds_found
from arena.report.sections.diversity import collapsed
from arena.report.sections.heldout import gain_sentence
from arena.report.sections.reward_hacking import gamed
from arena.report.source import Source
from arena.report.stats.ratings import ROLES, ratings_of
from arena.text import compact, duration, interval, listed, span

MOST_ROWS = 12
SURE = (
    "Uncertainty: intervals are 95 %, over problems. All problems of a run were attempted by the same agents, so the "
    "intervals do not cover other seeds; for that, run several seeds and analyze them together."
)


def section(source: Source) -> Section:
    a, store = source.analysis, source.store
    setters, posts = authors(store, a["domain"]), definitions(store)
    most = most_useful(setters, len(a["generations"])) if setters else []
    found = [what_was_run(source), *skill(a), *named(a), held(a), *most[:2], *best(posts)[:2]]
    if refused := rejections(store):
        found += [*collapsed(source), *gamed(store, attempts(store), refused)[-1:]]
    if len(found) > 2:
        found.append(SURE)
    missing = [] if a["generations"] else ["Findings: no generation has been played yet."]
    if a["generations"] and not any(d.uplift for d in posts):
        by_words = source.config.named_domain is None and source.config.library.by_words
        effects = worths(store) if by_words else None
        found += kinds_found(effects) if effects else []
        missing += [] if effects else [why_none(source)]
    tables = (run_table(source), *((models_table(a["models"]),) if a["models"] else ()))
    tables += (agents_table(source),) if a["agents"] else ()
    return Section("summary", "Summary", tuple(found), (), tables, tuple(missing))


# -- what is said ----------------------------------------------------------------------------------------------------


def what_was_run(source: Source) -> str:
    a, config = source.analysis, source.config
    played = sum(g["complete"] for g in a["generations"])
    c, domains = a["compute"], " and ".join(map(spaced, a["domains"]))
    gone = a["words_gone_until"]
    kept = "" if gone is None else f" Words of attempts up to generation {gone} were not kept (store.retention)."
    return (
        f"{config.population.agents} agents played {played} of {a['planned_generations']} generations of {domains} "
        f"from seed {a['seed']}, in {duration(c['seconds'])} and {compact(c['counted'])} compute units (evaluation: "
        f"{compact(c['evaluation'])} more, not counted).{kept}"
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
    kinds = ", ".join(f"{compact(n)} {spaced(kind)}s" for kind, n in library["by_kind"].items())
    asleep = compact(library["sleep_reads"])
    text = f"The library holds {kinds}, read {compact(library['reads'])} times at work and {asleep} asleep"
    if library["cited_by_others"] is not None:
        text += f"; {library['cited_by_others']:.0%} of them are cited by others"
    return text + "."


def run_table(source: Source) -> Table:
    a, config, meta = source.analysis, source.config, source.store.meta()
    dtype = f", {meta['dtype']}" if meta.get("dtype") else ""
    shares = ", ".join(
        f"{spaced(name)} {d.share:.0%}" for name, d in zip(config.domain_names, config.domains.values(), strict=True)
    )
    r, s = config.rounds, config.sleep
    rows = [
        ("run", f"{a['run']}, seed {a['seed']}" + ("" if a["finished"] else " (not finished)")),
        ("domains", shares),
        ("base model", f"{meta.get('base', config.model.path)}, {meta.get('base model', 'digest unknown')}"),
        ("engine", f"{meta.get('engine', config.engine.kind)} on {meta.get('device', config.engine.device)}{dtype}"),
        ("agents", f"{config.population.agents} at a time, {len(a['agents'])} in all"),
        ("a generation", f"{r.per_agent} problems an agent, each attempted {r.attempts} times by {r.solvers} solvers"),
        ("setter", f"{r.setter}; {r.vary:.0%} vary a post of the library; paid by {config.rewards.setter}"),
        ("payment rule", f"{config.rewards.rule.formula} for the solve rate p: pays {config.rewards.rule.summary}"),
        ("library", library_words(config)),
        ("sleep", f"LoRA rank {s.rank}, learning rate {s.learning_rate:g}" if s.enabled else "off: nothing is learned"),
        ("turnover", turnover_words(config)),
        ("held-out set", config.measure.split),
    ]
    return Table(("what", "how"), tuple(rows), "What was run; config.yaml beside the report has every key.")


NETWORKS = {
    "all": "all agents read all posts",
    "ring": "each place reads itself and the one before it",
    "islands": "each island reads itself",
    "line": "each place reads the posts written in it",
    "self": "each agent on its own",
}


def library_words(config: Config) -> str:
    """Visibility of posts: network, expiry, burn and controls."""
    c = config.library
    words = [NETWORKS[c.network] if c.reading else "no reading"]
    words += [f"forgets by {c.forget}"] if c.forget != "keep" else []
    words += [f"lasts {c.lasts} generation{'s' if c.lasts > 1 else ''}"] if c.lasts else []
    words += [f"burns in generation {c.burn}"] if c.burn else []
    words += [f"restored in {c.restore}"] if c.restore else []
    words += [f"shows {c.content.replace('_', ' ')} in place of definitions"] if c.content != "own" else []
    return ", ".join(words)


def turnover_words(config: Config) -> str:
    """When agents retire, and what newborns inherit."""
    c = config.turnover
    if c.policy == "none" or (c.policy == "tournament" and not c.every):
        return "no retirement"
    when = f"every {c.every} generations" if c.policy == "tournament" else f"after {c.life} generations of life"
    crossing = f" by {c.crossing}" if c.inherit in ("weights", "both") and c.crossing != "copy" else ""
    return f"{when}, newborns inherit {'weights and library' if c.inherit == 'both' else c.inherit}{crossing}"


def agents_table(source: Source) -> Table:
    """Agents with their lifetimes, inheritance and ratings by role."""
    ratings = ratings_of(source.store)
    agents, mixed = source.analysis["agents"], bool(source.analysis["models"])
    rows = []
    for a in agents[:MOST_ROWS]:
        until = f"{a['born']} to {a['retired']}" if a["retired"] is not None else f"{a['born']}, alive"
        rated = [ratings.at(role, a["name"]) for role in ROLES]
        cells = (f"{r.mu:.1f} ± {2 * r.sigma:.1f}" if r else "-" for r in rated)
        origin = f"{a['inherited']} of {', '.join(a['parents'])}" if a["parents"] else a["inherited"]
        rows.append((a["name"], *((a["model"] or "-",) if mixed else ()), until, origin, *cells))
    more = f" {MOST_ROWS} of {len(agents)}." if len(agents) > MOST_ROWS else ""
    return Table(
        ("agent", *(("model",) if mixed else ()), "lived", "inherited", *ROLES),
        tuple(rows),
        "Agents, their lifetimes in generations, and their ratings by role against the agents alive at the same time, "
        f"25 at birth, ± 2 standard deviations.{more}",
        frozenset(ROLES),
    )


def models_table(models: Sequence[dict[str, Any]]) -> Table:
    """The models of a mixed population: who they are, what they did, and what they used."""
    paid = any(m["money"] is not None for m in models)
    rows = []
    for m in models:
        right = f"{m['correct'] / m['attempts']:.0%}" if m["attempts"] else "-"
        agree = f"{m['agree'] / m['votes']:.0%}" if m["votes"] else "-"
        counts = (f"{m[key]:,}" for key in ("set", "valid", "learnable"))
        used = (f"{m['posts']:,}", f"{m['requests']:,}", f"{m['prompt'] + m['generated']:,}")
        money = ("-" if m["money"] is None else f"{m['money']:,.4f}",) if paid else ()
        who = (m["name"], f"{m['base']}, {m['engine']}", ", ".join(m["agents"]))
        rows.append((*who, *counts, right, agree, *used, *money))
    trained = listed([m["name"] for m in models if m["trained"]])
    numbers = (
        "set",
        "valid",
        "learnable",
        "right",
        "votes",
        "posts",
        "requests",
        "tokens",
        *(("money",) if paid else ()),
    )
    return Table(
        ("model", "base", "agents", *numbers),
        tuple(rows),
        "Right: share of attempts. Votes: share of graders' votes that execution confirms. "
        "Tokens: prompt and generated, evaluation included. Held-out skill is that of the agents of main. "
        f"Trained: {trained or 'none'}.",
        frozenset(numbers),
    )


def spaced(name: str) -> str:
    return name.replace("_", " ")
