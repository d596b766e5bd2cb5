"""The phases of a generation. Each takes an open arena and gives records, by table; no record is stored here.

A phase may not draw on anything but the arena's folded state, so that the same records come out when it is played again
after a crash. One engine call or one learner call a phase; nothing loops over agents around a model call.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from agents.engine import Request
from arena.library.context import notes
from arena.library.definitions import Shelves
from arena.library.forgetting import forget
from arena.library.utility import worth
from arena.library.visibility import readable
from arena.phases import review
from arena.phases.guess import Guessing
from arena.phases.measure.heldout import measure
from arena.phases.post import post
from arena.phases.scripted_setters import scripted_proposal
from arena.phases.sleep import sleep
from arena.phases.turnover import turnover
from arena.rounds.rewards import label_rewards, rewards
from arena.rounds.round import GRADER, Ask
from arena.rounds.validity import doubts
from arena.run.state import Arena
from arena.run.store import Row
from culture.library import Read
from curricula.domain import Problem, Rejection
from curricula.learnability import is_learnable
from curricula.replay import Urn

Produced = dict[str, list[Any]]
REVIEW_LAG = 4  # generations after which a review is paid
PARENT_FADE = 0.8  # parents of a generation ago are this much less likely than fresh ones


def read(arena: Arena) -> Produced:
    """Decide who sets what for whom: authors, solvers, graders, and the library post each setter reads and varies.

    What a reviewer has decided is taken here, once a generation; a post that was rejected is not read any more.
    """
    g, config = arena.generation.index, arena.config.rounds
    names, shares = list(arena.domains), [d.share for d in arena.config.domains.values()]
    rows: list[Row] = []
    reads: list[Read] = []
    taken = review.take(arena)
    rejected = taken.pop("removals", [])
    out = {r["post"] for r in rejected}
    shelves = Shelves(arena)
    for author in arena.living:
        shelf, mine = shelves.of(author), readable(arena, author, out)
        known = [name for name in shelf if shelf[name].post not in out]
        urns = dict[str, Urn]()
        for _ in range(config.per_agent):
            number = len(rows)
            id_ = f"g{g:04d}r{number:04d}{arena.mark}"
            rng = arena.rng(g, id_, "plan")
            domain = rng.choices(names, shares)[0]
            if domain == "hidden_words" and not known:  # a name that its author does not know cannot be set
                domain = next((n for n in names if n != domain), "")
                if not domain:
                    continue
            wants_parent = domain == "hidden_words" or config.setter == "mutator" or rng.random() < config.vary
            if wants_parent and domain not in urns:
                urns[domain] = arena.bank.urn(g, PARENT_FADE, domain, mine)
            found = urns[domain].draw(rng, 1) if wants_parent else []
            parent, post = (found[0].text, found[0].post) if found else (None, None)
            if domain == "hidden_words" and (not found or rng.random() < 0.5):
                parent = rng.choice(known)
                post = shelf[parent].post
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
    return {"rounds": rows, "reads": reads, "removals": [*rejected, *forget(arena, out)], **taken}


def request(arena: Arena, round_: str, ask: Ask, temperature: float, adapter: str | None) -> Request:
    key = f"{arena.seed}/{round_}/{ask.phase}/{ask.seat}/{ask.number}"
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
    guessing = Guessing(arena)
    done = arena.generate(requests + guessing.requests())
    problems, seen = [], set[str]()
    for i, r in enumerate(rounds):
        text = done[i].text if by_model else scripted_proposal(arena, r)
        found = r.judge(text, seen)
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
    return {"problems": problems, "guesses": guessing.rows(done[len(requests) :]), "knowledge": guessing.knowledge}


def solve(arena: Arena) -> Produced:
    """All solvers try all problems, with what the library has on the names in them."""
    g, config = arena.generation.index, arena.config.rounds
    reads: list[Read] = []
    withheld: list[Read] = []
    shelves = Shelves(arena)
    for r in arena.generation.rounds:
        if r.problem is None:
            continue
        for i, agent in enumerate(r.solvers):
            seat = f"solver_{i}"
            found = notes(arena, shelves, r.problem, agent, f"{r.id}/{seat}", "solve", arena.config.library.withhold)
            r.notes[seat] = found.texts
            reads += found.reads
            withheld += found.withheld
    asks = [(r, ask) for r in arena.generation.rounds for ask in (r.asks() if r.phase == "solve" else [])]
    done = arena.generate([request(arena, r.id, a, config.temperature, a.agent) for r, a in asks])
    rows_ = []
    for (r, ask), completion in zip(asks, done, strict=True):
        assert r.problem is not None
        verdict = r.verify(completion.text)
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
    return {"attempts": rows_, "reads": reads, "withheld": withheld}


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
    doubted = doubts(arena.generation.rounds)
    for r in arena.generation.rounds:
        r.doubt = doubted.get(r.id, "")
        for _, agent, role, reward in rewards(r, config.rewards.setter, config.rewards.invalid):
            paid.setdefault((agent, role), []).append(reward)
            if role == "setter":
                p = r.solve_rate
                outcomes.append(
                    {
                        "round": r.id,
                        "generation": g,
                        "solve_rate": p,
                        "learnable": int(p is not None and is_learnable(p) and not r.doubt),
                        "setter_reward": reward,
                        "doubt": r.doubt or None,
                    }
                )
    for agent, reward in label_rewards(arena.generation.labels, arena.living):
        paid.setdefault((agent, "grader"), []).append(reward)
    for agent, reward in review_rewards(arena):
        paid.setdefault((agent, "reviewer"), []).append(reward)
    totals = [
        {"generation": g, "agent": a, "role": role, "reward": sum(x) / len(x), "n": len(x)}
        for (a, role), x in sorted(paid.items())
    ]
    return {"grades": grades, "outcomes": outcomes, "rewards": totals}


def review_rewards(arena: Arena) -> list[tuple[str, float]]:
    """(agent, reward) for each review of some generations ago by who still lives: half a point to or fro, by whether
    what the post has done for its readers since then bears the verdict out. Posts that nobody read pay nothing."""
    sql = "SELECT author, about, body FROM posts WHERE kind = 'review' AND generation = ? ORDER BY seq"
    rows = [r for r in arena.store.query(sql, [arena.generation.index - REVIEW_LAG]) if r["author"] in arena.living]
    known = worth(arena) if rows else {}
    return [
        (r["author"], 0.5 if (known[r["about"]] > 0) == r["body"].startswith("helps") else -0.5)
        for r in rows
        if r["about"] in known
    ]


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
