"""What worked examples teach: newborns fine-tuned on equally many early, late or any worked examples.

Each newborn starts from the base model, is trained once on `measure.ratchet.school` worked examples and the usual seed
examples, and solves held-out problems without names, greedily. If culture accumulates through training, late posts
teach more than early ones. Controls: `school_none` is trained on the seed examples alone; `school_hard_*` draw as
agents do, hard problems first. Part of the phase `final`; it is evaluation and does not affect the population.

Left out: reading. Not guaranteed: equal tokens; late problems and their solutions tend to be longer.
"""

from __future__ import annotations

from agents.engine import Request
from agents.learner import Example
from arena.library.definitions import DefinitionIndex
from arena.library.examples import entry_example, seed_examples
from arena.rounds.roles import solver
from arena.run.engines import rest
from arena.run.fold import RunState
from arena.run.models import Models
from arena.run.state import Arena
from arena.run.store import Row
from curricula.domain import Named
from curricula.replay import Entry

MIND = "schooled"
PUPIL = "pupil"


def schooled(arena: Arena) -> list[Row]:
    """Rows of table `ratchet` with mind `schooled`; empty without a learner or if `measure.ratchet.school` is 0."""
    state, models = arena.state, arena.models
    learner, n = models.learner, arena.config.measure.ratchet.school
    if learner is None or not n:
        return []
    g, seed, index = state.generation.index, state.seed, DefinitionIndex(state)
    rest(models.engine)
    taught = classes(state, n)
    for name, entries in taught.items():
        pupil = f"{PUPIL}-{name}"
        examples = [entry_example(state, models.voice, index, pupil, e) for e in entries]
        examples += seed_examples(state, models.voice, PUPIL, max(arena.config.sleep.seed_examples, 1))
        start = learner.layout.fresh(f"{seed}/{MIND}")
        learner.add(pupil, start.clone())
        reports = learner.sleep([Example(pupil, e.prompt, e.completion) for e in examples], f"{seed}/{g}/{MIND}")
        models.tokens.trained += sum(r.tokens for r in reports)
        learner.remove_start(pupil, start)
    models.act()
    rows = examine(state, models, list(taught))
    for name in [m for m in learner.names if m.startswith(f"{PUPIL}-")]:
        learner.remove(name)
    models.act()
    return rows


def classes(state: RunState, n: int) -> dict[str, list[Entry]]:
    """Worked examples for each newborn, from domains without names; empty unless each gets `n`."""
    g, plain = state.generation.index, [name for name, d in state.domains.items() if not isinstance(d, Named)]
    third, gone = max(1, g // 3), {r["post"] for r in state.store.query("SELECT post FROM removals")}
    spans = {"early": range(1, third + 1), "late": range(g - third + 1, g + 1), "any": range(1, g + 1)}
    found: dict[str, list[Entry]] = {"school_none": []}
    for name, span in spans.items():
        entries = [e for e in state.bank.entries if e.domain in plain and e.generation in span and e.post not in gone]
        rng = state.rng(MIND, name)
        found[f"school_{name}"] = rng.sample(entries, min(n, len(entries)))
        hard = state.bank.sample(rng, n, g, readable=lambda e: e.domain in plain and e.post not in gone, born=span)
        found[f"school_hard_{name}"] = hard
    if min(len(entries) for name, entries in found.items() if name != "school_none") < n:
        return {}
    return found


def examine(state: RunState, models: Models, names: list[str]) -> list[Row]:
    """One greedy attempt of each newborn at the held-out problems of each depth."""
    g, config = state.generation.index, state.config
    asked = [
        (name, domain, depth, problem)
        for name in names
        for domain in state.domains.values()
        if not isinstance(domain, Named)
        for depth in config.measure.depths_of(domain)
        for problem in domain.heldout(config.measure.split, depth)[: config.measure.final_per_depth]
    ]
    requests = [
        Request(
            f"{config.seed}/{g}/{MIND}/{i}",
            solver.ask(models.voice, d, PUPIL, p, ()),
            f"{PUPIL}-{name}",
            config.rounds.max_tokens,
            0.0,
        )
        for i, (name, d, _, p) in enumerate(asked)
    ]
    rows = []
    for i, ((name, domain, depth, problem), done) in enumerate(zip(asked, models.generate(requests), strict=True)):
        verdict = domain.verify(problem, solver.read(models.voice, done.text))
        rows.append(
            {
                "id": f"g{g:04d}/{MIND}/{name}/{i:05d}{state.mark}",
                "generation": g,
                "mind": MIND,
                "library": name,
                "domain": domain.name,
                "depth": depth,
                "needs": 0,
                "problem": problem.text,
                "correct": int(verdict.correct),
                "answer_correct": int(verdict.answer_correct),
            }
        )
    return rows
