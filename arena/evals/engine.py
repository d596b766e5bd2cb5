"""What an examination needs of a run: its kind of engine with the players' adapters, and its state, to be read."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

from agents.engine_openai import estimate_tokens
from arena.config.schema import Config
from arena.evals.participants import Player
from arena.evals.sampling import Options, Question
from arena.run.agents import RunModels
from arena.run.fold import RunState
from arena.run.store import Store
from arena.text import count
from curricula.domain import Domain


class Minds:
    """An engine with the players' adapters, and how long prompts are to it."""

    def __init__(self, folder: Path, store: Store, config: Config, players: Sequence[Player]) -> None:
        """Raises ValueError or OSError for a base model, an adapter or a server that is not as the run had it."""
        models = RunModels(folder, store, config)
        models.use({p.agent: p.adapter for p in players if p.adapter})
        self.engine, self.tokenizer = models.engine, models.tokenizer
        if models.base is not None:
            self.positions = models.base.config.max_position_embeddings

    def lengths(self, asked: Sequence[Question]) -> list[int]:
        """Tokens of each prompt; behind a server they are estimated, since asking it costs a request a prompt."""
        if self.tokenizer is None:
            return [estimate_tokens(str(q.prompt)) for q in asked]
        return [len(ids) for ids in self.tokenizer.encode_prompts([q.prompt for q in asked])]

    def check_fit(self, asked: Sequence[Question], lengths: Sequence[int], options: Options) -> None:
        """Raises ValueError, naming the first line, for questions that are too long for the model."""
        if self.tokenizer is None:
            return
        long = [(q, n) for q, n in zip(asked, lengths, strict=True) if n + options.max_tokens > self.positions]
        if long:
            q, n = long[0]
            lines = len({(q.set.name, q.item.line) for q, _ in long})
            raise ValueError(
                f"{q.set.where(q.item)}: {n} tokens and {options.max_tokens} of an answer do not fit the model's "
                f"{self.positions}; {count(lines, 'line is', 'lines are')} too long: leave them out, or give less "
                "--max-tokens"
            )

    def strange(self, asked: Sequence[Question]) -> int:
        """How many questions hold a word that the model's vocabulary lacks."""
        if self.tokenizer is None:
            return 0
        once = {(q.set.name, q.item.line): q.item.text for q in asked}
        texts = list(once.values())
        kept = self.tokenizer.decode(self.tokenizer.encode(texts))
        return sum(_letters(before) != _letters(after) for before, after in zip(texts, kept, strict=True))


def _letters(text: str) -> str:
    """A text without what tokenizers may change of it and lose nothing: white space, case, forms of letters."""
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


def state_after(store: Store, config: Config, domains: Mapping[str, Domain], generation: int) -> RunState:
    """The run as it stood in `generation`, for reading its library and wording prompts."""
    state = RunState(config, store, domains, generation)
    for row in store.query("SELECT name, place, born FROM agents WHERE born <= ?", [generation]):
        state.places[row["name"]], state.births[row["name"]] = row["place"] or 0, row["born"]
    return state
