"""A model whose files are not what they should be: one line that names the file, the tensor and the remedy."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from agents.adapters import AdapterLayout
from agents.checkpoint import BaseModel, is_finite, weights_digest
from agents.stored_file import find_substitute
from agents.tokenizer import Tokenizer
from agents.untrusted_adapter import read_adapter
from arena.config.shipped import SEED_FOLDER

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"
NAME = "model.layers.0.mlp.up_proj.weight"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SEED_FOLDER, tmp_path / "model"))


@pytest.fixture
def sharded(model: Path) -> Path:
    """The seed model in two shards; the second one holds `NAME`."""
    tensors = load_file(model / "model.safetensors")
    (model / "model.safetensors").unlink()
    files = {n: f"model-0000{1 + (n == NAME)}-of-00002.safetensors" for n in tensors}
    for file in set(files.values()):
        save_file({n: t for n, t in tensors.items() if files[n] == file}, model / file)
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": files}))
    BaseModel.load(model)
    return model


def change(file: Path, **tensors: Tensor) -> None:
    save_file(load_file(file) | {n.replace("__", "."): t for n, t in tensors.items()}, file)


def error_of(folder: Path, dtype: str = "auto") -> str:
    with pytest.raises(ValueError) as error:
        BaseModel.load(folder, dtype)
    assert "\n" not in str(error.value) and str(error.value).startswith(f"cannot load a model from {folder}: ")
    return str(error.value).partition(f"{folder}: ")[2]


@pytest.mark.parametrize(
    ("content", "says"),
    [(POINTER, "a Git LFS pointer, not the file itself: fetch it with `git lfs pull`"), (b"", "empty: fetch it again"),
     (b"<!DOCTYPE html><p>Sign in", "a web page, not the file itself")],
)  # fmt: skip
def test_substitute_for_a_file(content: bytes, says: str, model: Path) -> None:
    (model / "model.safetensors").write_bytes(content)
    assert error_of(model).startswith(f"model.safetensors is {says}")
    with pytest.raises(ValueError, match=f"model.safetensors is {says[:20]}"):
        weights_digest(model)
    (model / "tokenizer.json").write_bytes(content)
    with pytest.raises(ValueError, match=rf"cannot load a tokenizer from .*: tokenizer.json is {says[:20]}"):
        Tokenizer(model)
    (model / "config.json").write_bytes(content)
    assert error_of(model).startswith(f"config.json is {says}")


def test_pointers_of_shards_and_index(sharded: Path) -> None:
    (sharded / "model-00002-of-00002.safetensors").write_bytes(POINTER)
    assert error_of(sharded).startswith("model-00002-of-00002.safetensors is a Git LFS pointer")
    (sharded / "model.safetensors.index.json").write_bytes(POINTER)
    assert "model.safetensors.index.json is a Git LFS pointer" in error_of(sharded)


@pytest.mark.parametrize("kept", [3, 8, 100, -1, -5000])
def test_truncated_shard_is_named(kept: int, sharded: Path) -> None:
    file = sharded / "model-00002-of-00002.safetensors"
    file.write_bytes(file.read_bytes()[:kept])
    size = file.stat().st_size
    says = error_of(sharded)
    assert says.startswith(f"{file.name} is damaged or incomplete, fetch it again: it has {size:,} bytes (")


def test_missing_shard_is_named(sharded: Path) -> None:
    (sharded / "model-00002-of-00002.safetensors").unlink()
    assert "model-00002-of-00002.safetensors" in error_of(sharded)


def test_missing_tensor_names_its_shard(sharded: Path) -> None:
    save_file({}, sharded / "model-00002-of-00002.safetensors")
    found = error_of(sharded)
    assert (
        found
        == f"the weights lack {NAME}, which model.safetensors.index.json lists in model-00002-of-00002.safetensors"
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", [NAME, "model.norm.weight", "model.embed_tokens.weight"])
def test_values_that_are_not_finite(value: float, name: str, model: Path) -> None:
    file = model / "model.safetensors"
    tensor = load_file(file)[name]
    tensor.view(-1)[-1] = value
    change(file, **{name: tensor})
    assert (
        error_of(model) == f"{name} in model.safetensors has values that are NaN or infinite: the weights are damaged"
    )


def test_values_beyond_the_data_type(model: Path) -> None:
    file = model / "model.safetensors"
    tensor = load_file(file)[NAME].float()
    tensor[0, 0] = 1e6
    change(file, **{NAME: tensor})
    BaseModel.load(model, "bfloat16")
    assert (
        error_of(model, "float16") == f"{NAME} in model.safetensors has values beyond float16: use model.dtype=float32"
    )


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.float8_e4m3fn, torch.int64, torch.bool])
def test_quantized_weights(dtype: torch.dtype, model: Path) -> None:
    file = model / "model.safetensors"
    change(file, **{NAME: load_file(file)[NAME].to(dtype)})
    assert f"{NAME} in model.safetensors holds" in (found := error_of(model)) and "not supported" in found


def test_json_errors_name_the_file(model: Path) -> None:
    (model / "config.json").write_text('{"a": ')
    assert error_of(model).startswith("config.json is not JSON: Expecting value")


def test_is_finite() -> None:
    assert is_finite(torch.zeros(0)) and is_finite(torch.ones(3, 2, dtype=torch.bfloat16))
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        for value in ("nan", "inf", "-inf"):
            assert not is_finite(torch.tensor([1.0, float(value), 2.0], dtype=dtype))


def test_whole_files_pass() -> None:
    assert not find_substitute((SEED_FOLDER / "model.safetensors").read_bytes()[:200])
    assert not find_substitute(b"{}")


def test_pointer_in_place_of_an_adapter(tmp_path: Path) -> None:
    layout = AdapterLayout(BaseModel.load(SEED_FOLDER).config, rank=4, alpha=8.0)
    layout.save_peft(layout.fresh("a"), tmp_path, "seed")
    file = tmp_path / "adapter_model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(POINTER)
    with pytest.raises(ValueError, match=r"the adapter in .*adapter_model.safetensors is a Git LFS pointer"):
        layout.load_peft(tmp_path)
    with pytest.raises(ValueError, match="it is a Git LFS pointer"):
        read_adapter(layout, POINTER)
    file.write_bytes(whole[:-8])
    with pytest.raises(ValueError, match=r"adapter_model.safetensors is damaged: "):
        layout.load_peft(tmp_path)
