"""A decoder whose weights have an agent axis, so that the population is a batch dimension.

Tokens of all agents are packed in one tensor, in agent order, without padding. `StackedWeights` holds the linear
weights of A agents in one of two forms: merged, W + B A for each agent, which is faster for small models (up to a few
million parameters: one product instead of three), and factored, one shared W with A and B of each agent, which is the
only form that fits in memory for large models. `hidden` is the only forward pass; prompts, single steps and training
differ in the `attend` argument.

Shapes: A agents, T tokens, D model width, H query heads, G key-value heads, E head size, V vocabulary.
Left out: sharding over devices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from agents.attention import Ops
from agents.checkpoint import EMBEDDING, FUSED, HEAD, BaseModel, ModelConfig
from agents.grouped_gemm import Segment, grouped_mm, low_rank_linear


@dataclass(frozen=True)
class Merged:
    """A separate matrix for each agent: weight [A, in, out]."""

    weight: Tensor

    def __call__(self, x: Tensor, segments: Sequence[Segment]) -> Tensor:
        return grouped_mm(x, self.weight, segments)


@dataclass(frozen=True)
class Shared:
    """One matrix for all agents: weight [in, out]."""

    weight: Tensor

    def __call__(self, x: Tensor, segments: Sequence[Segment]) -> Tensor:
        return x @ self.weight


@dataclass(frozen=True)
class Factored:
    """A shared matrix, and low-rank terms (Hu et al. 2021) of the projections that are fused in it.

    weight [in, out]; down [A, in, projections * rank], multiplied by the scale; up [A, projections * rank, out], with
    blocks of zeros where a projection's columns meet another one's rank.
    """

    weight: Tensor
    down: Tensor
    up: Tensor

    def __call__(self, x: Tensor, segments: Sequence[Segment]) -> Tensor:
        return low_rank_linear(x, self.weight, self.down, self.up, segments)


Linear = Merged | Shared | Factored


@dataclass(frozen=True)
class Layer:
    """Weights of one block. `bias` belongs to the fused q, k and v (Qwen2); `norm_q` and `norm_k` are the norms of the
    heads of q and k (Qwen3)."""

    linear: dict[str, Linear]
    norm_in: Tensor
    norm_mid: Tensor
    bias: Tensor | None = None
    norm_q: Tensor | None = None
    norm_k: Tensor | None = None


class StackedWeights:
    """The weights of A agents: linear weights per agent, with shared embeddings, norms and biases."""

    def __init__(self, base: BaseModel, linears: Sequence[dict[str, Linear]]) -> None:
        self.config = base.config
        self.embed, self.head = base.weights[EMBEDDING], base.weights[HEAD]
        self.final_norm = base.weights["model.norm.weight"]
        self.layers: list[Layer] = []
        for i, linear in enumerate(linears):
            norm_q, norm_k = base.qk_norms(i) or (None, None)
            self.layers.append(Layer(linear, *base.norms(i), base.fused_bias(i, "qkv"), norm_q, norm_k))

    @staticmethod
    def of_base(base: BaseModel) -> StackedWeights:
        """The base model as a population of one agent. Differentiable in the base weights."""
        layers = range(base.config.num_hidden_layers)
        return StackedWeights(base, [{g: Shared(base.fused(i, g).t()) for g in FUSED} for i in layers])


Attend = Callable[[int, Tensor], Tensor]


def hidden(
    weights: StackedWeights,
    tokens: Tensor,
    segments: Sequence[Segment],
    attend: Attend,
    ops: Ops,
    last: Tensor | None = None,
    last_segments: Sequence[Segment] = (),
    recompute: bool = False,
) -> Tensor:
    """Segment the forward pass up to the final norm.

    Args:
        weights: weights of the agents.
        tokens: [T], packed in agent order.
        segments: segments of the tokens by agent (see `agents.grouped_gemm`).
        attend: attend(layer, qkv) maps [T, (H + 2G) E] to [T, H E]; it applies positions and updates caches.
        ops: implementation of the other operations.
        last: indices of the tokens whose output is needed (default: all). After its attention, the last layer runs on
            these only; `attend` may then return only their rows.
        last_segments: segments of `last` by agent.
        recompute: keep only the inputs of each layer for the backward pass, which computes the rest again.

    Returns:
        Hidden states [T, D], or [len(last), D], as input of `logits`.
    """
    x = F.embedding(tokens, weights.embed)
    delta: Tensor | None = None
    for i in range(len(weights.layers)):
        final = i == len(weights.layers) - 1
        inputs = weights, i, x, delta, segments, attend, ops, last if final else None, last_segments
        if recompute:
            x, delta = checkpoint(block, *inputs, use_reentrant=False, preserve_rng_state=False)
        else:
            x, delta = block(*inputs)
    return ops.add_norm(x, delta, weights.final_norm, weights.config.rms_norm_eps)[1]


def block(
    weights: StackedWeights,
    index: int,
    x: Tensor,
    delta: Tensor | None,
    segments: Sequence[Segment],
    attend: Attend,
    ops: Ops,
    last: Tensor | None,
    last_segments: Sequence[Segment],
) -> tuple[Tensor, Tensor]:
    """One layer: the residual stream [T, D] and what remains to be added to it. After attention, only the tokens `last`
    are computed, if given."""
    c, layer = weights.config, weights.layers[index]
    x, y = ops.add_norm(x, delta, layer.norm_in, c.rms_norm_eps)
    qkv = layer.linear["qkv"](y, segments)
    if layer.bias is not None:
        qkv = qkv + layer.bias
    if layer.norm_q is not None and layer.norm_k is not None:
        qkv = norm_heads(c, qkv, layer.norm_q, layer.norm_k)
    y = attend(index, qkv)
    if last is not None:
        y = y if y.shape[0] == len(last) else y.index_select(0, last)
        x, segments = x.index_select(0, last), last_segments
    x, y = ops.add_norm(x, layer.linear["o"](y, segments), layer.norm_mid, c.rms_norm_eps)
    return x, layer.linear["down"](ops.swiglu(layer.linear["gu"](y, segments)), segments)


def logits(weights: StackedWeights, states: Tensor) -> Tensor:
    """Logits [T, V] of hidden states [T, D]."""
    return F.linear(states, weights.head)


def norm_heads(c: ModelConfig, qkv: Tensor, norm_q: Tensor, norm_k: Tensor) -> Tensor:
    """RMS-normalise each head of q and k (Qwen3) in qkv [T, (H + 2G) E]."""
    h, g, e = c.num_attention_heads, c.num_key_value_heads, c.head_dim
    heads = qkv.view(-1, h + 2 * g, e)
    q = F.rms_norm(heads[:, :h], (e,), norm_q, c.rms_norm_eps)
    k = F.rms_norm(heads[:, h : h + g], (e,), norm_k, c.rms_norm_eps)
    return torch.cat([q, k, heads[:, h + g :]], dim=1).view(qkv.shape)
