"""An examination of a run's agents, from its folder and the user's files to numbers: what the command `eval` does.

The run is held only while it is read; nobody can play it then. All that is asked is made before the first request:
prompts, adapters, and what the run had met. Nothing is written into the run's database; tokens of it are evaluation
and no part of the run's compute.

Left out: training on the sets, and other runs beside it (examine each, and compare their files).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from arena.config.schema import Config, PricesSection
from arena.evals.contamination import met
from arena.evals.dataset import ItemSet, read_sets
from arena.evals.engine import Minds, state_after
from arena.evals.participants import Line, line_up, opened
from arena.evals.sampling import Options, Progress, Question, answer, questions
from arena.evals.scorers import Judge, Judged
from arena.evals.scores import Scores, score
from arena.rounds.roles.voice import make_voice
from arena.run.agents import run_threads
from arena.run.budget import amount, price
from arena.run.engines import close
from arena.run.state import make_domains
from arena.text import count
from curricula.sandbox import Sandbox
from curricula.sandboxes import make_sandbox

Listener = Callable[[str], None]
"""Told what a user should know before the first request, a sentence at a time."""


@dataclass(frozen=True)
class Wanted:
    """What the user asked for; None is what the run itself has, or the last generation there is."""

    agents: str = "best"
    generation: int | None = None
    k: int = 8
    limit: int | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    library: bool = False

    def options(self, config: Config) -> Options:
        return Options(
            self.k,
            config.rounds.temperature if self.temperature is None else self.temperature,
            config.rounds.top_p,
            self.max_tokens or config.rounds.max_tokens,
        )


@dataclass(frozen=True)
class Result:
    """One set as it was answered. `met` is how the run had met its items, by line, where it had."""

    run: str
    config: Config
    set: ItemSet
    line: Line
    options: Options
    met: dict[int, frozenset[str]]
    judged: tuple[Judged, ...]
    scores: Scores


def examine(folder: Path, files: Sequence[Path], wanted: Wanted, listen: Listener, tell: Progress) -> list[Result]:
    """Ask all sets. Raises ValueError or OSError for what the user has to mend, if it can before anything is asked."""
    with ExitStack() as ends:
        with opened(folder) as (store, config):
            ends.enter_context(run_threads(config))
            domains, options = make_domains(config), wanted.options(config)
            sets = [s.limited(wanted.limit) for s in read_sets(files, domains)]
            line = line_up(store, config, folder, wanted.agents, wanted.generation, wanted.library)
            sandbox = _sandbox(sets, ends)
            mets = [met(store, domains, s.items, line.generation) for s in sets]
            minds = Minds(folder, store, config, line.players)
            ends.callback(close, minds.engine)
            state = state_after(store, config, domains, line.generation)
            voice = make_voice(config, state.place)
            judge = Judge(voice, domains, sandbox)
            for s in sets:
                judge.try_checkers(s)
            asked = questions(state, voice, minds.engine.count_tokens, sets, line.players)
        lengths = minds.lengths(asked)
        minds.check_fit(asked, lengths, options)
        cost = _cost(asked, lengths, options, config.limits.prices)
        for text in [*line.said, *_notes(sets, asked, minds.strange(asked), wanted), cost]:
            listen(text)
        judged = dict[str, list[Judged]]()
        replies = answer(minds.engine, asked, options, tell)
        for (name, _), group in groupby(replies, key=lambda r: (r.question.set.name, r.question.item.line)):
            judged.setdefault(name, []).extend(judge.judge(list(group)))
    return [
        _result(config, s, line, options, dict(zip([i.line for i in s.items], kinds, strict=True)), judged[s.name])
        for s, kinds in zip(sets, mets, strict=True)
    ]


def _result(
    config: Config,
    s: ItemSet,
    line: Line,
    options: Options,
    kinds: dict[int, frozenset[str]],
    judged: Sequence[Judged],
) -> Result:
    known = {at: found for at, found in kinds.items() if found}
    scores = score(s.items, s.levels(), judged, known, options.k)
    return Result(config.run.name, config, s, line, options, known, tuple(judged), scores)


def _sandbox(sets: Sequence[ItemSet], ends: ExitStack) -> Sandbox | None:
    if not any(i.checker for s in sets for i in s.items):
        return None
    sandbox = make_sandbox()
    ends.callback(sandbox.close)
    return sandbox


def _notes(sets: Sequence[ItemSet], asked: Sequence[Question], strange: int, wanted: Wanted) -> list[str]:
    """What the user should know of the sets before they are asked."""
    found = []
    for s in sets:
        if len(s.items) < s.total:
            found.append(f"{s.name}: {len(s.items)} of its {s.total} items, evenly spaced over the file")
        twice = s.repeated()
        if twice:
            first, again = twice[0]
            told = count(len(twice), "item asks what an earlier one", "items ask what an earlier one")
            found.append(f"{s.name}: {told} asks, such as lines {first.line} and {again.line}; all are counted")
    if strange:
        found.append(
            f"{count(strange, 'question holds', 'questions hold')} words that are not in the model's vocabulary"
        )
    if wanted.library:
        readers = [q for q in asked if q.player.reads]
        helped = sum(bool(q.notes) for q in readers)
        found.append(f"the library had something to read for {helped} of {len(readers)} questions to readers")
    return found


def _cost(asked: Sequence[Question], lengths: Sequence[int], options: Options, prices: PricesSection) -> str:
    """Requests, the most tokens they can take, and what those cost where the config has prices."""
    times = 1 + options.k
    prompts, answers = sum(lengths) * times, len(asked) * times * options.max_tokens
    items, players = ({q.key for q in asked}, {q.player.name for q in asked})
    told = f"{count(len(items), 'item')}, {count(len(players), 'player')}, {count(times, 'answer')} each"
    most = f"at most {prompts + answers:,} tokens ({prompts:,} of prompts, {answers:,} of answers)"
    money = price(prices, prompts, answers)
    paid = "" if money is None else f", {amount(money, prices.currency)}"
    return f"{count(len(asked) * times, 'request')} ({told}); {most}{paid}"
