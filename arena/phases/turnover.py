"""The phase `turnover`: agents retire, newborns take their places, and every few generations weights are consolidated.

A newborn inherits (`turnover.inherit`) its parents' weights, or is fine-tuned on the library before its first
generation, or both, or nothing. Reading is a separate channel (`arena.library.visibility`). Newborns of one generation
that read the same authors and start from the same weights are trained once and share the result.

Consolidation (`turnover.consolidate`) makes one adapter of the whole population; all living agents continue from it and
later newborns start from it. It is an adapter, not a new base model, so that every file of a run is a PEFT adapter of
one base and the newborn of the ratchet meter stays the same.

In a mixed population a newborn takes over the place of the agent that retired, and so its model; its parents are of the
same model, and it inherits weights only where they are trained.

Left out: choice of mates, and populations that grow or shrink.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from agents.inheritance import inherit
from agents.learner import OPTIMISER, VALUE, Learner
from arena.config.population import MAIN
from arena.library.recall import recalled_bodies
from arena.library.visibility import EVERYWHERE, retires_by_age, visible_authors
from arena.phases.migration import Immigrant, immigrants
from arena.phases.sleep import TrainingRecords, school_newborn
from arena.run.engines import rest
from arena.run.fold import RunState
from arena.run.state import Arena
from arena.run.store import Records, Row

BORN = "born"
"""Name of the checkpoint of the learner's state after a turnover."""
COMMONS = "commons"
"""Name of the checkpoint of the last consolidated adapter; with several islands, the island's mark is appended."""
MIGRATION = "migration"
"""Value of `agents.inherited` of a newborn with the weights of another island's agent."""


def turnover(arena: Arena) -> dict[str, list[Any]]:
    """Records of retirements, births, and the training of newborns."""
    state, models = arena.state, arena.models
    g, config = state.generation.index, arena.config.turnover
    records: dict[str, list[Any]] = {"agents": [], "retirements": []}
    if g >= arena.config.generations:
        return records
    order, scores = ranking(state)
    gone = retiring(state, order)
    number = arena.store.query("SELECT COUNT(*) AS n FROM agents")[0]["n"]
    coming, refused = immigrants(arena, len(state.living) - len(gone) - 1)
    for i, name in enumerate(gone):
        kind = state.model(name)
        parents = parents_of(state, [a for a in order if state.model(a) == kind], i, len(gone))
        inherited = config.inherit if models.learner and kind == MAIN else "nothing"
        records["agents"].append(arena.newborn(number + i, g, parents, inherited, state.places[name]))
        records["retirements"].append({"name": name, "generation": g, "reward": scores[name]})
    for i, one in enumerate(coming, len(gone)):
        name = [a for a in order if a not in gone][-1]
        records["agents"].append(arena.newborn(number + i, g, [one.sent.name], MIGRATION, state.places[name]))
        records["retirements"].append({"name": name, "generation": g, "reward": scores[name]})
        gone.append(name)
    consolidates = bool(models.learner and config.consolidate and g % config.consolidate == 0)
    if models.learner and (state.of_main(gone) or consolidates):
        rest(models.engine)
        checkpoints: list[Row] = []
        if consolidates:
            checkpoints.append(consolidate(arena, models.learner))
        born = [r for r in records["agents"] if arena.config.population.at(r["place"]) == MAIN]
        lessons = create_newborns(arena, models.learner, born, coming)
        for name in state.of_main(gone):
            models.learner.remove(name)
        path = f"adapters/g{g:04d}/{BORN}.safetensors"
        sha = models.learner.save(arena.folder / path)
        checkpoints.append({"generation": g, "name": BORN, "path": path, "sha256": sha})
        records |= {"checkpoints": checkpoints, "sleeps": lessons.sleeps, "reads": lessons.reads}
    moving = [r["name"] for r in records["agents"] if r["inherited"] == MIGRATION]
    moved = [*(one.row(state, name) for one, name in zip(coming, moving, strict=True)), *refused]
    return records | ({"migrations": moved} if moved else {})


def fold_turnover(arena: Arena, records: Records) -> None:
    """Newborns join the population, retired agents leave it."""
    arena.welcome(records.get("agents", ()), records.get("retirements", ()))


def ranking(state: RunState) -> tuple[list[str], dict[str, float]]:
    """(living agents, the best first; mean reward summed over roles) over the last `window` generations.

    In a mixed population, where agents may have different roles, the mean over an agent's roles counts.
    """
    g, config = state.generation.index, state.config.turnover
    sql = (
        "SELECT role, SUM(reward * n) / SUM(n) AS reward FROM rewards WHERE agent = ? AND generation > ? GROUP BY role"
    )
    scores = dict[str, float]()
    for a in state.living:
        paid = [r["reward"] for r in state.store.query(sql, [a, g - config.window])]
        scores[a] = sum(paid) / (max(1, len(paid)) if state.config.population.models else 1)
    return sorted(state.living, key=lambda a: (scores[a], a), reverse=True), scores


def retiring(state: RunState, order: Sequence[str]) -> list[str]:
    """The agents that retire at the end of this generation."""
    g, config = state.generation.index, state.config.turnover
    if config.policy == "tournament":
        return [order[-1]] if config.every and g % config.every == 0 else []
    return [a for a in state.living if retires_by_age(state, a)]


def parents_of(state: RunState, order: Sequence[str], at: int, births: int) -> list[str]:
    """Parents of the `at`-th newborn among `order`, the agents of its model; the one whose weights lead first.

    For one birth: the best agent, the best two, or all (`turnover.crossing`). For several births parents are drawn with
    probability falling with rank, so that a generation does not descend from one agent.
    """
    g, config = state.generation.index, state.config.turnover
    if config.crossing == "average":
        return list(order)
    want = min(2 if config.crossing == "crossover" else 1, len(order))
    if births == 1:
        return list(order[:want])
    rng, found = state.rng(g, "parents", at), list[str]()
    while len(found) < want:
        left = [a for a in order if a not in found]
        found += rng.choices(left, [len(order) - order.index(a) for a in left])
    return found


def create_newborns(
    arena: Arena, learner: Learner, rows: Sequence[Row], coming: Sequence[Immigrant] = ()
) -> TrainingRecords:
    """Add the newborns to the learner and train them as configured; the records of that training.

    Newborns with the weights of another island's agents act by these weights and are not trained.
    """
    state = arena.state
    config, starts = arena.config.turnover, dict[str, Tensor]()
    begins: dict[str, str] = {}  # the parent whose weights come first
    classes: dict[tuple[frozenset[str] | None, str], list[str]] = {}
    foreign = iter(coming)
    for row in rows:
        if row["inherited"] == MIGRATION:
            state.places[row["name"]] = row["place"]
            learner.add(row["name"], next(foreign).weights.clone())
            continue
        name, parents = row["name"], json.loads(row["parents"])
        state.places[name] = row["place"]
        with_weights = row["inherited"] in ("weights", "both") and parents
        if with_weights:
            known = [learner.acting_row(p) for p in parents]
            begins[name] = parents[0]
            starts[name] = inherit(config.crossing, known, learner.layout, config.mutation, f"{state.seed}/{name}")
        else:
            starts[name] = arena.initial_adapter(name)
        learner.add(name, starts[name].clone())
        if with_weights and config.crossing == "copy":
            learner.copy(parents[0], name, (*OPTIMISER, VALUE))  # keeps the optimizer state: no large first steps
        origin = hashlib.sha256(starts[name].numpy(force=True).tobytes()).hexdigest() if with_weights else ""
        classes.setdefault((visible_authors(state, name), origin), []).append(name)
    lessons = TrainingRecords()
    for names in classes.values():
        if config.inherit not in ("library", "both"):
            continue
        first, *others = names
        seed = f"{state.seed}/{state.generation.index}/school"
        memory = recalled_bodies(state, begins[first]) if first in begins else {}
        lessons.add(school_newborn(state, arena.models, learner, first, seed, memory))
        if first not in begins:
            learner.remove_start(first, starts[first])
        for name in others:
            learner.copy(first, name)
    return lessons


def consolidate(arena: Arena, learner: Learner) -> Row:
    """Make one adapter from which every living agent continues; its row of table `checkpoints`.

    With `turnover.consolidate_from` `adapters` it starts as the average of all acting adapters, with `library` as the
    untrained model. Then it is fine-tuned on the verified posts of the library, as a newborn is: sequence-level
    distillation (Kim & Rush 2016).
    """
    state, models = arena.state, arena.models
    g, config = state.generation.index, arena.config.turnover
    rows = [learner.acting_row(a) for a in state.main_agents]
    commons = state.commons_name
    seed = f"{state.seed}/{g}/{COMMONS}"
    averaged = config.consolidate_from == "adapters"
    start = inherit("average", rows, learner.layout, 0.0, seed) if averaged else learner.layout.fresh(seed)
    learner.add(commons, start.clone())
    state.places[commons] = EVERYWHERE
    school_newborn(state, models, learner, commons, seed, {})
    learner.remove_start(commons, start)
    path = f"adapters/{COMMONS}-g{g:04d}"
    sha = learner.layout.save_peft(learner.acting_row(commons), arena.folder / path, arena.base_name)
    models.commons = learner.layout.load_peft(arena.folder / path)
    learner.remove(commons)
    del state.places[commons]
    for name in state.main_agents:
        learner.replace(name, models.commons.clone())
    return {"generation": g, "name": commons, "path": path, "sha256": sha}
