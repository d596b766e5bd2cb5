"""Convert between text and token ids with a Hugging Face tokenizer.json.

The shipped tokenizer is word-level: words separated by single spaces, one id each. Those of published models are
byte-level or subword; tokenizer_config.json, generation_config.json and config.json list their end-of-text tokens. A
chat is rendered by the model's own template (`agents/template.py`); text of agents never becomes a special token.
Left out: a beginning-of-text token for prompts that are not chats.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken
from tokenizers import Tokenizer as HFTokenizer

from agents.architectures import token_ids
from agents.hub import find_model
from agents.json_file import read_object
from agents.prompt import Chat, Prompt
from agents.stored_file import check_file
from agents.template import RenderedChat, find_template

PAD, EOS, UNK = "<pad>", "<eos>", "<unk>"
THINKING = re.compile(r"</?(think|thinking|thought|reasoning)>")  # visible even if the model declares it special


class Tokenizer:
    """Encodes and decodes text.

    `eos` is appended to completions for training (for chats see `end_of`). Any of `stops` ends a sampled completion
    and is not part of its text. `pad` fills rows and is always masked; it is `eos` if the model defines none.
    """

    eos: int
    stops: frozenset[int]
    pad: int

    def __init__(self, name: str | Path) -> None:
        """Load the tokenizer of a folder or of a model with a Hugging Face name.

        Raises:
            ValueError: tokenizer.json is missing or damaged, no end-of-text token is defined, or the chat template is
                invalid; the message names the file.
        """
        folder = find_model(name)
        self._path = path = folder / "tokenizer.json"
        try:
            check_file(path)
            self._tokenizer = HFTokenizer.from_file(str(path))
        except Exception as error:  # tokenizers raises Exception for a missing or damaged file
            raise ValueError(f"cannot load a tokenizer from {path}: {error}") from None
        self._tokenizer.encode_special_tokens = True  # "<eos>" in a text is encoded as plain text
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        own, mapped = _settings(folder / "tokenizer_config.json"), _settings(folder / "special_tokens_map.json")
        generation, model = _settings(folder / "generation_config.json"), _settings(folder / "config.json")
        eos = self._named(path, (own, mapped), "eos_token", EOS)
        try:
            ends = (*token_ids(generation.get("eos_token_id")), *token_ids(model.get("eos_token_id")))
        except ValueError as error:
            raise ValueError(f"a config in {folder} is damaged: {error}") from None
        if eos is None and not ends:
            raise ValueError(f"{path} lacks a token that ends a text: no eos_token, no eos_token_id, and no {EOS}")
        self.eos = ends[0] if eos is None else eos
        self.stops = frozenset((self.eos, *ends))
        pad = self._named(path, (own, mapped), "pad_token", PAD)
        self.pad = self.eos if pad is None else pad
        self._marks, self._hidden = self._take_marks()
        self._template = find_template(folder, own, _texts(own))
        self._turn = self._end_of_turn()
        self.stops |= {self._turn}
        self._worded: HFTokenizer | None = None
        self._containing: dict[str, frozenset[int]] = {}
        ids = self._tokenizer.encode("a", add_special_tokens=False).ids
        self._gap = "" if " " in self._tokenizer.decode(ids + ids, skip_special_tokens=False) else " "

    def __len__(self) -> int:
        return int(self._tokenizer.get_vocab_size())

    @property
    def largest(self) -> int:
        """The largest token id."""
        return max(self._tokenizer.get_vocab().values())

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, without special tokens."""
        return [e.ids for e in self._tokenizer.encode_batch(list(texts), add_special_tokens=False)]

    def encode_prompts(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """Token ids of each prompt. Chats are rendered by the model's own template.

        Raises:
            ValueError: there is no template, or it fails.
        """
        if not any(isinstance(p, Chat) for p in prompts):
            return self.encode([str(p) for p in prompts])
        asked = dict.fromkeys(prompts)
        texts, chats = [p for p in asked if isinstance(p, str)], [p for p in asked if isinstance(p, Chat)]
        found: dict[Prompt, list[int]] = dict(zip(texts, self.encode(texts), strict=True))
        found.update(zip(chats, self._encode_chats(chats), strict=True))
        return [list(found[p]) for p in prompts]

    def encode_completions(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> list[list[int]]:
        """Token ids of each completion for training after its prompt, including the end token.

        A text prompt and its completion are separated by a space, which byte-level tokenizers include in the first
        token and word-level tokenizers drop. The answer to a chat starts directly after the prompt.
        """
        spaced = ["" if isinstance(p, Chat) else self._gap for p in prompts]
        ids = self.encode([s + c for s, c in zip(spaced, completions, strict=True)])
        return [[*row, self.end_of(p)] for p, row in zip(prompts, ids, strict=True)]

    def completion_ends(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> list[list[int]]:
        """Of each completion and each of its tokens, as `encode_completions` gives them, the character of the
        completion before which the token ends; the end token ends one after the text."""
        gaps = ["" if isinstance(p, Chat) else self._gap for p in prompts]
        found = self._tokenizer.encode_batch(
            [gap + c for gap, c in zip(gaps, completions, strict=True)], add_special_tokens=False
        )
        return [
            [*(end - len(gap) for _, end in e.offsets), len(c) + 1]
            for e, gap, c in zip(found, gaps, completions, strict=True)
        ]

    def end_of(self, prompt: Prompt) -> int:
        """The token that ends a completion of this prompt."""
        return self._turn if isinstance(prompt, Chat) else self.eos

    def count(self, text: str) -> int:
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def lacks(self, text: str) -> bool:
        """Whether part of a text is encoded as the unknown token."""
        unknown = self._tokenizer.token_to_id(UNK)
        return unknown is not None and unknown in self._tokenizer.encode(text, add_special_tokens=False).ids

    def containing(self, text: str) -> frozenset[int]:
        """The tokens whose text contains `text`."""
        if text not in self._containing:
            ids = sorted(set(self._tokenizer.get_vocab().values()))
            shown = self._tokenizer.decode_batch([[i] for i in ids], skip_special_tokens=False)
            self._containing[text] = frozenset(i for i, word in zip(ids, shown, strict=True) if text in word)
        return self._containing[text]

    def decode(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """The text of each row of ids, without special tokens."""
        shown = [[i for i in row if i not in self._hidden] for row in rows]
        return list(self._tokenizer.decode_batch(shown, skip_special_tokens=False))

    def _encode_chats(self, chats: Sequence[Chat]) -> list[list[int]]:
        if self._template is None:
            raise ValueError(
                f"the model in {self._path.parent} has no chat template: use prompts.style=bare, or a model that "
                "follows instructions"
            )
        if self._worded is None:
            self._worded = HFTokenizer.from_file(str(self._path))
            self._worded.no_truncation()
            self._worded.no_padding()
        wordings = [self._template.render(chat) for chat in chats]
        marks = {w.text: self._marks_in(self._worded.encode(w.text, add_special_tokens=False).ids) for w in wordings}
        whole = self._worded.encode_batch([w.fill(w.text) for w in wordings], add_special_tokens=False)
        return [
            e.ids if self._marks_in(e.ids) == marks[w.text] else self._encode_apart(w)
            for w, e in zip(wordings, whole, strict=True)
        ]

    def _marks_in(self, ids: Sequence[int]) -> list[int]:
        return [i for i in ids if i in self._marks]

    def _encode_apart(self, wording: RenderedChat) -> list[int]:
        """Encode a chat whose messages contain special tokens: only those from the template are encoded as such."""
        assert self._worded is not None
        bare = self._worded.encode(wording.text, add_special_tokens=False)
        found, at = list[int](), 0
        for number, (start, end) in [*zip(bare.ids, bare.offsets, strict=True), (-1, (len(wording.text), 0))]:
            if number in self._marks or number < 0:
                between = self.encode([wording.fill(wording.text[at:start])])[0]
                found += [i for i in between if i not in self._marks]
                found += [number] * (number >= 0)
                at = end
        return found

    def _take_marks(self) -> tuple[frozenset[int], frozenset[int]]:
        """Find the ids that plain text may not be encoded to, and those that decoding omits.

        Models also have tokens that are not declared special but are used by templates, such as those around thinking.
        Plain text may not be encoded to them either, but decoding shows them.
        """
        added = self._tokenizer.get_added_tokens_decoder()
        marks = {i: token for i, token in added.items() if token.special or token.content.strip()}
        for token in marks.values():
            if not token.special:
                options = {k: getattr(token, k) for k in ("single_word", "lstrip", "rstrip", "normalized")}
                self._tokenizer.add_special_tokens([AddedToken(token.content, special=True, **options)])
        hidden = {i for i, token in marks.items() if token.special and not THINKING.fullmatch(token.content)}
        return frozenset(marks), frozenset(hidden)

    def _end_of_turn(self) -> int:
        """The token that the template puts after an answer; `eos` if there is none."""
        after = self._template.after_answer().lstrip() if self._template else ""
        added = self._tokenizer.get_added_tokens_decoder()
        ends = {len(token.content): i for i, token in added.items() if after.startswith(token.content)}
        return ends[max(ends)] if ends else self.eos

    def _named(self, path: Path, settings: Sequence[dict[str, Any]], key: str, default: str) -> int | None:
        """The id of the token that the first of `settings` with `key` names, else of `default`; None if missing."""
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


def _texts(settings: dict[str, Any]) -> dict[str, str]:
    """The named special tokens in tokenizer_config.json."""
    found = {k: v.get("content") if isinstance(v, dict) else v for k, v in settings.items() if k.endswith("_token")}
    return {k: v for k, v in found.items() if isinstance(v, str)}


def _settings(path: Path) -> dict[str, Any]:
    """Read a JSON file in the folder of the tokenizer; empty if it is missing."""
    try:
        return read_object(path)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot read {path}: {error}") from None
