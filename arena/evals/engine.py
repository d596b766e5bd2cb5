"""What the players need: the run's kind of engine with their adapters, and an arena that can be read and not played."""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from agents.adapters import AdapterLayout, Adapters
from agents.engine import Engine
from agents.engine_openai import estimate_tokens
from agents.tokenizer import Tokenizer
from arena.config.schema import Config
from arena.evals.participants import Player
from arena.evals.sampling import Options, Question
from arena.run.engines import connect, make_engine
from arena.run.paths import inside
from arena.run.state import Arena, Generation, base_digest, load_base, model_folder
from arena.run.store import Store
from arena.text import count
from culture.library import Library


class Minds:
    """An engine with the players' adapters, and how long prompts are to it."""

    def __init__(self, folder: Path, store: Store, config: Config, players: Sequence[Player]) -> None:
        """Raises ValueError or OSError for a base model, an adapter or a server that is not as the run had it."""
        self.tokenizer: Tokenizer | None = None
        if config.engine.spec.remote:
            self.engine: Engine = connect(config)
            return
        ran_with, here = store.meta().get("base model"), base_digest(config)
        if ran_with not in (None, here):
            raise ValueError(f"{folder} was run with base model {ran_with}, here it is {here}")
        base, self.tokenizer = load_base(config)
        self.engine = make_engine(config, base, self.tokenizer, model_folder(config))
        self.positions = base.config.max_position_embeddings
        adapted = {p.agent: p.adapter for p in players if p.adapter}
        if adapted:
            layout = AdapterLayout(base.config, config.sleep.rank, config.sleep.alpha)
            rows = [layout.load_peft(inside(folder, path)).to(base.device) for path in adapted.values()]
            self.engine.set_adapters(Adapters(base, layout, list(adapted), torch.stack(rows)))

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


def reader(folder: Path, store: Store, config: Config, engine: Engine, generation: int) -> Arena:
    """The arena as it stood in `generation`, to read and to be worded by. It is never played and never closed: store
    and engine are the caller's."""
    arena = Arena(folder, config, store, io.StringIO(), engine, None)
    arena.library = Library(store.db, generation)
    arena.generation = Generation(generation)
    for row in store.query("SELECT name, place, born FROM agents WHERE born <= ?", [generation]):
        arena.places[row["name"]], arena.births[row["name"]] = row["place"] or 0, row["born"]
    return arena


@contextmanager
def own_threads() -> Iterator[None]:
    """Opening an arena sets torch's threads; they are put back."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)
