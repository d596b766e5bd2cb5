"""Estimates of the size of a run folder from its config: run.db with and without `store.retention`, and adapters.

Bytes per row with indexes (`ROW`) were measured on finished runs (docs/long_runs.md); the number of rows per generation
follows from the config. Texts come on top: in the bare notation as measured, in chats at the maximum length of replies.
Left out: keys (a small file per agent), ratchet measurements, reports and exports. Not guaranteed: a library in which
much more or less is posted, read or rejected than in those runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from arena.config.schema import Config
from arena.run.adapters import spacing
from curricula.domain import Domain, Named

ROW = {
    "rounds": 158, "problems": 165, "attempts": 172, "grades": 135, "outcomes": 60, "guesses": 105, "evaluations": 148,
    "reads": 430, "posts": 770, "leaves": 215, "agents": 330, "corrections": 90, "generation": 1600,
}  # fmt: skip
"""Bytes per row, with indexes and without the texts that retention deletes. `agents`: per living agent and generation
(rewards, checkpoint, training). `generation`: per generation (phases, tree head)."""
WORDS = {"problems": 118, "attempts": 75, "grades": 55, "guesses": 45, "corrections": 60}
"""Bytes per row of the texts that retention deletes, in the bare notation."""
BARE = 2.5
"""Bytes per token of the bare notation."""
LOGPROB = 12
"""Bytes per stored log-probability of a token (`RunState.stored_logprobs`)."""
CHARACTERS = 4
"""Bytes per token of a chat."""
EMPTY = 230_000
"""Bytes of a database without generations."""
POSTED, LEARNABLE = 0.35, 0.2
"""Posts per problem, in addition to one per agent; share of problems with a worked example to train on."""
FOLDER = 1_200
"""Bytes of an adapter's folder without its weights."""
STATES = 4
"""Vectors of the size of an adapter that the learner keeps per agent."""
RETAINED = 20
"""The retention to suggest if none is set."""


@dataclass(frozen=True)
class Sizes:
    """Bytes at the end of the run. `words`: per generation, the texts that `store.retention` deletes later."""

    database: float
    database_whole: float
    adapters: float
    generation: float
    words: float


def predict(config: Config, domains: Mapping[str, Domain], adapter: int) -> Sizes:
    """Sizes for adapters of `adapter` parameters each; 0 if nothing is trained."""
    rows, words = rows_of(config, domains), words_of(config)
    lasting = sum(ROW[name] * n for name, n in rows.items())
    going = sum(words.get(name, 0) * n for name, n in rows.items())
    n, keep = config.generations, config.store.retention
    full = EMPTY + ROW["evaluations"] * evaluated_once(config, domains)
    whole = full + n * (lasting + going)
    kept = full + n * lasting + min(n, keep or n) * going
    return Sizes(kept, whole, adapters_of(config, adapter), lasting, going)


def size_line(config: Config, domains: Mapping[str, Domain], adapter: int) -> str:
    """One line on the size of the run folder."""
    sizes = predict(config, domains, adapter)
    folder = (sizes.database + sizes.adapters) / 1e6
    line = (
        f"run folder: about {folder:,.0f} MB (run.db {sizes.database / 1e6:,.0f}, adapters {sizes.adapters / 1e6:,.0f})"
    )
    if config.store.retention:
        return f"{line}; with all words kept, run.db {sizes.database_whole / 1e6:,.0f} MB"
    keep = {"retention": RETAINED}
    least = predict(config.model_copy(update={"store": config.store.model_copy(update=keep)}), domains, adapter)
    if config.generations <= RETAINED:
        return line
    return f"{line}; with store.retention={RETAINED}, run.db {least.database / 1e6:,.0f} MB"


def rows_of(config: Config, domains: Mapping[str, Domain]) -> dict[str, float]:
    """Rows per generation, by table."""
    r, s, agents = config.rounds, config.sleep, config.population.agents
    problems = agents * r.per_agent
    depths = sum(len(config.measure.depths_of(d)) * (2 if isinstance(d, Named) else 1) for d in domains.values())
    there = LEARNABLE * problems
    slept = agents * (min(s.fresh, there) + min(s.archive, there * config.generations / 2)) * s.enabled
    posts = POSTED * problems + agents
    return {
        "rounds": problems,
        "problems": problems,
        "outcomes": problems,
        "attempts": problems * r.solvers * r.attempts,
        "grades": problems * r.grade,
        "guesses": agents * r.guesses * any(isinstance(d, Named) for d in domains.values()),
        "corrections": agents * s.review * s.enabled,
        "evaluations": depths * agents * config.measure.per_depth,
        "reads": problems * r.vary + slept,
        "posts": posts,
        "leaves": posts + agents * s.enabled,
        "agents": agents,
        "generation": 1,
    }


def words_of(config: Config) -> dict[str, float]:
    """Bytes of text per row, by table."""
    if config.prompts.style != "chat":
        found: dict[str, float] = dict(WORDS)
        tokens = {name: words / BARE for name, words in found.items()}
    else:
        reply, read = CHARACTERS * config.rounds.max_tokens, CHARACTERS * config.library.budget
        found = {"problems": reply, "attempts": reply + read, "grades": reply, "guesses": reply, "corrections": reply}
        tokens = dict.fromkeys(found, config.rounds.max_tokens)
    if config.sleep.needs_logprobs:
        for name in ("problems", "attempts", "grades"):
            found[name] += LOGPROB * tokens[name]
    return found


def evaluated_once(config: Config, domains: Mapping[str, Domain]) -> float:
    """Rows of the evaluations before the first and after the last generation."""
    plain = sum(len(config.measure.depths_of(d)) for d in domains.values())
    named = sum(len(config.measure.depths_of(d)) for d in domains.values() if isinstance(d, Named))
    return 2.0 * config.measure.final_per_depth * (2 * plain + named)


def adapters_of(config: Config, adapter: int) -> float:
    """Bytes of the adapters on disk at the end of the run."""
    if not adapter or not config.sleep.enabled or not config.generations:
        return 0.0
    n, others = config.generations, config.population.others
    agents = config.population.agents - sum(len(one.places) for one in others.values())
    step = spacing(n, config.store.adapters, config.store.most_adapters)
    old = max(n - 2, 0) // step if step else 0
    each = agents * (4 * adapter + FOLDER)
    every = config.turnover.every if config.turnover.policy == "tournament" else config.turnover.life
    states = 2 + (min(1.0, 2 / every) if every else 0.0)  # of the last two generations, and of a turnover in them
    return (old + 2) * each + states * STATES * 4 * adapter * agents
