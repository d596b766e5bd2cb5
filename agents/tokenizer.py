"""Text to token ids and back, through a Hugging Face tokenizer.json.

The shipped tokenizer is word-level: words separated by single spaces, one id each. Left out: chat templates.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer as HFTokenizer

PAD, EOS, UNK = "<pad>", "<eos>", "<unk>"


class Tokenizer:
    """Encode and decode; `eos` ends a completion and is never part of its text."""

    def __init__(self, folder: str | Path) -> None:
        path = Path(folder) / "tokenizer.json"
        try:
            self._tokenizer = HFTokenizer.from_file(str(path))
        except Exception as error:  # the library raises plain Exception for a missing or damaged file
            raise ValueError(f"cannot load a tokenizer from {path}: {error}") from None
        pad, eos = self._tokenizer.token_to_id(PAD), self._tokenizer.token_to_id(EOS)
        if pad is None or eos is None:
            raise ValueError(f"{path} lacks the special tokens {PAD} and {EOS}")
        self.pad, self.eos = pad, eos

    def __len__(self) -> int:
        return int(self._tokenizer.get_vocab_size())

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, without special tokens."""
        return [e.ids for e in self._tokenizer.encode_batch(list(texts), add_special_tokens=False)]

    def count(self, text: str) -> int:
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """Text of each row of ids, special tokens left out."""
        return list(self._tokenizer.decode_batch([list(r) for r in rows], skip_special_tokens=True))
