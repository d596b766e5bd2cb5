"""Tokenizers of GGUF files, beside those that transformers and tokenizers make from the same tokens and merges."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from agents.gguf_tokenizer import SPLITS, tokenizer_files
from agents.prompt import Chat
from agents.tokenizer import Tokenizer as OurTokenizer

transformers = pytest.importorskip("transformers")

TEXTS = [
    "a  12 + 3 = 15, 1234567 and x\n\n 1234",
    "it's we'LL they've I'M 'tis ''s",
    "  \t leading and trailing \n\n ",
    "\r\nwindows\r\nlines\r\n\r\n",
    "héllo wörld, naïve café: e\u0301 and \u1100\u1161\u11a8",
    "你好，世界！ こんにちは 안녕하세요 ١٢٣ ४५",
    "emoji 👩‍👩‍👧 🇩🇪 and \u200b zero width \ufeff",
    "<|im_end|> and <|endoftext|> <|im_start|>system",
    "def f(x):\n\treturn x**2  # ½ ² Ⅷ",
    "!!!...??? ---- ___ $45.00 #7 a_b-c",
    "\x00\x01\x7f\u00a0\u2028",
    "",
    "🙂" * 5 + " " * 9 + "z",
]
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|"
    r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def reference(kind: str) -> Tokenizer:
    """A tokenizer trained on the texts, set up as the tokenizer.json of the model family is."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=kind == "llama-bpe"))
    gpt2 = pre_tokenizers.ByteLevel(add_prefix_space=False)
    plain = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = {
        "gpt-2": gpt2,
        "smollm": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), gpt2]),
        "llama-bpe": pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3), "isolated"), plain]),
        "qwen2": transformers.Qwen2Tokenizer(vocab={"a": 0}, merges=[]).backend_tokenizer.pre_tokenizer,
    }[kind]
    if kind == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|endoftext|>", "<|im_end|>"],
    )
    tokenizer.train_from_iterator([text for text in TEXTS for _ in range(3)], trainer)
    return tokenizer


def settings_of(tokenizer: Tokenizer, pre: str) -> dict[str, Any]:
    """The settings with which llama.cpp stores a byte-level tokenizer."""
    model = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].__getitem__)
    named = {
        "model": "gpt2",
        "pre": pre,
        "tokens": tokens,
        "token_type": [3 if t in ("<|endoftext|>", "<|im_end|>") else 1 for t in tokens],
        "merges": [" ".join(m) for m in model["merges"]],
        "eos_token_id": 1,
        "bos_token_id": 0,
    }
    return {f"tokenizer.ggml.{key}": value for key, value in named.items()}


def written(settings: dict[str, Any], folder: Path) -> OurTokenizer:
    for name, text in tokenizer_files(settings).items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "config.json").write_text("{}")
    return OurTokenizer(folder)


@pytest.mark.parametrize("kind", ["gpt-2", "smollm", "llama-bpe", "qwen2"])
def test_ids_equal_those_of_the_model_family(kind: str, tmp_path: Path) -> None:
    other = reference(kind)
    ours = written(settings_of(other, kind), tmp_path)
    other.encode_special_tokens = True
    assert len(ours) == other.get_vocab_size()
    for text in TEXTS:
        assert ours.encode([text])[0] == other.encode(text, add_special_tokens=False).ids, text
        if kind != "qwen2":  # which normalises accents
            assert ours.decode(ours.encode([text])) == [text]


def test_splits_differ(tmp_path: Path) -> None:
    """Each kind of split gives other pieces somewhere, so that the test above can fail."""
    pieces = {
        kind: [piece for text in TEXTS for piece, _ in SPLITS[kind]().pre_tokenize_str(text)]
        for kind in ("gpt-2", "smollm", "llama-bpe", "qwen2")
    }
    assert len({tuple(p) for p in pieces.values()}) == 4


def test_special_tokens_and_template(tmp_path: Path) -> None:
    """Texts cannot contain the end; templates can. Tokens that fill up the embedding are left out."""
    settings = settings_of(reference("qwen2"), "qwen2")
    count = len(settings["tokenizer.ggml.tokens"])
    settings["tokenizer.ggml.tokens"] = [*settings["tokenizer.ggml.tokens"], "<think>", "[PAD1]", "[PAD2]"]
    settings["tokenizer.ggml.token_type"] = [*settings["tokenizer.ggml.token_type"], 4, 5, 5]
    settings["tokenizer.chat_template"] = (
        "{% for m in messages %}{{ m.role }}: {{ m.content }}<|im_end|>{% endfor %}"
        "{% if add_generation_prompt %}assistant:<think>{% endif %}"
    )
    ours = written(settings, tmp_path)
    assert (ours.eos, ours.stops, len(ours), ours.largest) == (1, {0, 1}, count + 1, count)
    assert not {0, 1} & set(ours.encode(["<|im_end|><|endoftext|>"])[0])
    chat = ours.encode_prompts([Chat("be brief", "say <|im_end|>")])[0]
    assert chat.count(1) == 2 and chat[-1] == count
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert (tokenizer.eos_token, tokenizer.bos_token) == ("<|im_end|>", "<|endoftext|>")


def test_end_tokens_are_all_found(tmp_path: Path) -> None:
    settings = settings_of(reference("gpt-2"), "gpt-2") | {"tokenizer.ggml.eot_token_id": 40}
    assert written(settings, tmp_path).stops == {0, 1, 40}
    with pytest.raises(ValueError, match=r"tokenizer\.ggml\.eot_token_id should be a token from 0"):
        written(settings | {"tokenizer.ggml.eot_token_id": -1}, tmp_path)


def sentencepiece_settings() -> dict[str, Any]:
    """A SentencePiece tokenizer: bytes, characters and joined pieces with scores."""
    characters = "▁abcdehlorwt.,é12"
    pieces = ["▁h", "he", "▁he", "ll", "llo", "▁hello", "▁w", "or", "▁wor", "ld", "▁world", "▁▁", "at", "▁t", "▁th"]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256)), *pieces, *characters]
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [2, 3, 3, *[6] * 256, *[1] * (len(tokens) - 259)],
        "tokenizer.ggml.scores": [0.0] * 259 + [-float(i) for i in range(len(tokens) - 259)],
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0,
    }


def test_sentencepiece_ids_equal_those_of_transformers(tmp_path: Path) -> None:
    from tests.helpers.gguf_files import make_model, write_gguf

    settings = sentencepiece_settings()
    folder = tmp_path / "ours"
    folder.mkdir()
    ours = written(settings, folder)
    write_gguf(tmp_path / "model.gguf", make_model("llama"), tokenizer={}, settings=settings)
    other = transformers.AutoTokenizer.from_pretrained(tmp_path, gguf_file="model.gguf")
    for text in ["hello world", "hello  world ", "he, was 12.", "Ünknown 你", "a", "hello\nthe wold", "é"]:
        ids = ours.encode([text])[0]
        assert ids == other.encode(text, add_special_tokens=False), text
        assert ours.decode([ids]) == [text]
    assert ours.stops == {2}
    tokens = settings["tokenizer.ggml.tokens"]  # transformers adds no space before a space; Llama 2 and llama.cpp do
    assert [tokens[i] for i in ours.encode(["  hello"])[0]] == ["▁▁", "▁hello"]


def test_greedy_joins_follow_the_scores(tmp_path: Path) -> None:
    """The pair with the highest score is joined first: `▁h` before `he`, so that `▁he` is made of `▁h` and `e`."""
    ours = written(sentencepiece_settings(), tmp_path)
    tokens = sentencepiece_settings()["tokenizer.ggml.tokens"]
    assert [tokens[i] for i in ours.encode(["hello hat"])[0]] == ["▁hello", "▁h", "at"]


def test_tokens_given_twice_are_an_error() -> None:
    settings = sentencepiece_settings()
    settings["tokenizer.ggml.tokens"][-1] = "a"
    with pytest.raises(ValueError, match="holds a token twice"):
        tokenizer_files(settings)
    settings = sentencepiece_settings() | {"tokenizer.ggml.scores": None}
    with pytest.raises(ValueError, match=r"tokenizer\.ggml\.scores should have one entry"):
        tokenizer_files(settings)
