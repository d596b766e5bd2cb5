"""Cross-entropy in chunks equals the plain one, in its values and gradients."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from agents import vocabulary
from agents.vocabulary import nll


@pytest.mark.parametrize(("tokens", "chunk"), [(0, 4), (1, 4), (11, 4), (12, 4)])
def test_chunks_equal_the_whole(tokens: int, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "CHUNK_ABOVE", 10)
    monkeypatch.setattr(vocabulary, "CHUNK", chunk)
    torch.manual_seed(0)
    states, head = torch.randn(tokens, 6, requires_grad=True), torch.randn(50, 6)
    targets, weight = torch.randint(0, 50, (tokens,)), torch.rand(tokens)
    found, plain = nll(states, head, targets), F.cross_entropy(states @ head.t(), targets, reduction="none")
    assert torch.allclose(found, plain, atol=1e-5)
    grads = (torch.autograd.grad((x * weight).sum(), states)[0] for x in (found, plain))
    assert torch.allclose(*grads, atol=1e-5)


def test_logits_are_never_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "CHUNK_ABOVE", 10)
    monkeypatch.setattr(vocabulary, "CHUNK", 4)
    rows, plain = [], F.linear
    monkeypatch.setattr(F, "linear", lambda x, w: rows.append(len(x)) or plain(x, w))
    nll(torch.randn(11, 6), torch.randn(50, 6), torch.zeros(11, dtype=torch.long))
    assert rows == [4, 4, 3]
