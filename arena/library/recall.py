"""What an agent knows of hidden names from its weights, asked without anything to read (`rounds.recall`).

Recalled definitions stand beside those that an agent reads; where both define a name, the one it reads counts. Left
out: confidence. An agent that gives the same body twice is taken to know it, right or wrong.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from agents.engine import Request
from arena.library.definitions import Body, DefinitionIndex, ShownDefinition
from arena.library.visibility import visible_authors
from arena.run.fold import RunState
from arena.run.models import Models
from arena.run.store import Row
from culture.scope import Scope
from curricula.domain import Rejection

RECALL_INPUTS = ("3 1 4", "2 7")


def recall(state: RunState, models: Models, index: DefinitionIndex) -> dict[str, dict[str, Body]]:
    """Bodies that each living agent of the run's own model recalls, by agent and name; one engine call.

    An agent is asked for the names that its visible authors ever defined, burned or not, and that it cannot read. Each
    name is asked twice, greedily, with two inputs and without notes; a body counts only if both answers agree, since an
    invented body seldom comes out twice.
    """
    words, g = state.words_domain(), state.generation.index
    if words is None or not state.config.rounds.recall:
        return {}
    asked = []
    for agent in state.main_agents:
        heard = state.library.within(Scope(authors=visible_authors(state, agent))).definition_ids()
        asked += [(agent, name) for name in heard if name not in index.shown(agent)]
    requests = [
        Request(f"{state.seed}/g{g:04d}{agent}/{name}/{given}", prompt, agent, state.config.rounds.recall_tokens, 0.0)
        for agent, name in asked
        for given in RECALL_INPUTS
        for prompt in words.recall_prompts([name], given)
    ]
    done = models.generate(requests)
    found: dict[str, dict[str, Body]] = {agent: {} for agent in state.living}
    for at, (agent, name) in enumerate(asked):
        one, other = (words.recalled(name, c.text) for c in done[2 * at : 2 * at + 2])
        if one is not None and one == other:
            found[agent][name] = one
    return found


def known_bodies(shelf: Mapping[str, ShownDefinition], recalled: Mapping[str, Body]) -> dict[str, Body]:
    """The definitions an agent builds on: those it reads and, for other names, those it recalls."""
    read = {name: shown.body for name, shown in shelf.items() if shown.body is not None}
    return read | {name: body for name, body in recalled.items() if name not in read}


def knowledge_row(
    state: RunState, agent: str, read: int, recalled: Mapping[str, Body], known: Mapping[str, Body]
) -> Row:
    """A row of table `knowledge`: `known` counts right definitions, `level` is the deepest level of one."""
    words = state.words_domain()
    assert words is not None
    right = [n for n, body in known.items() if not isinstance(words.check_guess(n, " ".join(body)), Rejection)]
    return {
        "generation": state.generation.index,
        "agent": agent,
        "read": read,
        "recalled": len(recalled),
        "known": len(right),
        "wrong": len(known) - len(right),
        "level": max(map(words.level, right), default=0),
        "memory": json.dumps({name: " ".join(body) for name, body in recalled.items()}),
    }


def recalled_bodies(state: RunState, agent: str) -> dict[str, Body]:
    """Bodies that `agent` recalled in this generation; empty for one that was not asked."""
    sql = "SELECT memory FROM knowledge WHERE generation = ? AND agent = ?"
    found = state.store.query(sql, [state.generation.index, agent])
    if not found:
        return {}
    return {name: tuple(body.split()) for name, body in json.loads(found[0]["memory"]).items()}
