"""The models and the state that an evaluation takes from a run: its engine with adapters, and a read-only state."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

from agents.engine_openai import estimate_tokens
from arena.config.schema import Config
from arena.evals.participants import Participant
from arena.evals.sampling import Options, Question
from arena.run.agents import RunModels
from arena.run.fold import RunState
from arena.run.store import Store
from arena.text import count
from curricula.domain import Domain


class EvalModels:
    """The run's engine with the participants' adapters, and its tokenizer."""

    def __init__(self, folder: Path, store: Store, config: Config, players: Sequence[Participant]) -> None:
        """Raises ValueError or OSError if the base model, an adapter or the server differs from the run's."""
        models = RunModels(folder, store, config)
        models.use({p.agent: p.adapter for p in players if p.adapter})
        models.join([p.agent for p in players if p.other], store.agent_models())
        self.engine, self.tokenizer = models.engine, models.tokenizer
        if models.base is not None:
            self.positions = models.base.config.max_position_embeddings

    def lengths(self, asked: Sequence[Question]) -> list[int]:
        """Tokens of each prompt; estimated for a server, which would need one request per prompt."""
        if self.tokenizer is None:
            return [estimate_tokens(str(q.prompt)) for q in asked]
        return [len(ids) for ids in self.tokenizer.encode_prompts([q.prompt for q in asked])]

    def check_fit(self, asked: Sequence[Question], lengths: Sequence[int], options: Options) -> None:
        """Raises ValueError, naming the first line, if questions are too long for the model."""
        if self.tokenizer is None:
            return
        long = [(q, n) for q, n in zip(asked, lengths, strict=True) if n + options.max_tokens > self.positions]
        long = [(q, n) for q, n in long if not q.player.other]  # whose model has another context
        if long:
            q, n = long[0]
            lines = len({(q.set.name, q.item.line) for q, _ in long})
            raise ValueError(
                f"{q.set.where(q.item)}: {n} tokens and {options.max_tokens} for the answer exceed the model's "
                f"{self.positions}; {count(lines, 'line is', 'lines are')} too long: remove them, or lower "
                "--max-tokens"
            )

    def unknown_words(self, asked: Sequence[Question]) -> int:
        """Number of questions with a word that is not in the model's vocabulary."""
        if self.tokenizer is None:
            return 0
        once = {(q.set.name, q.item.line): q.item.text for q in asked}
        texts = list(once.values())
        kept = self.tokenizer.decode(self.tokenizer.encode(texts))
        return sum(_letters(before) != _letters(after) for before, after in zip(texts, kept, strict=True))


def _letters(text: str) -> str:
    """A text without what tokenizers may change harmlessly: white space, case and compatibility forms."""
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


def state_after(store: Store, config: Config, domains: Mapping[str, Domain], generation: int) -> RunState:
    """The state of the run as of `generation`, for reading its library and wording prompts."""
    state = RunState(config, store, domains, generation)
    for row in store.query("SELECT name, place, born FROM agents WHERE born <= ?", [generation]):
        state.places[row["name"]], state.births[row["name"]] = row["place"] or 0, row["born"]
    return state
