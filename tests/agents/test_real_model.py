"""The model smollm2 itself: its tokens, its answers, and a run that it plays."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from agents.checkpoint import BaseModel, weights_digest
from agents.engine import Request
from agents.engine_torch import TorchEngine
from agents.named_models import MODELS
from agents.prompt import Chat
from agents.tokenizer import Tokenizer
from tests.helpers.real_model import real_model

pytestmark = [pytest.mark.llm, pytest.mark.slow]


@pytest.fixture(scope="module")
def folder() -> Path:
    return real_model("smollm2")


def test_weights_are_the_pinned_ones(folder: Path) -> None:
    assert weights_digest("smollm2") == weights_digest(folder) == MODELS["smollm2"].weights_sha256


def test_tokens_are_those_of_smollm(folder: Path) -> None:
    """Digits are single tokens, and a space before a digit belongs to the spaces before it."""
    tokenizer = Tokenizer(folder)
    pieces = [tokenizer.decode([[i]])[0] for i in tokenizer.encode(["x  12 = 345"])[0]]
    assert pieces == ["x", "  ", "1", "2", " =", " ", "3", "4", "5"]
    assert tokenizer.stops == {0, 2}
    ids = tokenizer.encode_prompts([Chat("Be brief.", "Hi")])[0]
    assert tokenizer.decode([ids]) == ["system\nBe brief.\nuser\nHi\nassistant\n"]
    assert [i for i in ids if i < 17] == [1, 2, 1, 2, 1]


def test_answers_make_sense(folder: Path) -> None:
    torch.set_num_threads(1)
    engine = TorchEngine(BaseModel.load(folder), Tokenizer(folder))
    chat = Chat("Answer with one word.", "What is the capital of France?")
    (answer,) = engine.generate([Request("france", chat, None, 12, 0.0)])
    assert "Paris" in answer.text
