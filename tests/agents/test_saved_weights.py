"""Weights that did not change are stored once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from agents.adapters import save_tensors

FIRST = {"x": torch.arange(4.0)}


def test_equal_weights_are_linked(tmp_path: Path) -> None:
    a, b, c = (tmp_path / name / "w.safetensors" for name in "abc")
    sha = save_tensors(FIRST, a)
    for _ in range(2):  # a repeated phase writes the same path again
        assert save_tensors(FIRST, b, a) == sha and b.samefile(a)
    assert save_tensors({"x": torch.ones(4)}, c, b) != sha and not c.samefile(b)
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == ["w.safetensors"] * 3
    content = a.read_bytes()
    save_tensors({"x": torch.zeros(4)}, a)  # a new file: the link keeps its content
    assert b.read_bytes() == content and a.read_bytes() != content
    a.unlink()
    assert b.read_bytes() == content


def test_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("not supported")

    monkeypatch.setattr(os, "link", refuse)
    a, b = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    assert save_tensors(FIRST, a) == save_tensors(FIRST, b, a)
    assert a.read_bytes() == b.read_bytes() and not b.samefile(a)
