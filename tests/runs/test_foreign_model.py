"""A run with a model that is not ours: a miniature in shards, with random weights and a byte-level tokenizer."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from arena.config.schema import load_config
from arena.loop import play
from arena.run.agents import RunModels
from arena.run.state import Arena, load_base
from tests.agents.test_architectures import TINY
from tests.agents.test_tokenizer import END, TURN, byte_level

transformers = pytest.importorskip("transformers")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    settings = TINY | {"model_type": "qwen3", "head_dim": 16, "vocab_size": 330, "num_hidden_layers": 1}
    settings |= {"max_position_embeddings": 512, "eos_token_id": 1}
    made = transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.for_model(**settings))
    made.save_pretrained(folder, max_shard_size="80KB")
    assert len(list(folder.glob("*.safetensors"))) > 1
    byte_level(folder, {"eos_token": TURN, "pad_token": END}, {"eos_token_id": [1, 0]})
    return folder


def settings(model: Path, tmp_path: Path) -> list[str]:
    sizes = ["rounds.per_agent=2", "rounds.max_tokens=16", "rounds.guesses=2", "measure.final_per_depth=1"]
    return [f"model.path={model}", f"run.folder={tmp_path}", "run.name=foreign", "generations=1", *sizes]


def test_foreign_model_weights_are_checked(model: Path, tmp_path: Path) -> None:
    with Arena.create(load_config("configs/tiny.yaml", settings(model, tmp_path))) as arena:
        play(arena)
        slept = arena.store.query("SELECT steps, tokens, loss FROM sleeps")
        assert len(slept) == 3 and all(row["steps"] > 0 and row["loss"] > 0 for row in slept)
        row = arena.store.query("SELECT path FROM checkpoints WHERE generation = 1 AND name != 'learner'")[0]
        peft, whole = pytest.importorskip("peft"), transformers.AutoModelForCausalLM.from_pretrained(model)
        assert peft.PeftModel.from_pretrained(whole, arena.folder / row["path"])
    Arena.open(tmp_path / "foreign").close()
    shard = min(model.glob("*.safetensors"))
    shard.write_bytes(shard.read_bytes()[:-4] + b"\0\0\0\0")
    with pytest.raises(ValueError, match="was run with base model"):
        Arena.open(tmp_path / "foreign")


def test_resume_keeps_dtype(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run keeps the type it began with where `auto` means another one, and a run that did not record it, float32."""
    monkeypatch.setattr("agents.checkpoint.MERGE_BELOW", 0)
    monkeypatch.setattr("agents.checkpoint.multiplies_bfloat16", lambda: True)
    Arena.create(load_config("configs/tiny.yaml", settings(model, tmp_path))).close()
    monkeypatch.setattr("agents.checkpoint.multiplies_bfloat16", lambda: False)
    with Arena.open(tmp_path / "foreign") as arena:
        assert arena.store.meta()["dtype"] == "bfloat16" and arena.models.learner is not None
        assert arena.models.learner.base.dtype == torch.bfloat16
        assert RunModels(arena.folder, arena.store, arena.config).base.dtype == torch.bfloat16  # type: ignore[union-attr]
        assert arena.models.learner.state["trained"].dtype == torch.float32
        arena.store.db["meta"].delete("dtype")  # as in runs from before the type was recorded
    monkeypatch.setattr("agents.checkpoint.multiplies_bfloat16", lambda: True)
    with Arena.open(tmp_path / "foreign") as arena:
        assert arena.models.learner is not None and arena.models.learner.base.dtype == torch.float32


def test_tokenizer_too_large_for_its_model_is_refused(model: Path, tmp_path: Path) -> None:
    config = load_config("configs/tiny.yaml", settings(model, tmp_path))
    tokenizer = (model / "tokenizer.json").read_text()
    (model / "tokenizer.json").write_text(tokenizer.replace('"Ġ":', '"\\u4e16\\u754c":400,"Ġ":', 1))
    with pytest.raises(ValueError, match="ids up to 400, the model only 330 rows"):
        load_base(config)
