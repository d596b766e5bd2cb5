"""An adapter that teaches a chat model the roles: trained on a miniature, stored, and merged in a run."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from arena.config.schema import load_config
from arena.run.state import Arena, model_folder
from arena.tools.seeds.chat_seed import ChatRecipe, make

pytest.importorskip("transformers")
RECIPE = ChatRecipe(steps=6, batch=2, rank=2, alpha=4.0)


@pytest.mark.slow
def test_adapter_is_trained_and_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.helpers.chat_templates import miniature

    monkeypatch.setenv("RATCHET_CACHE", str(tmp_path / "cache"))
    model = miniature(tmp_path / "miniature", 2048)
    digests, lines = set(), list[str]()
    for name in ("one", "two"):
        said = list[str]()
        lines = make(str(model), ["word_problems"], tmp_path / name, RECIPE, 1, 2, said.append)
        assert [s.split("  ")[0] for s in said if s.startswith("step")] == ["step 5/6", "step 6/6"]
        digests.add(hashlib.sha256((tmp_path / name / "adapter_model.safetensors").read_bytes()).hexdigest())
    assert len(digests) == 1, "two trainings differ"
    card = (tmp_path / "one" / "README.md").read_text()
    assert "| word_problems | solve, level 0 |" in card and len(lines) == card.count("| word_problems |")
    given = [f"model.path={model}", "prompts.style=chat", f"run.folder={tmp_path}"]
    config = load_config("configs/tiny.yaml", [*given, f"model.adapter={tmp_path / 'one'}", "run.name=merged"])
    assert model_folder(config).is_relative_to(tmp_path / "cache")
    with Arena.create(config) as arena:
        merged = arena.store.meta()["base model"]
    with Arena.create(load_config("configs/tiny.yaml", [*given, "run.name=plain"])) as arena:
        assert arena.store.meta()["base model"] != merged
