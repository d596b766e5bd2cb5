"""A tournament between generations: each generation plays the problems of all others, after the run.

Players are the generations whose adapters are still on disk, as they were after their sleep, and generation 0, which is
the base model. Problems are a fixed sample of the valid ones that these same agents set in the main domain, which is in
the generation after; so no agent is asked what it was just trained on, and the last generation, which set nothing more,
only plays. Every generation attempts every problem once, greedily; its agents take the problems in turn. All attempts
are one engine call: the adapters of all generations are stacked, like those of a population in a run.

Results are kept in `report/tournament.json`, or in the folder that the report is written into, and used again as long
as adapters, problems and program are the same. The tokens are evaluation: they are no part of the run's compute.
Nothing is written to the run's database.

Left out: engines other than the in-process one, the other domains, and models too large for the CPU where there is no
GPU. Not guaranteed: that a later player never saw a problem before, since agents are trained on worked examples of
earlier generations; `slept_on` names those that were.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from agents.atomic import write_atomically
from arena.config.schema import Config
from arena.run.agents import Player, find_teams
from arena.run.faults import is_for_user
from arena.run.store import Store

VERSION = 1
"""Version of the tournament; it changes when the same adapters and problems would give other results."""
PER_GENERATION = 96
CACHE = Path("report") / "tournament.json"

Listener = Callable[[str], None]


class NotPlayed(ValueError):
    """The tournament cannot be played; the message says why in one sentence."""


@dataclass(frozen=True)
class Question:
    """A problem set by the agents as they were after `generation`, with the notes that its first solver had read."""

    generation: int
    round: str
    text: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """Players and questions. `teams` are the players by generation; 0 has none, there the base model plays."""

    teams: dict[int, tuple[Player, ...]]
    questions: tuple[Question, ...]
    left_out: tuple[str, ...]
    """Sentences on adapters that are damaged."""

    @property
    def columns(self) -> tuple[int, ...]:
        return tuple(dict.fromkeys(q.generation for q in self.questions))

    def of(self, column: int) -> list[int]:
        """The places of one generation's questions."""
        return [i for i, q in enumerate(self.questions) if q.generation == column]

    def turn(self, generation: int) -> list[Player | None]:
        """The player of each question, in turn within each generation's questions; None is the base model."""
        team, at, found = self.teams[generation], dict[int, int](), list[Player | None]()
        for q in self.questions:
            at[q.generation] = at.get(q.generation, -1) + 1
            found.append(team[at[q.generation] % len(team)] if team else None)
        return found


@dataclass(frozen=True)
class TournamentResult:
    """`correct[generation][i]`: whether that generation's player solved question i."""

    plan: Plan
    correct: dict[int, tuple[int, ...]]
    prompt_tokens: int
    generated_tokens: int

    def cell(self, row: int, column: int) -> list[int]:
        """Results of the players of generation `row` on the questions of generation `column`."""
        return [self.correct[row][i] for i in self.plan.of(column)]


def silent(text: str) -> None:
    """A listener that does nothing."""


def tournament(
    folder: Path,
    store: Store,
    config: Config,
    per_generation: int = PER_GENERATION,
    listen: Listener = silent,
    out: Path | None = None,
) -> TournamentResult:
    """The tournament of a run: from a folder of its report if it was played before, else played now and kept.

    `out` is the folder to keep it in (default: that of the run's report). Raises NotPlayed, with the reason, where
    there can be none.
    """
    plan = make_plan(folder, store, config, per_generation)
    key = plan_key(plan, store.meta().get("base model", ""), config)
    path = out / CACHE.name if out else folder / CACHE
    found = read_cache(path, key, plan) or read_cache(folder / CACHE, key, plan)
    if found is None:
        listen(f"tournament: {len(plan.questions) * len(plan.teams)} attempts by {len(plan.teams)} generations")
        found = play(folder, store, config, plan)
        with contextlib.suppress(OSError):  # a folder that cannot be written costs the next reader some seconds
            write_cache(path, key, found)
    return found


# -- the plan ----------------------------------------------------------------------------------------------------


def make_plan(folder: Path, store: Store, config: Config, per_generation: int) -> Plan:
    """The plan, from the database and the adapters on disk. Raises NotPlayed."""
    if not config.engine.spec.in_process:
        raise NotPlayed(
            f"The tournament of old and new agents needs the in-process engine; this run used {config.engine.kind}."
        )
    if not config.sleep.enabled:
        raise NotPlayed(
            "Nothing was trained in this run (sleep.enabled is false), so all generations would play alike."
        )
    teams, left_out = find_teams(folder, store, config)
    if not teams:
        raise NotPlayed(
            "No adapters of this run are left beside its database (adapters/gNNNN/), so no old agent can play."
            + "".join(f" {s}" for s in left_out)
        )
    sets = {g: questions(store, config, g, per_generation) for g in sorted({0, *teams})}
    asked = tuple(q for found in sets.values() for q in found)
    if not asked:
        raise NotPlayed("No valid problem was set by the generations whose adapters are left.")
    return Plan({0: (), **teams}, asked, tuple(left_out))


def questions(store: Store, config: Config, generation: int, most: int) -> list[Question]:
    """A fixed sample of the valid problems of the main domain that the agents after `generation` set, in order."""
    sql = (
        "SELECT p.round, p.text, a.notes FROM problems p LEFT JOIN attempts a"
        " ON a.round = p.round AND a.seat = 'solver_0' AND a.number = 0"
        " WHERE p.valid AND p.generation = ? AND p.domain = ? ORDER BY p.round"
    )
    rows = store.query(sql, [generation + 1, config.main_domain])
    rng = random.Random(f"{config.seed}/tournament/{generation}")
    chosen = sorted(rng.sample(range(len(rows)), min(most, len(rows))))
    return [
        Question(generation, rows[i]["round"], rows[i]["text"], tuple(json.loads(rows[i]["notes"] or "[]")))
        for i in chosen
    ]


# -- playing -----------------------------------------------------------------------------------------------------


def play(folder: Path, store: Store, config: Config, plan: Plan) -> TournamentResult:
    """One engine call for all attempts. Raises NotPlayed where the model is not there or does not fit."""
    import torch

    from agents.adapters import is_small
    from agents.engine import Request
    from arena.rounds.roles import solver
    from arena.run.agents import RunModels, run_threads, voice_of_run
    from arena.run.state import make_domains

    try:
        models = RunModels(folder, store, config)
        assert models.base is not None, config.engine.kind
        if models.base.device.type == "cpu" and not is_small(models.base):
            raise ValueError("the base model is large, and there is no GPU here")
        models.use({p.name: p.path for team in plan.teams.values() for p in team})
    except (ValueError, OSError, torch.OutOfMemoryError) as error:
        if _is_fault(error):
            raise
        raise _not_here(error) from None
    domain = make_domains(config)[config.main_domain]
    problems = [domain.problem(q.text) for q in plan.questions]
    voice = voice_of_run(config, store)
    requests = [
        Request(
            f"tournament/{g}/{q.round}",
            solver.ask(voice, domain, player.name if player else "a newborn", problem, q.notes),
            player.name if player else None,
            config.rounds.max_tokens,
            0.0,
        )
        for g in plan.teams
        for q, problem, player in zip(plan.questions, problems, plan.turn(g), strict=True)
    ]
    try:
        with run_threads(config):
            done = models.engine.generate(requests)
    except (ValueError, torch.OutOfMemoryError) as error:  # such as problems too long for the model
        if _is_fault(error):
            raise
        raise _not_here(error) from None
    n = len(problems)
    right = [int(domain.verify(problems[i % n], solver.read(voice, c.text)).correct) for i, c in enumerate(done)]
    correct = {g: tuple(right[i * n : (i + 1) * n]) for i, g in enumerate(plan.teams)}
    return TournamentResult(plan, correct, sum(c.prompt_tokens for c in done), sum(c.generated_tokens for c in done))


def _is_fault(error: Exception) -> bool:
    """Whether it is a fault of the program, not a reason why the tournament cannot be played."""
    return isinstance(error, ValueError) and not is_for_user(error)


def _not_here(error: Exception) -> NotPlayed:
    return NotPlayed(f"The tournament of old and new agents cannot be played here: {str(error).splitlines()[0]}.")


def slept_on(store: Store, plan: Plan) -> dict[int, tuple[bool, ...]]:
    """Whether each question's player had it among its weights' examples, by generation.

    A newborn that inherited weights has what its parent had slept on by its birth.
    """
    sql = "SELECT name, born, parents, inherited FROM agents"
    born = {r["name"]: (r["born"], json.loads(r["parents"]), r["inherited"]) for r in store.query(sql)}
    rounds = {q.round for q in plan.questions}
    sql = (
        "SELECT r.agent, r.generation, p.about FROM reads r JOIN posts p ON p.id = r.post"
        " WHERE r.phase = 'sleep' AND p.kind = 'worked_example'"
    )
    first: dict[tuple[str, str], int] = {}
    for r in store.query(sql):
        round_ = r["about"].partition("/")[2]
        if round_ in rounds:
            key = (r["agent"], round_)
            first[key] = min(first.get(key, r["generation"]), r["generation"])

    def had(agent: str, until: int, round_: str) -> bool:
        while True:
            if first.get((agent, round_), until + 1) <= until:
                return True
            birth, parents, inherited = born[agent]
            if inherited != "weights" or not parents:
                return False
            agent, until = parents[0], birth

    return {
        g: tuple(
            player is not None and had(player.agent, g, q.round)
            for q, player in zip(plan.questions, plan.turn(g), strict=True)
        )
        for g in plan.teams
    }


# -- what is kept ------------------------------------------------------------------------------------------------


def plan_key(plan: Plan, base: str, config: Config) -> str:
    """A digest of everything that the result depends on."""
    players = [asdict(p) for team in plan.teams.values() for p in team]
    asked = [asdict(q) for q in plan.questions]
    text = json.dumps([VERSION, base, config.rounds.max_tokens, players, asked], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def read_cache(path: Path, key: str, plan: Plan) -> TournamentResult | None:
    """The stored result if it belongs to this plan, else None; a damaged file counts as none."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["key"] != key:
            return None
        correct = {g: tuple(int(c) for c in data["correct"][str(g)]) for g in plan.teams}
        if any(len(row) != len(plan.questions) or not {*row} <= {0, 1} for row in correct.values()):
            return None
        return TournamentResult(plan, correct, int(data["prompt_tokens"]), int(data["generated_tokens"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_cache(path: Path, key: str, played: TournamentResult) -> None:
    """Write the result atomically."""
    data = {
        "key": key,
        "version": VERSION,
        "questions": [q.round for q in played.plan.questions],
        "correct": {str(g): "".join(map(str, row)) for g, row in played.correct.items()},
        "prompt_tokens": played.prompt_tokens,
        "generated_tokens": played.generated_tokens,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(data, indent=1))
