"""The phases of a generation. Each takes an open arena and gives records, by table; nothing is stored here.

A phase may not draw on anything but the arena's folded state, so that the same records come out when it is played again
after a crash. One engine call or one learner call a phase; nothing loops over agents around a model call.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from agents.engine import Request
from arena.rewards import rewards
from arena.rounds import GRADER, Ask
from arena.setters import scripted_proposal
from arena.sleep import sleep
from arena.state import Arena
from arena.store import Row
from arena.turnover import turnover
from culture.library import Read
from culture.posts import Post, SignedPost, sign_post
from culture.retrieval import retrieve
from curricula.domain import Problem, Rejection
from curricula.learnability import is_learnable

Produced = dict[str, list[Any]]
PARENT_FADE = 0.8  # parents of a generation ago are this much less likely than fresh ones


def read(arena: Arena) -> Produced:
    """Decide who sets what for whom: authors, solvers, graders, and the library post each setter reads and varies."""
    g, config = arena.generation.index, arena.config.rounds
    names, shares = list(arena.domains), [d.share for d in arena.config.domains.values()]
    known = list(arena.library.definition_ids())
    rows: list[Row] = []
    reads: list[Read] = []
    for author in arena.living:
        for _ in range(config.per_agent):
            number = len(rows)
            id_ = f"g{g:04d}r{number:04d}"
            rng = arena.rng(g, id_, "plan")
            domain = rng.choices(names, shares)[0]
            if domain == "hidden_words" and not known:
                domain = arena.main.name  # nobody knows a name yet
            mine = None if arena.config.library.shared else author
            wants_parent = domain == "hidden_words" or config.setter == "mutator" or rng.random() < config.vary
            found = arena.bank.parents(rng, 1, g, PARENT_FADE, domain, mine) if wants_parent else []
            parent, post = (found[0].text, found[0].post) if found else (None, None)
            if domain == "hidden_words" and (not found or rng.random() < 0.5):
                parent = rng.choice(known)
                post = arena.library.definition_ids()[parent]
            others = rng.sample([a for a in arena.living if a != author], len(arena.living) - 1)
            grader = others[config.solvers] if len(others) > config.solvers and rng.random() < config.grade else None
            rows.append(
                {
                    "id": id_,
                    "generation": g,
                    "number": number,
                    "domain": domain,
                    "author": author,
                    "setter": config.setter,
                    "solvers": json.dumps(others[: config.solvers]),
                    "grader": grader,
                    "parent": parent,
                    "parent_post": post,
                }
            )
            if post:
                reads.append(Read(g, "propose", author, id_, post, 1.0))
    return {"rounds": rows, "reads": reads}


def request(arena: Arena, round_: str, ask: Ask, temperature: float, adapter: str | None) -> Request:
    key = f"{arena.config.seed}/{round_}/{ask.phase}/{ask.seat}/{ask.number}"
    c = arena.config.rounds
    return Request(key, ask.prompt, adapter, c.max_tokens, temperature, c.top_p)


def propose(arena: Arena) -> Produced:
    """Every setter sets its problems, and every agent guesses at names that nobody knows yet."""
    g, config, rounds = arena.generation.index, arena.config.rounds, arena.generation.rounds
    by_model = config.setter in ("self", "frozen")
    requests = []
    if by_model:
        for r in rounds:
            ask = r.asks()[0]
            requests.append(
                request(arena, r.id, ask, config.set_temperature, r.author if config.setter == "self" else None)
            )
    guesses = _plan_guesses(arena)
    guess_requests = [
        Request(f"{arena.config.seed}/{id_}/guess", guess.prompt, agent, 16, config.set_temperature, config.top_p)
        for id_, agent, guess in guesses
    ]
    done = arena.generate(requests + guess_requests)
    problems, seen = [], set[str]()
    for i, r in enumerate(rounds):
        text = done[i].text if by_model else scripted_proposal(arena, r)
        found = r.domain.parse_proposal(text)
        if isinstance(found, Problem) and (r.seen(found.text_key) or found.text_key in seen):
            found = Rejection("duplicate", found.text)
        valid = isinstance(found, Problem)
        if isinstance(found, Problem):
            seen.add(found.text_key)
        problems.append(
            {
                "round": r.id,
                "generation": g,
                "domain": r.domain.name,
                "author": r.author,
                "proposal": text,
                "text": found.text if isinstance(found, Problem) else None,
                "valid": int(valid),
                "reason": found.reason if isinstance(found, Rejection) else "ok",
                "detail": found.detail if isinstance(found, Rejection) else "",
                "depth": found.depth if isinstance(found, Problem) else None,
                "text_key": found.text_key if isinstance(found, Problem) else None,
                "behaviour_key": found.behaviour_key if isinstance(found, Problem) else None,
                "features": json.dumps(r.domain.features(found)) if isinstance(found, Problem) else None,
                "logprob": done[i].logprob if by_model else None,
                "tokens": done[i].generated_tokens if by_model else 0,
            }
        )
    words, guessed = arena.words_domain(), []
    for (id_, agent, guess), completion in zip(guesses, done[len(requests) :], strict=True):
        assert words is not None
        checked = words.check_guess(guess.name, completion.text)
        guessed.append(
            {
                "id": id_,
                "generation": g,
                "agent": agent,
                "name": guess.name,
                "prompt": guess.prompt,
                "text": completion.text,
                "correct": int(not isinstance(checked, Rejection)),
                "reason": checked.reason if isinstance(checked, Rejection) else "ok",
            }
        )
    return {"problems": problems, "guesses": guessed}


def _plan_guesses(arena: Arena) -> list[tuple[str, str, Any]]:
    words, g = arena.words_domain(), arena.generation.index
    if words is None:
        return []
    known = list(arena.library.definition_ids())
    reachable = words.reachable(known)
    planned = []
    for agent in arena.living if reachable else []:
        for number in range(arena.config.rounds.guesses):
            id_ = f"g{g:04d}{agent}q{number:03d}"
            rng = arena.rng(g, id_)
            planned.append((id_, agent, words.guess(rng.choice(reachable), known, rng)))
    return planned


def solve(arena: Arena) -> Produced:
    """All solvers try all problems, with what the library has on the names in them."""
    g, config = arena.generation.index, arena.config.rounds
    reads: list[Read] = []
    for r in arena.generation.rounds:
        if r.problem is None:
            continue
        for i, agent in enumerate(r.solvers):
            seat = f"solver_{i}"
            r.notes[seat], rows = notes(arena, r.problem, agent, f"{r.id}/{seat}", "solve")
            reads += rows
    asks = [(r, ask) for r in arena.generation.rounds for ask in (r.asks() if r.phase == "solve" else [])]
    done = arena.generate([request(arena, r.id, a, config.temperature, a.agent) for r, a in asks])
    rows_ = []
    for (r, ask), completion in zip(asks, done, strict=True):
        assert r.problem is not None
        verdict = r.domain.verify(r.problem, completion.text)
        rows_.append(
            {
                "id": f"{r.id}/{ask.seat}/{ask.number}",
                "generation": g,
                "round": r.id,
                "agent": ask.agent,
                "seat": ask.seat,
                "number": ask.number,
                "notes": json.dumps(r.notes[ask.seat]),
                "text": completion.text,
                "correct": int(verdict.correct),
                "answer_correct": int(verdict.answer_correct),
                "reason": verdict.reason,
                "step": verdict.step,
                "answer": verdict.answer,
                "logprob": completion.logprob,
                "tokens": completion.generated_tokens,
            }
        )
    return {"attempts": rows_, "reads": reads}


def notes(arena: Arena, problem: Problem, agent: str, place: str, phase: str) -> tuple[tuple[str, ...], list[Read]]:
    """What `agent` is given to read for a problem, and the log of it."""
    config = arena.config.library
    if not config.limit or not (problem.names or config.by_words):
        return (), []
    found = retrieve(
        arena.library,
        names=problem.names,
        words=problem.text if config.by_words else "",
        budget=config.budget,
        limit=config.limit,
        count_tokens=arena.engine.count_tokens,
        rng=arena.rng(place, "read"),
        distractors=config.distractors,
        render=body_of,
    )
    if not config.shared:
        found = [f for f in found if f.post.author == agent]
    reads = [Read(arena.generation.index, phase, agent, place, f.post.id, f.propensity) for f in found]
    return tuple(f.post.body for f in found), reads


def body_of(post: Post) -> str:
    return post.body


def grade(arena: Arena) -> Produced:
    """A tenth of the problems is solved again, blind, by a third agent; then rounds are settled and paid."""
    g, config = arena.generation.index, arena.config
    graded = [r for r in arena.generation.rounds if r.phase == "grade"]
    done = arena.generate([request(arena, r.id, r.asks()[0], 0.0, r.grader) for r in graded])
    grades, outcomes, paid = [], [], dict[tuple[str, str], list[float]]()
    for r, completion in zip(graded, done, strict=True):
        r.take([completion.text])
        assert r.grade is not None
        grades.append(
            {
                "id": f"{r.id}/{GRADER}",
                "generation": g,
                "round": r.id,
                "attempt": f"{r.id}/solver_0/0",
                "grader": r.grade.grader,
                "text": completion.text,
                "answer": r.grade.answer,
                "says_correct": r.grade.says_correct,
                "agrees": r.grade.agrees,
            }
        )
    for r in arena.generation.rounds:
        for _, agent, role, reward in rewards(r, config.rewards.setter, config.rewards.invalid):
            paid.setdefault((agent, role), []).append(reward)
            if role == "setter":
                p = r.solve_rate
                outcomes.append(
                    {
                        "round": r.id,
                        "generation": g,
                        "solve_rate": p,
                        "learnable": int(p is not None and is_learnable(p)),
                        "setter_reward": reward,
                    }
                )
    totals = [
        {"generation": g, "agent": a, "role": role, "reward": sum(x) / len(x), "n": len(x)}
        for (a, role), x in sorted(paid.items())
    ]
    return {"grades": grades, "outcomes": outcomes, "rewards": totals}


def post(arena: Arena) -> Produced:
    """Right guesses become definitions; learnable problems become worked examples by who solved them first."""
    g, words = arena.generation.index, arena.words_domain()
    known = set(arena.library.definition_ids())
    posts = []
    for agent, name, body in arena.generation.right_guesses:
        assert words is not None
        if name not in known:
            known.add(name)
            posts.append(Post("definition", agent, g, name, words.definition(name, body.split()), (), "hidden_words"))
    defined = arena.library.definition_ids()
    for r in arena.generation.rounds:
        rate = r.solve_rate
        if r.problem is None or rate is None or not is_learnable(rate):
            continue
        solver, text = next((a.agent, a.text) for a, v in zip(r.attempts, r.verdicts, strict=True) if v.correct)
        cites = [defined[n] for n in r.problem.names if n in defined]
        parent = arena.generation.plan[r.id]["parent_post"]
        if parent and parent not in cites:
            cites.append(parent)
        about = f"{r.domain.name}/{r.id}"
        posts.append(Post("worked_example", solver, g, r.problem.text, text, tuple(cites), about))
    return {"posts": [sign(arena, p) for p in posts]}


def sign(arena: Arena, post_: Post) -> SignedPost:
    return sign_post(post_, arena.keys.public_key(post_.author), lambda data: arena.keys.sign(post_.author, data))


def admit(arena: Arena, post_: Post) -> str | None:
    """The library's admission check: definitions are executed, worked examples verified, held-out problems refused."""
    if post_.kind == "definition":
        words = arena.words_domain()
        return words.check_definition(post_.body) if words else "this run has no hidden words"
    if post_.kind == "worked_example":
        domain = arena.domains.get(post_.about.partition("/")[0])
        if domain is None:
            return f"speaks of no domain of this run: {post_.about!r}"
        try:
            problem = domain.problem(post_.title)
        except ValueError as error:
            return str(error)
        if domain.is_heldout(problem):
            return "held-out problem"
        verdict = domain.verify(problem, post_.body)
        return None if verdict.correct else verdict.reason
    return f"nothing checks posts of kind {post_.kind!r} yet"


def measure(arena: Arena) -> Produced:
    """Held-out skill, greedy, on the first problems of each depth, other ones for each agent."""
    n = arena.config.measure.per_depth
    items = [
        (agent, problem, depth, reading)
        for domain, depth, reading in evaluation_grid(arena)
        for at, agent in enumerate(arena.living)
        for problem in cyclic(domain.heldout(arena.config.measure.split, depth), at * n, n)
    ]
    return {"evaluations": evaluate(arena, items, "greedy", 1, 0.0)}


def baseline(arena: Arena, before: bool = True) -> Produced:
    """pass@1 (greedy) and pass@k (k samples), each problem dealt to one agent: run before the first generation."""
    items = []
    for domain, depth, reading in evaluation_grid(arena):
        problems = cyclic(domain.heldout(arena.config.measure.split, depth), 0, arena.config.measure.final_per_depth)
        items += [(arena.living[i % len(arena.living)], p, depth, reading) for i, p in enumerate(problems)]
    k = arena.config.measure.passes
    place = "before" if before else "after"
    greedy = evaluate(arena, items, "full", 1, 0.0, place)
    sampled = evaluate(arena, [i for i in items if i[3] is None], "pass", k, arena.config.rounds.temperature, place)
    return {"evaluations": greedy + sampled}


def final(arena: Arena) -> Produced:
    """The same as `baseline`, after the last generation."""
    return baseline(arena, before=False)


def evaluation_grid(arena: Arena) -> list[tuple[Any, int, int | None]]:
    """(domain, depth, reading): names are asked twice, with and without what the library holds on them."""
    return [
        (domain, depth, reading)
        for domain in arena.domains.values()
        for depth in domain.depths
        for reading in ((0, 1) if domain.name == "hidden_words" else (None,))
    ]


def cyclic(problems: Sequence[Problem], start: int, n: int) -> list[Problem]:
    return [problems[(start + i) % len(problems)] for i in range(min(n, len(problems)))]


def evaluate(
    arena: Arena,
    items: Sequence[tuple[str, Problem, int, int | None]],
    mode: str,
    k: int,
    temperature: float,
    place: str = "during",
) -> list[Row]:
    """k attempts at each item as (agent, problem, depth, reading); one row an item with the number that were right."""
    g = arena.generation.index
    requests = []
    for at, (agent, problem, _, reading) in enumerate(items):
        domain = arena.domains[problem.domain]
        shown = notes(arena, problem, agent, f"evaluate/{mode}/{at}", "evaluate")[0] if reading else ()
        prompt = domain.solve_prompt(problem, shown)
        adapter = None if g == 0 else agent  # before the first sleep every agent is the base model
        for j in range(k):
            key = f"{arena.config.seed}/{g}/{place}/{mode}/{at}/{j}"
            requests.append(Request(key, prompt, adapter, arena.config.rounds.max_tokens, temperature))
    done = iter(arena.generate(requests))
    rows = []
    for at, (agent, problem, depth, reading) in enumerate(items):
        verdicts = [arena.domains[problem.domain].verify(problem, next(done).text) for _ in range(k)]
        rows.append(
            {
                "id": f"g{g:04d}/{place}/{mode}/{at:05d}",
                "generation": g,
                "domain": problem.domain,
                "split": arena.config.measure.split,
                "depth": depth,
                "agent": agent,
                "problem": problem.text,
                "reading": reading,
                "mode": mode,
                "k": k,
                "correct": sum(v.correct for v in verdicts),
                "answer_correct": sum(v.answer_correct for v in verdicts),
            }
        )
    return rows


Phase = Callable[[Arena], Produced]
PHASES: tuple[tuple[str, Phase], ...] = (
    ("read", read),
    ("propose", propose),
    ("solve", solve),
    ("grade", grade),
    ("post", post),
    ("sleep", sleep),
    ("turnover", turnover),
    ("measure", measure),
)
UNCOUNTED = ("baseline", "measure", "final")  # evaluation is reported apart from compute
EVALUATION: dict[str, Phase] = {"baseline": baseline, "final": final}
