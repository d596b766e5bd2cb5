"""The command `eval`: evaluate a run's agents on the user's own sets.

The run is locked for reading only while prompts are built, adapters are loaded and contamination is checked, all before
the first request. Nothing is written to the run's database; the tokens are not part of the run's compute.

Left out: training on the sets, and comparing several runs (evaluate each and compare the files).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from arena.config.population import MAIN
from arena.config.schema import Config
from arena.evals.contamination import met
from arena.evals.dataset import ItemSet, read_sets
from arena.evals.engine import EvalModels, state_after
from arena.evals.participants import Selection, open_for_reading, select_participants
from arena.evals.sampling import Options, Progress, Question, answer, questions
from arena.evals.scorers import ScoredReply, Scorer
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
"""Called with each note for the user, before the first request."""


@dataclass(frozen=True)
class Wanted:
    """The options of the command; None stands for the run's own setting or the last generation."""

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
    """The result of one set. `met`: where contaminated items occurred in the run, by line."""

    run: str
    config: Config
    set: ItemSet
    selection: Selection
    options: Options
    met: dict[int, frozenset[str]]
    judged: tuple[ScoredReply, ...]
    scores: Scores


def examine(folder: Path, files: Sequence[Path], wanted: Wanted, listen: Listener, tell: Progress) -> list[Result]:
    """Evaluate a run on all sets.

    Args:
        folder: the run's folder.
        files: paths or names of evaluation sets.
        wanted: the options.
        listen: called with notes for the user.
        tell: called with the number of answered requests and their total.

    Raises:
        ValueError, OSError: for mistakes of the user, where possible before the first request.
    """
    with ExitStack() as ends:
        with open_for_reading(folder) as (store, config):
            ends.enter_context(run_threads(config))
            domains, options = make_domains(config), wanted.options(config)
            sets = [s.limited(wanted.limit) for s in read_sets(files, domains)]
            selection = select_participants(store, config, folder, wanted.agents, wanted.generation, wanted.library)
            sandbox = _sandbox(sets, ends)
            mets = [met(store, domains, s.items, selection.generation) for s in sets]
            models = EvalModels(folder, store, config, selection.players)
            ends.callback(close, models.engine)
            state = state_after(store, config, domains, selection.generation)
            voice = make_voice(config, state.place)
            scorer = Scorer(voice, domains, sandbox)
            for s in sets:
                scorer.check_checkers(s)
            asked = questions(state, voice, models.engine.count_tokens, sets, selection.players)
        lengths = models.lengths(asked)
        models.check_fit(asked, lengths, options)
        cost = _cost(asked, lengths, options, config)
        for text in [*selection.said, *_notes(sets, asked, models.unknown_words(asked), wanted), cost]:
            listen(text)
        judged = dict[str, list[ScoredReply]]()
        replies = answer(models.engine, asked, options, tell)
        for (name, _), group in groupby(replies, key=lambda r: (r.question.set.name, r.question.item.line)):
            judged.setdefault(name, []).extend(scorer.score(list(group)))
    return [
        _result(config, s, selection, options, dict(zip([i.line for i in s.items], kinds, strict=True)), judged[s.name])
        for s, kinds in zip(sets, mets, strict=True)
    ]


def _result(
    config: Config,
    s: ItemSet,
    selection: Selection,
    options: Options,
    kinds: dict[int, frozenset[str]],
    judged: Sequence[ScoredReply],
) -> Result:
    known = {at: found for at, found in kinds.items() if found}
    scores = score(s.items, s.levels(), judged, known, options.k)
    return Result(config.run.name, config, s, selection, options, known, tuple(judged), scores)


def _sandbox(sets: Sequence[ItemSet], ends: ExitStack) -> Sandbox | None:
    if not any(i.checker for s in sets for i in s.items):
        return None
    sandbox = make_sandbox()
    ends.callback(sandbox.close)
    return sandbox


def _notes(sets: Sequence[ItemSet], asked: Sequence[Question], strange: int, wanted: Wanted) -> list[str]:
    """Notes on the sets for the user."""
    found = []
    for s in sets:
        if len(s.items) < s.total:
            found.append(f"{s.name}: {len(s.items)} of its {s.total} items, evenly spaced over the file")
        twice = s.repeated()
        if twice:
            first, again = twice[0]
            repeated = count(len(twice), "item repeats", "items repeat")
            found.append(f"{s.name}: {repeated} an earlier one, such as lines {first.line} and {again.line}; all count")
    if strange:
        found.append(
            f"{count(strange, 'question holds', 'questions hold')} words that are not in the model's vocabulary"
        )
    if wanted.library:
        readers = [q for q in asked if q.player.reads]
        helped = sum(bool(q.notes) for q in readers)
        found.append(f"the library has posts for {helped} of {len(readers)} questions with reading")
    return found


def _cost(asked: Sequence[Question], lengths: Sequence[int], options: Options, config: Config) -> str:
    """Number of requests, maximum tokens, and their cost if the config has prices."""
    times = 1 + options.k
    prompts, answers = sum(lengths) * times, len(asked) * times * options.max_tokens
    items, players = ({q.key for q in asked}, {q.player.name for q in asked})
    told = f"{count(len(items), 'item')}, {count(len(players), 'player')}, {count(times, 'answer')} each"
    most = f"at most {prompts + answers:,} tokens ({prompts:,} of prompts, {answers:,} of answers)"
    if config.population.others:
        priced = [
            (config.model_prices[model], n)
            for q, n in zip(asked, lengths, strict=True)
            if (model := q.player.other or MAIN) in config.model_prices
        ]
        costs = [price(prices, n * times, times * options.max_tokens) or 0.0 for prices, n in priced]
        money = sum(costs) if config.model_prices else None
    else:
        money = price(config.limits.prices, prompts, answers)
    paid = "" if money is None else f", {amount(money, config.limits.prices.currency)}"
    return f"{count(len(asked) * times, 'request')} ({told}); {most}{paid}"
