"""Text to token ids and back, through a Hugging Face tokenizer.json.

The shipped tokenizer is word-level: words separated by single spaces, one id each. Those of published models work on
bytes or on pieces of words; which tokens end a text they say in tokenizer_config.json, generation_config.json and
config.json. Left out: chat templates, and a token for the beginning of a text.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as HFTokenizer

from agents.families import token_ids
from agents.hub import find_model
from agents.prompt import Chat, Prompt

PAD, EOS, UNK = "<pad>", "<eos>", "<unk>"


class Tokenizer:
    """Encode and decode.

    `eos` is put after a completion that is trained on; any of `stops` ends one that is sampled, and none of them is
    ever part of its text. `pad` fills rows up and is never looked at; a model without one is given `eos`.
    """

    eos: int
    stops: frozenset[int]
    pad: int

    def __init__(self, name: str | Path) -> None:
        """Read a folder, or a model by its Hugging Face name. Raises ValueError, naming the file, if tokenizer.json
        is missing or damaged, or nothing says which token ends a text."""
        folder = find_model(name)
        path = folder / "tokenizer.json"
        try:
            self._tokenizer = HFTokenizer.from_file(str(path))
        except Exception as error:  # the library raises plain Exception for a missing or damaged file
            raise ValueError(f"cannot load a tokenizer from {path}: {error}") from None
        self._tokenizer.encode_special_tokens = True  # "<eos>" in somebody's text is text
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        own, mapped = _settings(folder / "tokenizer_config.json"), _settings(folder / "special_tokens_map.json")
        generation, model = _settings(folder / "generation_config.json"), _settings(folder / "config.json")
        eos = self._named(path, (own, mapped), "eos_token", EOS)
        ends = (*token_ids(generation.get("eos_token_id")), *token_ids(model.get("eos_token_id")))
        if eos is None and not ends:
            raise ValueError(f"{path} lacks a token that ends a text: no eos_token, no eos_token_id, and no {EOS}")
        self.eos = ends[0] if eos is None else eos
        self.stops = frozenset((self.eos, *ends))
        pad = self._named(path, (own, mapped), "pad_token", PAD)
        self.pad = self.eos if pad is None else pad
        ids = self._tokenizer.encode("a", add_special_tokens=False).ids
        self._gap = "" if " " in self._tokenizer.decode(ids + ids, skip_special_tokens=False) else " "

    def __len__(self) -> int:
        return int(self._tokenizer.get_vocab_size())

    @property
    def largest(self) -> int:
        """The largest id there is."""
        return max(self._tokenizer.get_vocab().values())

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, without special tokens."""
        return [e.ids for e in self._tokenizer.encode_batch(list(texts), add_special_tokens=False)]

    def encode_prompts(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """Token ids of each prompt; a chat is worded by the model's own template. Raises ValueError where there is
        none."""
        if any(isinstance(p, Chat) for p in prompts):
            raise ValueError("the model has no chat template: use prompts.style=bare")
        return self.encode([str(p) for p in prompts])

    def encode_after(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text as it follows a prompt one space away.

        Byte-level tokenizers keep that space in the first token; word-level ones have none to keep, and the ids are
        those of `encode`.
        """
        return self.encode([self._gap + t for t in texts])

    def count(self, text: str) -> int:
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """Text of each row of ids, special tokens left out."""
        return list(self._tokenizer.decode_batch([list(r) for r in rows], skip_special_tokens=True))

    def _named(self, path: Path, settings: Sequence[dict[str, Any]], key: str, default: str) -> int | None:
        """The id of a special token that the first of the settings names, or of the default if it is there."""
        for found in settings:
            token = found.get(key)
            text = token.get("content") if isinstance(token, dict) else token
            if text is not None:
                number = self._tokenizer.token_to_id(text)
                if number is None:
                    raise ValueError(f"{path} lacks the {key} {text!r}")
                return int(number)
        number = self._tokenizer.token_to_id(default)
        return None if number is None else int(number)


def _settings(path: Path) -> dict[str, Any]:
    """A JSON file beside the tokenizer; empty if it is not there."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot read {path}: {error}") from None
    if not isinstance(data, dict):
        raise ValueError(f"cannot read {path}: it should hold an object")
    return data
