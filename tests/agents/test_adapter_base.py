"""An adapter records the base model that it was trained on, and is refused on another one."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch

from agents.adapters import AdapterLayout
from agents.checkpoint import BaseModel, weights_digest
from arena.config.shipped import SEED_FOLDER

HERE, OTHER = "ab" * 32, "cd" * 32


@pytest.fixture
def layout(base: BaseModel) -> AdapterLayout:
    return AdapterLayout(base.config, 4, 8.0)


def test_adapter_of_another_base_is_refused(layout: AdapterLayout, tmp_path: Path) -> None:
    layout.save_peft(layout.fresh("a"), tmp_path, "smollm2", HERE)
    assert torch.equal(layout.load_peft(tmp_path, HERE), layout.fresh("a"))
    assert torch.equal(layout.load_peft(tmp_path), layout.fresh("a"))  # the caller has no base model at hand
    with pytest.raises(
        ValueError, match=f"trained on smollm2 with the weights {HERE}, the base model here has {OTHER}"
    ):
        layout.load_peft(tmp_path, OTHER)


def test_adapter_without_record_is_accepted(layout: AdapterLayout, tmp_path: Path) -> None:
    """Adapters of PEFT have none; those in a run are checked by the run's own record."""
    layout.save_peft(layout.fresh("a"), tmp_path, "smollm2")
    assert not (tmp_path / "base_model.json").exists()
    assert torch.equal(layout.load_peft(tmp_path, OTHER), layout.fresh("a"))


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "base_model.json is not JSON"), ("[]", "should hold an object"), ("{}", "lacks a digest of at least 16"),
     ('{"sha256": ""}', "lacks a digest"), ('{"sha256": 7}', "lacks a digest")],
)  # fmt: skip
def test_damaged_record_is_named(text: str, message: str, layout: AdapterLayout, tmp_path: Path) -> None:
    layout.save_peft(layout.fresh("a"), tmp_path, "smollm2", HERE)
    (tmp_path / "base_model.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        layout.load_peft(tmp_path, HERE)


def test_peft_accepts_the_folder(layout: AdapterLayout, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    layout.save_peft(layout.fresh("a"), tmp_path, str(SEED_FOLDER), weights_digest(SEED_FOLDER))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert peft.PeftConfig.from_pretrained(tmp_path).r == 4
