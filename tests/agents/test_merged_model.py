"""A model with an adapter merged: the same texts as with the adapter beside it, in a folder that is made once."""

from pathlib import Path

import pytest
import torch

from agents.adapters import AdapterLayout, Adapters
from agents.checkpoint import BaseModel, weights_digest
from agents.engine import Request
from agents.engine_torch import TorchEngine
from agents.merged_model import adapter_folder, merged_folder
from agents.tokenizer import Tokenizer
from arena.config.shipped import SEED_FOLDER


@pytest.fixture
def adapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RATCHET_CACHE", str(tmp_path / "cache"))
    layout = AdapterLayout(BaseModel.load(SEED_FOLDER).config, 4, 8.0)
    row = torch.randn(layout.size, generator=torch.Generator().manual_seed(0)) * 0.1
    layout.save_peft(row, tmp_path / "adapter", "seed")
    return tmp_path / "adapter"


def test_merged_model_writes_what_the_adapter_does(adapter: Path):
    base, tokenizer = BaseModel.load(SEED_FOLDER), Tokenizer(SEED_FOLDER)
    layout = AdapterLayout(base.config, 4, 8.0)
    beside = TorchEngine(base, tokenizer)
    beside.set_adapters(Adapters(base, layout, ["a"], layout.load_peft(adapter)[None]))
    folder = merged_folder(SEED_FOLDER, adapter)
    merged = TorchEngine(BaseModel.load(folder), Tokenizer(folder))
    prompts = [f"solve rev inc | {i} 1 4 think" for i in range(8)]
    texts = [c.text for c in merged.generate([Request(p, p, None, 20, 0.0) for p in prompts])]
    assert texts == [c.text for c in beside.generate([Request(p, p, "a", 20, 0.0) for p in prompts])]
    assert texts != [c.text for c in beside.generate([Request(p, p, None, 20, 0.0) for p in prompts])]


def test_folder_is_made_once(adapter: Path):
    folder = merged_folder(SEED_FOLDER, adapter)
    made = (folder / "model.safetensors").stat().st_mtime_ns
    assert merged_folder(SEED_FOLDER, adapter) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == made
    assert weights_digest(folder) != weights_digest(SEED_FOLDER)


def test_missing_or_unfit_adapter_is_named(adapter: Path, tmp_path: Path):
    with pytest.raises(ValueError, match=r"no adapter in .*nowhere"):
        merged_folder(SEED_FOLDER, tmp_path / "nowhere")
    (adapter / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 3, "lora_alpha": 8.0, "bias": "none"}')
    with pytest.raises(ValueError, match="does not fit"):
        merged_folder(SEED_FOLDER, adapter)
    assert not [p for p in (tmp_path / "cache" / "models").iterdir() if p.is_dir()]


def test_path_is_no_shipped_name(tmp_path: Path):
    assert adapter_folder(str(tmp_path)) == tmp_path
