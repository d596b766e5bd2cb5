"""Sampling: every participant answers every item, once greedily and k times at a temperature.

The random key of a sample depends on set, item and sample number only, so it is the same for agents and base model,
does not depend on the other items, and a second evaluation gives the same texts. Requests are sent to the engine in
batches, so that progress can be reported.

Left out: keeping the answers received before an error; the whole set is then evaluated again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from agents.engine import Engine, Request
from agents.prompt import Prompt
from arena.evals.dataset import Item, ItemSet
from arena.evals.participants import Participant
from arena.library.context import notes
from arena.library.definitions import DefinitionIndex
from arena.rounds.roles import examinee
from arena.rounds.roles.voice import Voice
from arena.run.fold import RunState
from curricula.domain import Problem, digest

PART = 1024
"""Requests per engine call."""

Progress = Callable[[int, int], None]
"""Called with the number of answered requests and their total."""


@dataclass(frozen=True)
class Options:
    k: int = 8
    temperature: float = 0.8
    top_p: float = 1.0
    max_tokens: int = 112


@dataclass(frozen=True)
class Question:
    """One item as it is put to one participant; `notes` are the posts in its context."""

    set: ItemSet
    item: Item
    player: Participant
    prompt: Prompt
    notes: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return f"eval/{self.set.digest}/{self.item.line}"


@dataclass(frozen=True)
class Reply:
    """One completion. `sample`: None for the greedy one, otherwise from 0."""

    question: Question
    sample: int | None
    text: str
    finish: str
    prompt_tokens: int
    generated_tokens: int


def questions(
    state: RunState,
    voice: Voice,
    count_tokens: Callable[[str], int],
    sets: Sequence[ItemSet],
    players: Sequence[Participant],
) -> list[Question]:
    """All questions, by set, item and participant; participants that read have posts retrieved as in the run."""
    index, found = DefinitionIndex(state), list[Question]()
    for s in sets:
        for item in s.items:
            shown = dict[str, tuple[str, ...]]()  # by agent: who reads the same library reads the same
            for player in players:
                if player.reads and player.agent not in shown:
                    place = f"eval/{s.digest[:16]}/{item.line}"
                    shown[player.agent] = notes(
                        state,
                        index,
                        _as_problem(item),
                        player.agent,
                        place,
                        "eval",
                        count_tokens=count_tokens,
                        chat=voice.chat,
                    ).texts
                texts = shown[player.agent] if player.reads else ()
                found.append(Question(s, item, player, _prompt(state, voice, item, texts), texts))
    return found


def requests(asked: Sequence[Question], options: Options) -> list[tuple[Question, int | None, Request]]:
    """(question, sample, request) of all requests; sample is None for the greedy one."""
    return [(q, j, _request(q, j, options)) for q in asked for j in (None, *range(options.k))]


def answer(engine: Engine, asked: Sequence[Question], options: Options, tell: Progress) -> Iterator[Reply]:
    """The replies in the order of `requests`."""
    todo = requests(asked, options)
    tell(0, len(todo))
    for at in range(0, len(todo), PART):
        part = todo[at : at + PART]
        for (q, j, _), c in zip(part, engine.generate([r for _, _, r in part]), strict=True):
            yield Reply(q, j, c.text, c.finish, c.prompt_tokens, c.generated_tokens)
        tell(at + len(part), len(todo))


def _request(q: Question, sample: int | None, options: Options) -> Request:
    adapter = q.player.agent if q.player.adapter or q.player.other else None
    if sample is None:
        return Request(f"{q.key}/greedy", q.prompt, adapter, options.max_tokens, 0.0)
    return Request(f"{q.key}/{sample}", q.prompt, adapter, options.max_tokens, options.temperature, options.top_p)


def _prompt(state: RunState, voice: Voice, item: Item, shown: Sequence[str]) -> Prompt:
    if item.problem:
        return examinee.ask_problem(voice, state.domains[item.problem.domain], item.problem, shown)
    return examinee.ask(voice, item.text, item.system, shown)


def _as_problem(item: Item) -> Problem:
    """The item as a problem for retrieval: a question has words but no names."""
    if item.problem:
        return item.problem
    key = digest(item.text)
    return Problem("", item.text, 0, "", key, key, key)
