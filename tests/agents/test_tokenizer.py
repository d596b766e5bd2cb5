"""Tokenizers: the shipped word-level one, and a tiny byte-level BPE with the files of published models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as HFTokenizer
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from agents.tokenizer import Tokenizer
from curricula.list_school import WORDS

END, TURN = "<|endoftext|>", "<|im_end|>"
TEXTS = ["solve rev inc | 3 1 4 think rev 4 1 3 ; inc 5 2 4 answer 5 2 4", "propose rev ->", "Grüße, 世界!\n\n  x = 1"]


def byte_level(folder: Path, named: dict[str, Any], generation: dict[str, Any] | None = None) -> Tokenizer:
    """A tokenizer like Qwen's: byte-level, no space in front of a text, and a template that adds a special token."""
    made = HFTokenizer(models.BPE())
    made.normalizer = normalizers.NFC()  # type: ignore[assignment]
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # type: ignore[assignment]
    made.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=[END, TURN], initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(TEXTS * 4, trainer)
    made.post_processor = processors.TemplateProcessing(single=f"{END} $A", special_tokens=[(END, 0)])  # type: ignore[assignment]
    made.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(named))
    if generation is not None:
        (folder / "generation_config.json").write_text(json.dumps(generation))
    return Tokenizer(folder)


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return byte_level(tmp_path_factory.mktemp("chat"), {"eos_token": TURN, "pad_token": END}, {"eos_token_id": [1, 0]})


@given(st.text(max_size=40))
@settings(max_examples=300, deadline=None)
def test_byte_level_text_round_trips(chat: Tokenizer, text: str) -> None:
    import unicodedata

    composed = unicodedata.normalize("NFC", text)
    assert chat.decode(chat.encode([composed])) == [composed]


def test_partial_texts_round_trip(chat: Tokenizer) -> None:
    for text in TEXTS:
        for cut in range(len(text)):
            head, tail = chat.encode([text[:cut], text[cut:]])
            assert chat.decode([head, tail, head + tail]) == [text[:cut], text[cut:], text]


def test_split_character_is_decoded(chat: Tokenizer) -> None:
    ids = chat.encode(["é世"])[0]
    for cut in range(len(ids) + 1):
        assert isinstance(chat.decode([ids[:cut]])[0], str)
    assert chat.decode([ids]) == ["é世"]


def test_ids_beyond_vocabulary(chat: Tokenizer) -> None:
    """Models often have more rows than the tokenizer has ids, and may sample them."""
    assert chat.decode([[*chat.encode(["rev"])[0], 100_000]]) == ["rev"]


def test_special_tokens_are_separate(chat: Tokenizer) -> None:
    ids = chat.encode([f"a{TURN}b{END}"])[0]
    assert not chat.stops & set(ids) and chat.decode([ids]) == [f"a{TURN}b{END}"]
    assert chat.decode([[*chat.encode(["rev"])[0], chat.eos]]) == ["rev"]
    assert chat.count(TEXTS[0]) == len(chat.encode([TEXTS[0]])[0])


def test_completion_after_prompt(chat: Tokenizer, tokenizer: Tokenizer) -> None:
    prompt, completion = "solve rev inc | 3 1 4 think", "rev 4 1 3 ; inc 5 2 4 answer 5 2 4"
    for each in (chat, tokenizer):
        (before,), (learned,) = each.encode([prompt]), each.encode_completions([prompt], [completion])
        *after, end = learned
        assert end == each.eos and before + after == each.encode([f"{prompt} {completion}"])[0]
        assert each.decode([before + after]) == [f"{prompt} {completion}"]
    learned = tokenizer.encode_completions([prompt] * len(WORDS), list(WORDS))
    assert learned == [[*ids, tokenizer.eos] for ids in tokenizer.encode(list(WORDS))]


@pytest.mark.parametrize(
    ("named", "generation", "eos", "stops", "pad"),
    [
        ({"eos_token": TURN, "pad_token": END}, {"eos_token_id": [1, 0]}, 1, {0, 1}, 0),
        ({"eos_token": END, "pad_token": None}, {"eos_token_id": [0, 1]}, 0, {0, 1}, 0),
        ({"eos_token": {"content": TURN, "lstrip": False}}, None, 1, {1}, 1),
        ({}, {"eos_token_id": 1}, 1, {1}, 1),
        ({}, {"eos_token_id": [0, 1], "pad_token_id": 0}, 0, {0, 1}, 0),
    ],
)
def test_end_tokens_from_config_files(
    named: dict[str, Any], generation: dict[str, Any] | None, eos: int, stops: set[int], pad: int, tmp_path: Path
) -> None:
    found = byte_level(tmp_path, named, generation)
    assert (found.eos, found.stops, found.pad) == (eos, stops, pad)


def test_end_tokens_from_other_files(tmp_path: Path) -> None:
    """special_tokens_map.json and config.json are used too."""
    (tmp_path / "special_tokens_map.json").write_text(json.dumps({"eos_token": {"content": TURN}, "pad_token": END}))
    (tmp_path / "config.json").write_text(json.dumps({"eos_token_id": 0}))
    found = byte_level(tmp_path, {})
    assert (found.eos, found.stops, found.pad) == (1, {0, 1}, 0)


def test_unusable_tokenizer_raises(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="lacks a token that ends a text"):
        byte_level(tmp_path, {})
    with pytest.raises(ValueError, match=r"lacks the eos_token '<\|missing\|>'"):
        byte_level(tmp_path, {"eos_token": "<|missing|>"})
    (tmp_path / "tokenizer_config.json").write_text("{")
    with pytest.raises(ValueError, match=r"cannot read .*tokenizer_config\.json"):
        Tokenizer(tmp_path)


def test_seed_tokenizer_is_unchanged(tokenizer: Tokenizer) -> None:
    assert (tokenizer.pad, tokenizer.eos, tokenizer.stops, tokenizer.largest) == (0, 1, {1}, len(tokenizer) - 1)
