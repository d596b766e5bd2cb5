"""The phase `read`: plan the generation's rounds, and take what reviewers decided and what the library forgets.

Each agent with that role sets `rounds.per_agent` problems. For each the phase draws a domain, solvers, perhaps a
grader, and the library post that the setter reads and varies: a worked example from the bank or, for hidden words, a
defined name.
"""

from __future__ import annotations

import json

from arena.library.definitions import DefinitionIndex
from arena.library.forgetting import forget
from arena.library.visibility import readable
from arena.phases import review
from arena.phases.records import Produced, insert
from arena.rounds.roles import setter
from arena.rounds.round import Round
from arena.run.state import Arena
from arena.run.store import Records, Row
from culture.library import Read
from curricula.domain import Named
from curricula.replay import ParentPool


def read(arena: Arena) -> Produced:
    """Plan the rounds: author, solvers, grader, and the library post that the setter reads and varies.

    Reviewers' decisions are taken here, once per generation; a rejected post is no longer read.
    """
    state = arena.state
    g, config = state.generation.index, arena.config.rounds
    names, shares = list(state.domains), [d.share for d in arena.config.domains.values()]
    named = {name for name, d in state.domains.items() if isinstance(d, Named)}
    rows: list[Row] = []
    reads: list[Read] = []
    taken = review.take(arena)
    rejected = taken.pop("removals", [])
    out = {r["post"] for r in rejected}
    index = DefinitionIndex(state)
    may = arena.config.population.may
    for author in [a for a in state.living if may(state.places[a], "set")]:
        shelf, mine = index.shown(author), readable(state, author, out)
        known = [name for name in shelf if shelf[name].post not in out]
        pools = dict[str, ParentPool]()
        for _ in range(config.per_agent):
            number = len(rows)
            id_ = f"g{g:04d}r{number:04d}{state.mark}"
            rng = state.rng(g, id_, "plan")
            domain = rng.choices(names, shares)[0]
            if domain in named and not known:  # an author can only use a name it knows
                domain = next((n for n in names if n not in named), "")
                if not domain:
                    continue
            wants_parent = domain in named or config.setter == "mutator" or rng.random() < config.vary
            if wants_parent and domain not in pools:
                pools[domain] = state.bank.parent_pool(g, config.parent_fade, domain, mine)
            found = pools[domain].draw(rng, 1) if wants_parent else []
            parent, post = (found[0].text, found[0].post) if found else (None, None)
            if domain in named and (not found or rng.random() < config.from_name):
                parent = rng.choice(known)
                post = shelf[parent].post
            others = rng.sample([a for a in state.living if a != author], len(state.living) - 1)
            solvers = [a for a in others if may(state.places[a], "solve")][: config.solvers]
            rest = [a for a in others if a not in solvers and may(state.places[a], "grade")]
            grader = rest[0] if rest and rng.random() < config.grade else None
            rows.append(
                {
                    "id": id_,
                    "generation": g,
                    "number": number,
                    "domain": domain,
                    "author": author,
                    "setter": config.setter,
                    "solvers": json.dumps(solvers),
                    "grader": grader,
                    "parent": parent,
                    "parent_post": post,
                }
            )
            if post:
                reads.append(Read(g, "propose", author, id_, post, 1.0))
    return {
        "rounds": rows,
        "reads": reads,
        "removals": [*rejected, *forget(state, arena.models.engine.count_tokens, out)],
        **taken,
    }


def store_decisions(arena: Arena, produced: Produced) -> Produced:
    """Insert the records; posts on which a reviewer decided stop waiting."""
    review.close_waiting(arena.store, produced.get("receipts", []))
    return insert(arena, produced)


def fold_rounds(arena: Arena, records: Records) -> None:
    """The planned rounds of the generation."""
    state = arena.state
    g = state.generation
    g.receipts, g.labels = list(records.get("receipts", ())), list(records.get("labels", ()))
    for row in records["rounds"]:
        g.plan[row["id"]] = row
        g.rounds.append(
            Round(
                row["id"],
                state.domains[row["domain"]],
                row["author"],
                tuple(json.loads(row["solvers"])),
                arena.config.rounds.attempts,
                row["grader"],
                row["parent"],
                state.seen.__contains__,
                arena.models.voice,
                request=setter.request(arena.models.voice, state.domains[row["domain"]], row["id"], row["parent"]),
            )
        )
