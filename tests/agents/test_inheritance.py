"""Inheritance: the adapter row of a newborn from those of its parents."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from agents.adapters import AdapterLayout, Adapters
from agents.checkpoint import BaseModel
from agents.inheritance import average, copy, crossover, inherit, mutation
from agents.learner import Example, Learner, LearnerConfig
from agents.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def layout(base: BaseModel) -> AdapterLayout:
    return AdapterLayout(base.config, rank=4, alpha=12.0)


def parents(layout: AdapterLayout, n: int, rank: int | None = None) -> list[Tensor]:
    """Rows with random A and B, of which `rank` directions are used."""
    rows = torch.randn(n, layout.size, generator=torch.Generator().manual_seed(n)) * 0.1
    leaves = layout.leaves(rows)
    for (_, _, side), leaf in leaves.items():
        if rank is not None and side == "B":
            leaf[:, :, rank:] = 0
    return list(rows)


def deltas(layout: AdapterLayout, row: Tensor) -> dict[tuple[int, str], Tensor]:
    """The update [out, in] of the weight matrix of each module."""
    leaves = layout.leaves(row[None].double())
    return {(i, p): layout.scale * leaves[i, p, "B"][0] @ leaves[i, p, "A"][0] for i, p, side in leaves if side == "A"}


def mean_delta(layout: AdapterLayout, rows: list[Tensor], shares: list[float]) -> dict[tuple[int, str], Tensor]:
    each = [deltas(layout, row) for row in rows]
    return {m: sum((w * d[m] for w, d in zip(shares, each, strict=True)), torch.zeros(())) for m in each[0]}


def test_copy(layout: AdapterLayout) -> None:
    rows = parents(layout, 2)
    child = inherit("copy", rows, layout, 0.5, "s")
    assert torch.equal(child, rows[0]) and torch.equal(copy(rows), rows[0])
    child += 1
    assert not torch.equal(child, rows[0])


def test_mutation_noise(layout: AdapterLayout) -> None:
    """The noise has `scale` times the standard deviation of each matrix."""
    row = parents(layout, 1)[0]
    leaves = layout.leaves(row[None])
    for i, key in enumerate(leaves):
        leaves[key] *= 1 + i  # a different scale for each matrix
    leaves[0, "q_proj", "B"].zero_()
    before = row.clone()
    noise = layout.leaves((mutation(row, layout, 0.1, "s") - row)[None])
    assert torch.equal(row, before)
    assert not noise[0, "q_proj", "B"].any()
    for key, leaf in leaves.items():
        if key != (0, "q_proj", "B"):
            assert float(noise[key].std() / leaf.std()) == pytest.approx(0.1, rel=0.25), key
    assert torch.equal(mutation(row, layout, 0.0, "s"), row)


def test_draws_depend_on_seed(layout: AdapterLayout) -> None:
    rows = parents(layout, 2)
    for how in ("mutation", "crossover"):
        assert torch.equal(inherit(how, rows, layout, 0.1, "s"), inherit(how, rows, layout, 0.1, "s"))
        assert not torch.equal(inherit(how, rows, layout, 0.1, "s"), inherit(how, rows, layout, 0.1, "t"))


def test_crossover(layout: AdapterLayout) -> None:
    """Each module comes from one of the two parents."""
    a, b = parents(layout, 2)
    child = layout.leaves(crossover(a, b, layout, "s")[None])
    from_a, from_b = layout.leaves(a[None]), layout.leaves(b[None])
    taken = []
    for i, p, side in child:
        if side == "A":
            keys = [(i, p, s) for s in "AB"]
            sources = [s for s in (from_a, from_b) if all(torch.equal(child[k], s[k]) for k in keys)]
            assert len(sources) == 1, (i, p)
            taken.append(sources[0] is from_a)
    assert 0.2 < sum(taken) / len(taken) < 0.8
    plain = inherit("crossover", [a, b], layout, 0.0, "s")
    assert torch.equal(plain, crossover(a, b, layout, "s/modules"))
    assert not torch.equal(plain, inherit("crossover", [a, b], layout, 0.1, "s"))
    assert torch.equal(inherit("crossover", [a], layout, 0.0, "s"), a)


def test_average_of_identical_rows(layout: AdapterLayout, base: BaseModel, tokenizer: Tokenizer) -> None:
    row = parents(layout, 1)[0]
    child = inherit("average", [row] * 3, layout, 0.0, "s")
    for module, delta in deltas(layout, row).items():
        assert torch.allclose(deltas(layout, child)[module], delta, atol=1e-6), module
    merged = Adapters(base, layout, ["parent", "child"], torch.stack([row, child])).weights(["parent", "child"])
    for layer in merged.layers:
        for linear in layer.linear.values():
            assert torch.allclose(linear.weight[0], linear.weight[1], atol=1e-5)


def test_average_is_best_approximation(layout: AdapterLayout) -> None:
    """No row of this rank is closer to the mean of the products."""
    rows, shares = parents(layout, 3), [0.5, 0.3, 0.2]
    child = deltas(layout, average(rows, layout, [5, 3, 2]))
    by_parameters = deltas(layout, sum((w * r for w, r in zip(shares, rows, strict=True)), torch.zeros(())))
    for module, wanted in mean_delta(layout, rows, shares).items():
        values = torch.linalg.svdvals(wanted)
        least = float(values[layout.rank :].square().sum().sqrt())
        assert least > 0.01  # the approximation is not exact
        assert float((child[module] - wanted).norm()) == pytest.approx(least, rel=1e-4), module
        assert float((by_parameters[module] - wanted).norm()) > 1.05 * least, module


def test_average_is_exact_at_low_rank(layout: AdapterLayout) -> None:
    """If the rank of the mean is low enough, the average acts as the mean of its parents."""
    rows = parents(layout, 2, rank=2)
    child = deltas(layout, average(rows, layout))
    each = [deltas(layout, row) for row in rows]
    for module, delta in child.items():
        x = torch.randn(5, delta.shape[1], generator=torch.Generator().manual_seed(0)).double()
        wanted = (x @ each[0][module].t() + x @ each[1][module].t()) / 2
        assert torch.allclose(x @ delta.t(), wanted, atol=1e-5), module
    by_parameters = deltas(layout, (rows[0] + rows[1]) / 2)
    assert any(not torch.allclose(by_parameters[m], child[m], atol=1e-2) for m in child)


def test_average_is_balanced(layout: AdapterLayout) -> None:
    """A and B have equal norms, and their signs are determined."""
    rows = parents(layout, 3)
    leaves = layout.leaves(average(rows, layout)[None])
    for i, p, side in leaves:
        if side == "A":
            a, b = leaves[i, p, "A"][0], leaves[i, p, "B"][0]
            assert torch.allclose(a.norm(dim=1), b.norm(dim=0), rtol=1e-4)
            assert (torch.gather(a, 1, a.abs().argmax(1, keepdim=True)) > 0).all()
    assert torch.allclose(average(rows, layout), average(rows[::-1], layout), atol=1e-5)


def test_average_of_untrained_rows(layout: AdapterLayout, base: BaseModel, tokenizer: Tokenizer) -> None:
    """The average of untrained adapters has no effect but can be trained."""
    child = average([layout.fresh("a"), layout.fresh("b")], layout)
    assert all(not delta.any() for delta in deltas(layout, child).values())
    learner = Learner(base, tokenizer, LearnerConfig(rank=4, alpha=12.0))
    learner.add("child", child)
    learner.sleep([Example("child", "solve rev | 3 1 4 think", "rev 4 1 3 answer 4 1 3")], "s")
    assert any(delta.abs().max() > 1e-6 for delta in deltas(layout, learner.acting_row("child")).values())


def test_invalid_arguments_raise(layout: AdapterLayout) -> None:
    rows = parents(layout, 2)
    for how, given, words in (
        ("crosover", rows, "did you mean crossover"),
        ("copy", [], "at least one parent"),
        ("average", [rows[0], rows[1][:-1]], "should have shape"),
    ):
        with pytest.raises(ValueError, match=words):
            inherit(how, given, layout, 0.1, "s")
    for weights in ([1.0], [1.0, -1.0], [0.0, 0.0]):
        with pytest.raises(ValueError, match="as many weights"):
            average(rows, layout, weights)
    with pytest.raises(ValueError, match="scale of a mutation"):
        mutation(rows[0], layout, float("nan"), "s")
