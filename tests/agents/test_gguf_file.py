"""GGUF files: their weights, settings and errors, beside what transformers reads from the same file."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agents.adapters import AdapterLayout
from agents.architectures import ModelConfig, RopeScaling, llama3_factors
from agents.checkpoint import BaseModel, weights_digest
from agents.gguf_file import GGUFFile, convert
from agents.hub import find_model
from agents.model import StackedWeights
from agents.tokenizer import Tokenizer
from tests.helpers.gguf_files import MODELS, READ, make_model, write_gguf
from tests.helpers.logits import full_logits

transformers = pytest.importorskip("transformers")
ROWS = [[5, 6, 7, 8, 9, 10, 11, 12], [3], [90, 1, 2, 44, 17], [(7 * i) % 96 for i in range(100)]]
KEPT = ("F32", "F16", "BF16")
ROUNDED = ("Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RATCHET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    return {name: make_model(name) for name in MODELS}


def their_reading(path: Path, rounded: bool) -> Any:
    """The file as transformers reads it, with matrices rounded to bfloat16 if they are quantised in it."""
    model = transformers.AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            if rounded and parameter.dim() == 2:
                parameter.copy_(parameter.to(torch.bfloat16))
    return model.eval()


@pytest.mark.parametrize("kind", [*KEPT, *ROUNDED])
@pytest.mark.parametrize("name", READ)
def test_weights_are_those_that_transformers_reads(
    name: str, kind: str, models: dict[str, Any], tmp_path: Path
) -> None:
    path = write_gguf(tmp_path / "model.gguf", models[name], kind)
    other = their_reading(path, kind in ROUNDED)
    base = BaseModel.load(path)
    expected = {k: v for k, v in other.state_dict().items() if k in base.weights}
    assert expected.keys() == base.weights.keys()
    assert not [k for k in expected if not torch.equal(expected[k], base.weights[k])]


@pytest.mark.parametrize("kind", ["F32", "Q4_1"])
@pytest.mark.parametrize("name", READ)
def test_logits_equal_those_of_transformers(name: str, kind: str, models: dict[str, Any], tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "model.gguf", models[name], kind)
    other = their_reading(path, kind in ROUNDED)
    with torch.no_grad():
        expected = [other(torch.tensor([row])).logits[0] for row in ROWS]
    for ours, theirs in zip(full_logits(StackedWeights.of_base(BaseModel.load(path)), ROWS), expected, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-4), (ours - theirs).abs().max()


@pytest.mark.parametrize("name", MODELS)
def test_config_is_that_of_the_model(name: str, models: dict[str, Any], tmp_path: Path) -> None:
    file = GGUFFile(write_gguf(tmp_path / "model.gguf", models[name]))
    found, original = file.config, models[name].state_dict()
    assert all(torch.equal(original[key], weight) for key, weight in file.weights())
    expected = ModelConfig.from_hf(models[name].config.to_dict())
    for key, value in vars(expected).items():
        if key not in ("eos_token_ids", "pad_token_id", "dtype"):
            assert getattr(found, key) == value, key


def test_rotary_scaling_of_llama_3(models: dict[str, Any], tmp_path: Path) -> None:
    """llama.cpp stores factors in place of the scaling; factors of another kind are refused."""
    plain = GGUFFile(write_gguf(tmp_path / "plain.gguf", models["llama"])).config
    scaling = RopeScaling(32.0, 1.0, 4.0, 8192)
    factors = llama3_factors(plain, scaling).numpy()
    assert factors.min() == 1 and factors.max() == 32
    path = write_gguf(tmp_path / "model.gguf", models["llama"], tensors={"rope_freqs.weight": factors})
    assert GGUFFile(path).config == replace(plain, rope_scaling=scaling)
    path = write_gguf(tmp_path / "odd.gguf", models["llama"], tensors={"rope_freqs.weight": factors[::-1].copy()})
    with pytest.raises(ValueError, match=r"rope_freqs\.weight holds a rotary scaling that is not supported"):
        GGUFFile(path)


def test_conversion_has_the_same_bytes_each_time(models: dict[str, Any], tmp_path: Path) -> None:
    """The digest does not depend on the machine's libraries: it is that of a conversion on another machine."""
    weights = torch.arange(-48, 48, dtype=torch.float32)
    model = models["llama"]
    with torch.no_grad():
        for i, parameter in enumerate(model.parameters()):
            parameter.copy_(
                weights.repeat(parameter.numel() // 96 + 1)[: parameter.numel()].view(parameter.shape) / (i + 1)
            )
    path = write_gguf(tmp_path / "model.gguf", model, "Q4_1")
    for name in ("a", "b"):
        convert(path, tmp_path / name)
    files = [{p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in (tmp_path / n).iterdir()} for n in ("a", "b")]
    assert files[0] == files[1] and "model.safetensors" in files[0]
    assert files[0]["model.safetensors"] == "3379e1fd66be4bd1c8bdeff3fd7c7ba00c4c0891aba401a618e9ce1009a478e4"


def test_model_path_may_be_a_gguf_file(models: dict[str, Any], tmp_path: Path, cache: Path) -> None:
    """It is converted once, under the digest of its content; the folder is one that transformers reads too."""
    path = write_gguf(tmp_path / "model.gguf", models["qwen3"], "F16")
    folder = find_model(path)
    assert folder.parent == cache / "models" and find_model(str(path)) == folder
    copy = tmp_path / "Renamed.GGUF"
    copy.write_bytes(path.read_bytes())
    before = (folder / "model.safetensors").stat().st_mtime_ns
    assert find_model(copy) == folder and (folder / "model.safetensors").stat().st_mtime_ns == before
    assert weights_digest(path) == weights_digest(folder)
    base, tokenizer = BaseModel.load(path), Tokenizer(path)
    assert tokenizer.decode(tokenizer.encode(["he said: he 42"])) == ["he said: he 42"]
    other = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    assert torch.equal(other.state_dict()["model.norm.weight"], base.weights["model.norm.weight"])
    assert transformers.AutoTokenizer.from_pretrained(folder).encode("he") == tokenizer.encode(["he"])[0]
    AdapterLayout(base.config, 4, 8.0)


SETTINGS = [
    ({"llama.expert_count": 8}, "llama.expert_count 8 is not supported"),
    ({"llama.rope.scaling.type": "yarn"}, "llama.rope.scaling.type 'yarn' is not supported"),
    ({"llama.attention.sliding_window": 100}, "sliding window attention .* 100. is not supported"),
    ({"llama.rope.dimension_count": 8}, "llama.rope.dimension_count should equal the size of a head, 16"),
    ({"llama.block_count": None}, "lacks the setting llama.block_count"),
    ({"llama.block_count": "two"}, "llama.block_count should be of type int, found 'two'"),
    ({"llama.block_count": 3}, "the weights lack model.layers.2.* and 8 more"),
    ({"llama.block_count": 1}, "the weights contain blk.1.*, which the forward pass does not use"),
    ({"llama.attention.head_count": 0}, "num_attention_heads should be a whole number from 1"),
    ({"llama.feed_forward_length": 97}, r"has shape \(96, 64\), expected \(97, 64\)"),
    ({"split.count": 2}, "one part of several"),
    ({"tokenizer.ggml.model": "bert"}, "tokenizer.ggml.model 'bert' is not supported: expected one of gpt2, llama"),
    ({"tokenizer.ggml.pre": "tekken"}, "tokenizer.ggml.pre 'tekken' is not supported: expected one of default"),
    ({"tokenizer.ggml.tokens": None}, "tokenizer.ggml.tokens should be a list of texts"),
    ({"tokenizer.ggml.merges": ["he"]}, "tokenizer.ggml.merges should hold pairs of tokens, found 'he'"),
    ({"tokenizer.ggml.merges": ["h nowhere"]}, "its tokenizer is damaged"),
    ({"tokenizer.ggml.token_type": [1, 2]}, "one entry for each of the 96 tokens"),
    ({"tokenizer.ggml.eos_token_id": 96}, "eos_token_id should be a token from 0 to 95, found 96"),
]


@pytest.mark.parametrize(("settings", "message"), SETTINGS, ids=[str(next(iter(s.items())))[:40] for s, _ in SETTINGS])
def test_what_is_not_supported_is_named(
    settings: dict[str, Any], message: str, models: dict[str, Any], tmp_path: Path, cache: Path
) -> None:
    path = write_gguf(tmp_path / "model.gguf", models["llama"], settings=settings)
    with pytest.raises(ValueError, match=message) as raised:
        find_model(path)
    assert str(raised.value).startswith(f"cannot read the model {path}: ") and "\n" not in str(raised.value)
    assert [p.name for p in (cache / "models").iterdir()] == [".lock"]


def test_other_architecture_is_named(models: dict[str, Any], tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "model.gguf", models["llama"], settings={"general.architecture": None})
    data = path.read_bytes()
    at = data.index(b"general.architecture") + len(b"general.architecture") + 12
    path.write_bytes(data[:at] + b"gemma" + data[at + 5 :])
    with pytest.raises(ValueError, match="architecture 'gemma' is not supported: expected one of llama, qwen2, qwen3"):
        find_model(path)


@pytest.mark.parametrize("part", [0, 4, 30, 200, 2000, 0.5, 0.999])
def test_truncated_file_is_an_error(part: float, models: dict[str, Any], tmp_path: Path) -> None:
    data = write_gguf(tmp_path / "model.gguf", models["llama"], "Q8_0").read_bytes()
    (tmp_path / "cut.gguf").write_bytes(data[: part if isinstance(part, int) else int(part * len(data))])
    with pytest.raises(ValueError, match=r"cannot read the model .*cut\.gguf: "):
        find_model(tmp_path / "cut.gguf")


def test_damaged_bytes_give_one_line(models: dict[str, Any], tmp_path: Path) -> None:
    """Changed bytes in the header are an error or another model, never another exception."""
    data = write_gguf(tmp_path / "model.gguf", models["llama"], "Q8_0").read_bytes()
    draw = np.random.default_rng(3)
    failed = 0
    for number in range(150):
        damaged = bytearray(data)
        for at in draw.integers(0, 6000, 3):
            damaged[at] = draw.integers(0, 256)
        path = tmp_path / f"{number}.gguf"
        path.write_bytes(damaged)
        try:
            find_model(path)
        except ValueError as error:
            failed += 1
            assert "\n" not in str(error)
        path.unlink()
    assert failed > 50


def test_values_that_are_not_finite_are_found(models: dict[str, Any], tmp_path: Path) -> None:
    model = make_model("qwen2")
    with torch.no_grad():
        model.model.layers[0].mlp.up_proj.weight[3, 3] = float("nan")
    with pytest.raises(ValueError, match=r"up_proj\.weight .* NaN or infinite"):
        BaseModel.load(write_gguf(tmp_path / "model.gguf", model, "F32"))


def test_missing_and_wrong_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"nowhere\.gguf"):
        find_model(tmp_path / "nowhere.gguf")
    (tmp_path / "pointer.gguf").write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(ValueError, match="a Git LFS pointer"):
        find_model(tmp_path / "pointer.gguf")
