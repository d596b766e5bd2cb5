"""Convert the tokenizer in the settings of a GGUF file to the files of a Hugging Face folder.

Byte-level tokenizers ("gpt2") split a text with the regular expressions that `tokenizer.ggml.pre` names, then join
bytes by their list of merges. SentencePiece tokenizers ("llama") have scores in place of merges, from which the merges
follow. The splits are those of each model family's tokenizer.json. Left out: other tokenizers, templates for tools.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import PreTokenizer

PREFIX = "tokenizer.ggml."
UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 2, 3, 4, 5, 6
"""Types of tokens other than 1, an ordinary one, in tokenizer.ggml.token_type."""
ENDS = frozenset({"<|endoftext|>", "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>"})
"""Control tokens that end a completion in every model that has them, as in llama.cpp."""
WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3, QWEN2 = WORDS + r"\p{N}{1,3}" + REST, WORDS + r"\p{N}" + REST
"""Regular expressions of the tokenizer.json of Llama 3 and Qwen2."""


def gpt2() -> PreTokenizer:
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)


def by_regex(regex: str) -> Callable[[], PreTokenizer]:
    return lambda: pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(regex), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def single_digits() -> PreTokenizer:
    return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), gpt2()])


SPLITS: dict[str, Callable[[], PreTokenizer]] = {
    "default": gpt2,
    "gpt-2": gpt2,
    "smollm": single_digits,
    "llama-bpe": by_regex(LLAMA3),
    "llama3": by_regex(LLAMA3),
    "llama-v3": by_regex(LLAMA3),
    "qwen2": by_regex(QWEN2),
    "deepseek-r1-qwen": by_regex(QWEN2),
}
"""How a text is split before merges are applied, by the name in tokenizer.ggml.pre."""
WHOLE_WORDS = ("llama-bpe", "llama3", "llama-v3")
"""Splits with which a piece that is a token as a whole is taken, whatever the merges."""


def tokenizer_files(settings: dict[str, Any]) -> dict[str, str]:
    """Texts of tokenizer.json, tokenizer_config.json, generation_config.json and chat_template.jinja by file name.

    Args:
        settings: all settings of a GGUF file by name.

    Raises:
        ValueError: a setting is missing, damaged or not supported; the message names it.
    """
    kind, tokens = settings.get(f"{PREFIX}model"), settings.get(f"{PREFIX}tokens")
    if not isinstance(tokens, list) or not tokens or not all(isinstance(t, str) for t in tokens):
        raise ValueError(f"{PREFIX}tokens should be a list of texts")
    types = settings.get(f"{PREFIX}token_type") or [1] * len(tokens)
    if not isinstance(types, list) or len(types) != len(tokens):
        raise ValueError(f"{PREFIX}token_type should have one entry for each of the {len(tokens):,} tokens")
    makers = {"gpt2": _byte_level, "llama": _sentencepiece}
    if kind not in makers:
        raise ValueError(f"{PREFIX}model {repr(kind)[:60]} is not supported: expected one of {', '.join(makers)}")
    try:
        tokenizer = makers[kind](settings, tokens, types)
        _add_tokens(tokenizer, tokens, types)
        text = tokenizer.to_str()
    except ValueError:
        raise
    except Exception as error:  # tokenizers raises Exception, and TypeError for lists of other types
        raise ValueError(f"its tokenizer is damaged: {' '.join(str(error).split())[:200]}") from None
    ids = {name: _token_id(settings, name, len(tokens)) for name in ("bos", "eos", "eot", "eom", "unknown", "padding")}
    files = {
        "tokenizer.json": text,
        "tokenizer_config.json": _json(_tokenizer_config(tokens, ids)),
        "generation_config.json": _json(_generation_config(tokens, types, ids)),
    }
    template = settings.get("tokenizer.chat_template")
    if isinstance(template, str):
        files["chat_template.jinja"] = template
    return files


def _byte_level(settings: dict[str, Any], tokens: list[str], types: list[int]) -> Tokenizer:
    pre = settings.get(f"{PREFIX}pre", "default")
    if pre not in SPLITS:
        raise ValueError(f"{PREFIX}pre {repr(pre)[:60]} is not supported: expected one of {', '.join(SPLITS)}")
    merges = [_pair(merge) for merge in settings.get(f"{PREFIX}merges") or []]
    model = BPE(_vocabulary(tokens, types), merges, ignore_merges=pre in WHOLE_WORDS)
    tokenizer = Tokenizer(model)
    if pre.endswith(("qwen2", "qwen")):
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer, tokenizer.decoder = SPLITS[pre](), decoders.ByteLevel()
    return tokenizer


def _sentencepiece(settings: dict[str, Any], tokens: list[str], types: list[int]) -> Tokenizer:
    scores = settings.get(f"{PREFIX}scores")
    if not isinstance(scores, list) or len(scores) != len(tokens):
        raise ValueError(f"{PREFIX}scores should have one entry for each of the {len(tokens):,} tokens")
    vocabulary = _vocabulary(tokens, types)
    joined = {t: i for t, i in vocabulary.items() if types[i] not in (UNKNOWN, CONTROL, BYTE, USER_DEFINED)}
    pairs = [
        (-scores[i], token[:at], token[at:])
        for token, i in joined.items()
        for at in range(1, len(token))
        if token[:at] in joined and token[at:] in joined
    ]
    pairs.sort(key=lambda pair: (pair[0], len(pair[1]), len(pair[2])))
    unknown = _token_id(settings, "unknown", len(tokens))
    tokenizer = Tokenizer(
        BPE(
            vocabulary,
            [pair[1:] for pair in pairs],
            unk_token=None if unknown is None else tokens[unknown],
            fuse_unk=True,
            byte_fallback=BYTE in types,
        )
    )
    prefix = settings.get(f"{PREFIX}add_space_prefix", True)
    spaces = [normalizers.Prepend("▁")] if prefix else []
    tokenizer.normalizer = normalizers.Sequence([*spaces, normalizers.Replace(" ", "▁")])
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)] if prefix else steps)
    return tokenizer


def _pair(merge: str) -> tuple[str, str]:
    """The two tokens of a merge. They are separated by a space, and the first one may begin with a space."""
    at = merge.find(" ", 1)
    if at < 0:
        raise ValueError(f"{PREFIX}merges should hold pairs of tokens, found {repr(merge)[:60]}")
    return merge[:at], merge[at + 1 :]


def _vocabulary(tokens: list[str], types: list[int]) -> dict[str, int]:
    """Ids of the tokens that are used; files fill up the embedding's rows with unused ones."""
    found = {token: i for i, token in enumerate(tokens) if types[i] != UNUSED}
    if len(found) + types.count(UNUSED) != len(tokens):
        raise ValueError(f"{PREFIX}tokens holds a token twice")
    return found


def _add_tokens(tokenizer: Tokenizer, tokens: list[str], types: list[int]) -> None:
    """Declare control tokens as special, and tokens of the user's as whole ones; ids stay the same."""
    for token, kind in zip(tokens, types, strict=True):
        if kind in (UNKNOWN, CONTROL):
            tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False)])
        elif kind == USER_DEFINED:
            tokenizer.add_tokens([AddedToken(token, special=False, normalized=False)])


def _token_id(settings: dict[str, Any], name: str, count: int) -> int | None:
    found = settings.get(f"{PREFIX}{name}_token_id")
    if found is not None and (type(found) is not int or not 0 <= found < count):
        raise ValueError(f"{PREFIX}{name}_token_id should be a token from 0 to {count - 1}, found {repr(found)[:60]}")
    return found


def _tokenizer_config(tokens: list[str], ids: dict[str, int | None]) -> dict[str, object]:
    named = {"bos": "bos", "eos": "eos", "unknown": "unk", "padding": "pad"}
    found = {f"{short}_token": tokens[number] for name, short in named.items() if (number := ids[name]) is not None}
    return {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False, **found}


def _generation_config(tokens: list[str], types: list[int], ids: dict[str, int | None]) -> dict[str, object]:
    ends = {number: None for name in ("eos", "eot", "eom") if (number := ids[name]) is not None}
    ends |= {i: None for i, token in enumerate(tokens) if types[i] == CONTROL and token in ENDS}
    named = {"bos": ids["bos"], "pad": ids["padding"]}
    found: dict[str, object] = {f"{name}_token_id": i for name, i in named.items() if i is not None}
    return found | {"eos_token_id": list(ends)}


def _json(data: object) -> str:
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"
