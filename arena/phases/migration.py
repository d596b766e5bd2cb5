"""Migration between islands: what an island sends after a generation, and what it admits of what it receives.

Posts keep their id and signature and pass the usual admission check where they arrive, in the phase `post`. Agents do
not move: the acting weights of one become a newborn on another island, in the phase `turnover`, in the place of the
agent paid least. Every item has a row of table `migrations` on both islands, with the reason if it was refused.

Left out: posts in free text, which are admitted by records of their own island; books, whose pages may cite posts that
were never sent; reviews. A post is sent once, and after the posts it cites.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from agents.untrusted_adapter import read_adapter
from arena.library.definitions import PROSE
from arena.library.utility import utilities
from arena.run.fold import RunState
from arena.run.messages import SentAgent, SentPost
from arena.run.paths import inside
from arena.run.state import Arena
from arena.run.store import Row
from culture.kinds import POST_KINDS
from culture.posts import Post, SignedPost
from curricula.learnability import is_learnable

KINDS = tuple(kind.name for kind in POST_KINDS.values() if kind.migrates)
"""Kinds of posts that are sent; among equally useful posts the earlier kind goes first."""


# -- arrivals ------------------------------------------------------------------------------------------------------


def admit_arrivals(
    state: RunState, sent: Sequence[SentPost], check: Callable[[Post], str | None]
) -> tuple[list[SignedPost], list[Row]]:
    """Admit posts of other islands in this order: the admitted ones, and a row of table `migrations` for each.

    Called inside the transaction that stores the phase's records.
    """
    taken: dict[str, SignedPost] = {}
    rows: dict[str, Row] = {}
    for item in sent:
        id_, reason = item.signed.post.id, _refused(state, item)
        if id_ in taken:
            continue  # a refused copy, with a wrong key perhaps, does not exclude a good one
        if reason is None:
            ((_, reason),) = state.library.add([item.signed], check, quota=state.config.library.quota)
        if reason is None:
            taken[id_] = item.signed
        rows[id_] = _row(state, "in", "post", id_, item.island, reason, item.solve_rate)
    return list(taken.values()), list(rows.values())


def _refused(state: RunState, item: SentPost) -> str | None:
    """Reasons that apply only to posts of other islands."""
    post = item.signed.post
    if post.generation >= state.generation.index:
        return f"it says it is of generation {post.generation}, which is not over"
    native = state.store.query("SELECT public_key FROM agents WHERE name = ?", [post.author])
    if native and native[0]["public_key"] != item.signed.public_key:
        return f"{post.author} lives here, with another key"
    if post.kind == "worked_example" and (item.solve_rate is None or not is_learnable(item.solve_rate)):
        return "its problem is not said to be learnable"
    return None


@dataclass(frozen=True)
class Immigrant:
    """Another island's agent whose weights passed the check: (size,) its adapter's row."""

    sent: SentAgent
    weights: Tensor

    def row(self, state: RunState, newborn: str) -> Row:
        """Its row of table `migrations`."""
        return _row(state, "in", "agent", self.sent.name, self.sent.island, None, newborn=newborn)


def immigrants(arena: Arena, room: int) -> tuple[list[Immigrant], list[Row]]:
    """Agents that arrived on this island, at most `room` of them; rows of table `migrations` for the refused ones."""
    state, models = arena.state, arena.models
    most = max(0, min(room, arena.config.cluster.agents))
    found: list[Immigrant] = []
    refused: list[Row] = []
    for sent in arena.arrivals.agents if arena.arrivals else ():
        reason = None
        if models.learner is None:
            reason = "nobody learns here"
        elif len(found) >= most:
            reason = f"there is room for {most}"
        elif sent.name in state.places:
            reason = f"{sent.name} is from here"
        else:
            try:
                found.append(Immigrant(sent, read_adapter(models.learner.layout, sent.adapter)))
            except ValueError as error:
                reason = str(error)
        if reason is not None:
            refused.append(_row(state, "in", "agent", sent.name, sent.island, reason))
    return found, refused


# -- departures -------------------------------------------------------------------------------------------------------


def departing(
    arena: Arena, order: Sequence[str], scores: Mapping[str, float]
) -> tuple[tuple[SentPost, ...], tuple[SentAgent, ...]]:
    """What the island sends after the generation it has just finished; the same when called again.

    `order`: its living agents, the best paid first. `scores`: their mean rewards (`arena.phases.turnover.ranking`).
    """
    return tuple(_posts(arena.state)), tuple(_agents(arena, order, scores))


def departures(state: RunState, posts: Sequence[SentPost], agents: Sequence[SentAgent]) -> list[Row]:
    """Rows of table `migrations` for what was sent."""
    rows = [_row(state, "out", "post", p.signed.post.id, state.island, None, p.solve_rate) for p in posts]
    return rows + [_row(state, "out", "agent", a.name, state.island, None) for a in agents]


def _posts(state: RunState) -> Iterator[SentPost]:
    """The most useful posts first, then by kind, the newest first; each after the posts it cites."""
    most, g = state.config.cluster.posts, state.generation.index
    sql = "SELECT subject FROM migrations WHERE direction = 'out' AND kind = 'post' AND generation < ?"
    sent = {r["subject"] for r in state.store.query(sql, [g])}
    there = {r["id"]: r for r in state.store.query(_CANDIDATES, list(KINDS))}
    if state.config.cluster.topology == "all":  # what came from elsewhere everybody was sent
        natives = {r["name"] for r in state.store.query("SELECT name FROM agents")}
        sent |= {id_ for id_, r in there.items() if r["author"] not in natives}
    known = utilities(state)
    order = sorted(
        (id_ for id_, r in there.items() if id_ not in sent and not r["about"].startswith(PROSE)),
        key=lambda id_: (-max(0.0, known.get(id_, 0.0)), KINDS.index(there[id_]["kind"]), -there[id_]["seq"]),
    )
    chosen: dict[str, None] = {}
    for id_ in order:
        needed = _needed(id_, there, {*sent, *chosen})
        if needed is not None and len(chosen) + len(needed) <= most:
            chosen |= dict.fromkeys(needed)
    for id_ in chosen:
        signed = state.library.signed(id_)
        assert signed is not None
        rate = there[id_]["solve_rate"]
        yield SentPost(signed, state.island, rate)


_CANDIDATES = """SELECT p.id, p.seq, p.kind, p.author, p.about, p.cites, COALESCE(o.solve_rate, m.solve_rate)
    AS solve_rate FROM posts p
    LEFT JOIN outcomes o ON p.kind = 'worked_example' AND o.round = substr(p.about, instr(p.about, '/') + 1)
    LEFT JOIN migrations m ON m.subject = p.id AND m.kind = 'post' AND m.direction = 'in' AND m.taken
    WHERE p.kind IN (?, ?, ?, ?) AND NOT EXISTS (SELECT 1 FROM removals r WHERE r.post = p.id)
    AND (p.kind != 'definition' OR p.seq = (SELECT MIN(q.seq) FROM posts q WHERE q.kind = 'definition'
        AND q.title = p.title AND NOT EXISTS (SELECT 1 FROM removals r WHERE r.post = q.id)))"""


def _needed(id_: str, there: dict[str, Row], have: set[str]) -> list[str] | None:
    """This post and, before it, all it cites that was not sent yet. None if one of them cannot be sent."""
    found: dict[str, None] = {}
    open_: list[tuple[str, bool]] = [(id_, False)]
    while open_:
        at, closed = open_.pop()
        if at in have or at in found:
            continue
        if at not in there:
            return None
        if closed:
            found[at] = None
        else:
            open_ += [(at, True), *((cite, False) for cite in json.loads(there[at]["cites"]))]
    return list(found)


def _agents(arena: Arena, order: Sequence[str], scores: Mapping[str, float]) -> Iterator[SentAgent]:
    """The best paid of the living agents that were trained in this generation."""
    state = arena.state
    g, most = state.generation.index, arena.config.cluster.agents
    if arena.models.learner is None or not most:
        return
    sql = (
        "SELECT c.name, c.path, a.public_key FROM checkpoints c JOIN agents a ON a.name = c.name WHERE c.generation = ?"
    )
    slept = {r["name"]: r for r in arena.store.query(sql, [g])}
    for name in [a for a in order if a in slept][:most]:
        file = inside(arena.folder, slept[name]["path"]) / "adapter_model.safetensors"
        yield SentAgent(name, state.island, slept[name]["public_key"], scores[name], file.read_bytes())


def _row(
    state: RunState,
    direction: str,
    kind: str,
    subject: str,
    origin: int,
    reason: str | None,
    solve_rate: float | None = None,
    newborn: str | None = None,
) -> Row:
    return {
        "generation": state.generation.index,
        "island": state.island,
        "direction": direction,
        "kind": kind,
        "subject": subject,
        "origin": origin,
        "taken": int(reason is None),
        "reason": reason,
        "solve_rate": solve_rate,
        "newborn": newborn,
    }
