"""The phase `sleep`: agents are fine-tuned on the generation's experience, the library and seed data; in a mixed
population, those of the run's own model.

Each agent's examples are fresh worked examples, a sample of older ones, exercises in the definitions it can read,
reference solutions, its own attempts, grades and proposals (`arena.phases.experience`), corrections of failed attempts
(`arena.phases.corrections`), and seed examples against forgetting. Prompts are rebuilt as solvers are asked, with the
definitions that a post cites. Agents that retire now are trained only if their weights are inherited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agents.learner import Example, Learner
from arena.library.definitions import Body, DefinitionIndex
from arena.library.examples import entry_example, seed_examples
from arena.library.recall import recalled_bodies
from arena.library.visibility import readable, retires_by_age, visible_authors
from arena.phases import experience
from arena.phases.corrections import corrections
from arena.rounds.roles import setter, solver
from arena.rounds.round import Round
from arena.run.engines import rest
from arena.run.fold import RunState
from arena.run.models import Models
from arena.run.state import Arena
from arena.run.store import Row
from culture.library import Read
from curricula.domain import Confirmed, Named
from curricula.replay import Entry


@dataclass
class TrainingRecords:
    """Records of fine-tuning: rows of table `sleeps`, and the posts that were trained on."""

    sleeps: list[Row] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)

    def add(self, other: TrainingRecords) -> None:
        self.sleeps += other.sleeps
        self.reads += other.reads


def sleep(arena: Arena) -> dict[str, list[Any]]:
    """Train all agents in one mixed batch and write their adapters. The records are empty if nobody learns."""
    state, models = arena.state, arena.models
    if models.learner is None:
        return {"sleeps": [], "corrections": [], "checkpoints": [], "reads": []}
    g = state.generation.index
    examples, corrected = corrections(state, models, [a for a in state.main_agents if not skips_training(state, a)])
    lessons, index, shown = TrainingRecords(), DefinitionIndex(state), rounds_with_reference(state)
    credited = experience.round_credits(state)
    for agent in state.main_agents:
        if skips_training(state, agent):
            continue
        chosen = library_sample(state, agent)
        lessons.reads += [Read(g, "sleep", agent, f"g{g:04d}", e.post, 1.0) for e in chosen]
        examples += [entry_example(state, models.voice, index, agent, e) for e in chosen]
        lessons.add(exercises(state, index, agent, recalled_bodies(state, agent), examples))
        examples += references(state, models, agent, shown)
        examples += experience.attempts(state, models, agent, credited)
        examples += experience.grades(state, models, agent)
        examples += own_proposals(state, models, agent)
        examples += seed_examples(state, models.voice, agent, arena.config.sleep.seed_examples)
    rest(models.engine)
    lessons.sleeps += train(state, models, models.learner, examples, f"{state.seed}/{g}/sleep")
    judged = [o for agent in state.main_agents for o in experience.outcomes(state, models, agent)]
    models.tokens.prompt += models.learner.fit_values(judged, state.config.sleep.value.prior)
    models.act()
    return {
        "sleeps": lessons.sleeps,
        "corrections": corrected,
        "checkpoints": write_checkpoint(arena, models.learner),
        "reads": lessons.reads,
    }


def skips_training(state: RunState, agent: str) -> bool:
    """Whether `agent` retires now and no weights of it are passed on: newborns inherit nothing from it, or train on the
    library, which holds what it posted."""
    config = state.config.turnover
    return retires_by_age(state, agent) and config.inherit != "weights" and not config.consolidate


def train(state: RunState, models: Models, learner: Learner, examples: list[Example], seed: str) -> list[Row]:
    """Fine-tune on the examples and count the tokens. Returns a row of table `sleeps` per agent."""
    reports = learner.sleep(examples, seed)
    models.tokens.trained += sum(r.tokens for r in reports)
    if learner.config.objective.kl:  # the base model has read the examples, too
        models.tokens.prompt += sum(r.tokens for r in reports)
    return [
        {
            "generation": state.generation.index,
            "agent": r.agent,
            "examples": r.examples,
            "tokens": r.tokens,
            "steps": r.steps,
            "loss": r.loss,
        }
        for r in reports
    ]


def school_newborn(
    state: RunState, models: Models, learner: Learner, agent: str, seed: str, memory: Mapping[str, Body]
) -> TrainingRecords:
    """Fine-tune a newborn on the library and seed data before its first generation.

    `memory`: definitions that the weights it starts from recall.
    """
    g, config = state.generation.index, state.config.sleep
    lessons, index, examples = TrainingRecords(), DefinitionIndex(state), list[Example]()
    rng = state.rng(g, agent, "school", "library")
    chosen = state.bank.sample(rng, config.newborn, g, readable=readable(state, agent))
    lessons.reads += [Read(g, "sleep", agent, f"g{g:04d}", e.post, 1.0) for e in chosen]
    examples += [entry_example(state, models.voice, index, agent, e) for e in chosen]
    lessons.add(exercises(state, index, agent, memory, examples))
    if examples:
        examples += seed_examples(state, models.voice, agent, config.seed_examples)
        lessons.sleeps += train(state, models, learner, examples, seed)
    return lessons


def library_sample(state: RunState, agent: str) -> list[Entry]:
    """Fresh and older worked examples among the posts that the agent may read."""
    g, config = state.generation.index, state.config.sleep
    mine = readable(state, agent)
    rng = state.rng(g, agent, "sleep")
    fresh = state.bank.sample(rng, config.fresh, g, readable=mine, born=range(g, g + 1))
    born = range(g - 1, g) if config.memory == "replace" else range(g)
    last = config.memory_size if config.memory == "budget" else None
    return fresh + state.bank.sample(rng, config.archive, g, readable=mine, born=born, last=last)


def exercises(
    state: RunState, index: DefinitionIndex, agent: str, memory: Mapping[str, Body], into: list[Example]
) -> TrainingRecords:
    """Append `sleep.lore` exercises in definitions that the agent can read or recalls to `into`; the reads.

    Recalled definitions are rehearsed (Robins 1995): otherwise training on a library that has lost a definition would
    teach that its name is unknown. If the library defines a recalled name, its definition is used.
    """
    words, g, config = state.words_domain(), state.generation.index, state.config.sleep
    n = config.lore
    known = index.shown(agent, training=True) if words and n else {}
    bodies = dict(memory) | {name: found.body for name, found in known.items() if found.body is not None}
    if not words or not n or not bodies:
        return TrainingRecords()
    rng = state.rng(g, agent, "lore")
    drawn = words.practice(bodies, rng, n, guess=0.0, dreams=config.dreams, unknown=config.unknown)
    into += [Example(agent, prompt, completion) for prompt, completion in drawn]
    posts = dict.fromkeys(found.post for found in known.values())
    return TrainingRecords(reads=[Read(g, "sleep", agent, f"g{g:04d}/lore", post, 1.0) for post in posts])


def rounds_with_reference(state: RunState) -> list[Round]:
    """The generation's rounds whose reference solution agents are trained on: not every attempt was right, and the
    answer is certain, or not doubted and confirmed by an attempt."""
    if not state.config.sleep.references:
        return []
    return [
        r
        for r in state.generation.rounds
        if r.problem is not None and not isinstance(r.domain, Named)
        if not r.doubt and (r.solve_rate or 0.0) < 1 and confirmed(r)
    ]


def confirmed(r: Round) -> bool:
    """Whether the reference answer of a round's problem is certain, or a solver's attempt supports it."""
    if r.problem is None or not isinstance(r.domain, Confirmed) or r.solve_rate:
        return True
    return any(r.domain.confirms(r.problem, attempt.text) for attempt in r.attempts)


def references(state: RunState, models: Models, agent: str, rounds: Sequence[Round]) -> list[Example]:
    """Reference solutions of those of the rounds that the agent took part in, or whose author it reads.

    An attempt's verdict tells an agent one bit; the executed program of the setter tells every step. Where the program
    may compute something else than the question asks, an attempt has to confirm it."""
    authors = visible_authors(state, agent)
    found = [
        Example(
            agent,
            solver.ask(models.voice, r.domain, agent, r.problem, ()),
            solver.say(models.voice, r.domain.solution(r.problem)),
        )
        for r in rounds
        if r.problem is not None and (authors is None or r.author in authors or agent in (r.author, *r.solvers))
    ]
    rng = state.rng(state.generation.index, agent, "references")
    return rng.sample(found, min(len(found), state.config.sleep.references))


def own_proposals(state: RunState, models: Models, agent: str) -> list[Example]:
    """The agent's own proposals: with a policy gradient by their advantages, else those with a positive reward, the
    best first."""
    config = state.config
    if config.rounds.setter != "self" or not config.sleep.proposals:
        return []
    if config.sleep.needs_logprobs:
        return experience.proposals(state, models, agent)
    outcomes = state.generation.outcomes
    paid = [
        (outcomes[r.id]["setter_reward"], r)
        for r in state.generation.rounds
        if r.author == agent and r.problem is not None and outcomes[r.id]["setter_reward"] > 0
    ]
    paid.sort(key=lambda x: (-x[0], x[1].id))
    weight = config.sleep.proposal_weight
    return [
        Example(
            agent,
            setter.ask_for_round(models.voice, r.domain, agent, r.id, r.parent),
            setter.say(models.voice, r.proposal),
            weight * reward,
        )
        for reward, r in paid[: config.sleep.proposals]
    ]


def write_checkpoint(arena: Arena, learner: Learner) -> list[dict[str, Any]]:
    """Save the acting adapters as PEFT folders and the learner's state; rows of table `checkpoints` with digests.

    What did not change since the generation before is a link to its file.
    """
    state = arena.state
    g = state.generation.index
    folder, before = f"adapters/g{g:04d}", arena.folder / f"adapters/g{g - 1:04d}"
    rows = []
    for name in state.main_agents:
        path = f"{folder}/{name}"
        row = learner.acting_row(name)
        sha = learner.layout.save_peft(row, arena.folder / path, arena.base_name, previous=before / name)
        rows.append({"generation": g, "name": name, "path": path, "sha256": sha})
    path = f"{folder}/learner.safetensors"
    sha = learner.save(arena.folder / path, before / "learner.safetensors")
    rows.append({"generation": g, "name": "learner", "path": path, "sha256": sha})
    return rows
