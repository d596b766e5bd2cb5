"""Fused CPU kernels for small float32 models, compiled by numba: the operations between the matrix products.

At a million parameters the matrix products are fast, and the time goes to the operations between them: each torch
operation on a small tensor costs a pass over memory and some microseconds. These kernels fuse residual and norm, gate
and product, rotary embedding, attention and cache, and sampling. Sequences are packed without padding, and a prompt
that several rows share is stored once. Only called through `agents.fused_ops`; the torch operations of
`agents.attention` are equivalent.

Helpers are inlined before compilation: a helper compiled separately is optimised differently when it is loaded from
numba's cache, so that the first run on a machine would round differently from the second. Inner loops run over a
contiguous index that starts at zero, since numba's handling of negative indices otherwise prevents vectorisation by
LLVM. Left out: half precision, other devices.

Shapes: T tokens, D model width, F feed-forward width, H query heads, G key-value heads, E head size, N rows, V
vocabulary.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit as njit  # also for agents.half_kernels

FLAGS: dict[str, Any] = {"fastmath": True, "nogil": True, "boundscheck": False, "error_model": "numpy", "cache": True}
LOG2E = np.float32(1.4426950408889634)


@njit(**FLAGS, inline="always")
def exp_parts(x: Any) -> Any:
    """e^x of a float32 as (polynomial, exponent bits), with a relative error below 2e-7, clamped to 2^±100.

    2^z = 2^round(z) times a minimax polynomial of degree 6 in the remainder. The factors are multiplied in a second
    loop, over the bits viewed as float32, because a scalar cannot be reinterpreted.
    """
    z = min(max(x * LOG2E, np.float32(-100.0)), np.float32(100.0))  # avoids subnormal numbers, which are slow
    whole = np.floor(z + np.float32(0.5))
    r = z - whole
    p = np.float32(1.53533480e-04)
    p = p * r + np.float32(1.33988750e-03)
    p = p * r + np.float32(9.61843742e-03)
    p = p * r + np.float32(5.55033247e-02)
    p = p * r + np.float32(2.40226479e-01)
    p = p * r + np.float32(6.93147203e-01)
    p = p * r + np.float32(1.0)
    return p, (np.int32(whole) + np.int32(127)) << np.int32(23)


@njit(**FLAGS, inline="always")
def exp_sum(s: Any, bits: Any, n: int, top: Any) -> Any:
    """s[:n] = exp(s[:n] - top). Returns the sum. `bits` is an int32 scratch array."""
    for j in range(n):
        s[j], bits[j] = exp_parts(s[j] - top)
    scale = bits.view(np.float32)
    total = np.float32(0)
    for j in range(n):
        s[j] *= scale[j]
        total += s[j]
    return total


@njit(**FLAGS, inline="always")
def highest(s: Any, n: int) -> Any:
    top = np.float32(-3e38)
    for j in range(n):
        top = max(top, s[j])
    return top


@njit(**FLAGS)
def add_rms_norm(x: Any, delta: Any, weight: Any, eps: Any, y: Any) -> None:
    """x += delta; y = x / rms(x) * weight (Zhang & Sennrich 2019). x, delta, y [T, D]; weight [D]."""
    t, d = x.shape
    for i in range(t):
        total = np.float32(0)
        for j in range(d):
            x[i, j] += delta[i, j]
            total += x[i, j] * x[i, j]
        scale = np.float32(1) / np.sqrt(total / np.float32(d) + eps)
        for j in range(d):
            y[i, j] = x[i, j] * scale * weight[j]


@njit(**FLAGS)
def rms_norm(x: Any, weight: Any, eps: Any, y: Any) -> None:
    t, d = x.shape
    for i in range(t):
        total = np.float32(0)
        for j in range(d):
            total += x[i, j] * x[i, j]
        scale = np.float32(1) / np.sqrt(total / np.float32(d) + eps)
        for j in range(d):
            y[i, j] = x[i, j] * scale * weight[j]


@njit(**FLAGS)
def rms_norm_backward(x: Any, weight: Any, eps: Any, grad_x: Any, grad_y: Any, out: Any) -> None:
    """out = grad_x plus the gradient of x in y = rms_norm(x), given the gradient grad_y of y. All [T, D]."""
    t, d = x.shape
    for i in range(t):
        total, dot = np.float32(0), np.float32(0)
        for j in range(d):
            total += x[i, j] * x[i, j]
            dot += x[i, j] * weight[j] * grad_y[i, j]
        scale = np.float32(1) / np.sqrt(total / np.float32(d) + eps)
        shrink = dot * scale * scale * scale / np.float32(d)
        for j in range(d):
            out[i, j] = grad_x[i, j] + grad_y[i, j] * weight[j] * scale - x[i, j] * shrink


@njit(**FLAGS)
def swiglu(gate_up: Any, out: Any) -> None:
    """out [T, F] = silu(gate) * up, for gate_up [T, 2F] (Shazeer 2020)."""
    t, f = out.shape
    bits = np.empty(f, np.int32)
    scale = bits.view(np.float32)
    for i in range(t):
        gate, up = gate_up[i, :f], gate_up[i, f:]
        for j in range(f):
            out[i, j], bits[j] = exp_parts(-gate[j])
        for j in range(f):
            out[i, j] = gate[j] * up[j] / (np.float32(1) + out[i, j] * scale[j])


@njit(**FLAGS)
def swiglu_backward(gate_up: Any, grad: Any, out: Any) -> None:
    """out [T, 2F] = gradient of swiglu with respect to gate_up, given the gradient `grad` [T, F]."""
    t, f = grad.shape
    bits = np.empty(f, np.int32)
    scale = bits.view(np.float32)
    poly = np.empty(f, np.float32)
    for i in range(t):
        gate, up = gate_up[i, :f], gate_up[i, f:]
        grad_gate, grad_up = out[i, :f], out[i, f:]
        for j in range(f):
            poly[j], bits[j] = exp_parts(-gate[j])
        for j in range(f):
            s = np.float32(1) / (np.float32(1) + poly[j] * scale[j])
            a = gate[j] * s
            grad_up[j] = grad[i, j] * a
            grad_gate[j] = grad[i, j] * up[j] * (s + a * (np.float32(1) - s))


@njit(**FLAGS)
def prefill(
    qkv: Any,
    starts: Any,
    lengths: Any,
    places: Any,
    cos: Any,
    sin: Any,
    keys: Any,
    values: Any,
    only_last: bool,
    out: Any,
) -> None:
    """Causal attention within each packed prompt; stores its keys and values.

    qkv [T, (H + 2G) E]; starts, lengths, places [prompts]: prompt p is rows starts[p] to starts[p] + lengths[p], stored
    at places[p]; cos, sin [positions, E/2]; keys [places, G, E, width], transposed so that scores are computed along
    contiguous rows; values [places, G, width, E]; out [T, H E], or [prompts, H E] of the last tokens with `only_last`.
    """
    half = cos.shape[1]
    e = 2 * half
    groups = keys.shape[1]
    heads = out.shape[1] // e
    repeat = heads // groups
    scale = np.float32(1) / np.sqrt(np.float32(e))
    longest = 0
    for p in range(lengths.shape[0]):
        longest = max(longest, lengths[p])
    s = np.empty((4, longest), np.float32)
    bits = np.empty(longest, np.int32)
    q = np.empty((4, e), np.float32)
    acc = np.empty((4, e), np.float32)
    for p in range(lengths.shape[0]):
        start, n, place = starts[p], lengths[p], places[p]
        for g in range(groups):
            at = (heads + g) * e
            for j in range(n):
                row = qkv[start + j]
                for d in range(half):
                    a, b, c, w = row[at + d], row[at + half + d], cos[j, d], sin[j, d]
                    keys[place, g, d, j] = a * c - b * w
                    keys[place, g, half + d, j] = b * c + a * w
                for d in range(e):
                    values[place, g, j, d] = row[at + groups * e + d]
            for h in range(g * repeat, (g + 1) * repeat):
                i = n - 1 if only_last else 0
                while i < n:
                    count = min(4, n - i)
                    for k in range(4):
                        row = qkv[start + min(i + k, n - 1)]
                        for d in range(half):
                            a, b = row[h * e + d] * scale, row[h * e + half + d] * scale
                            c, w = cos[min(i + k, n - 1), d], sin[min(i + k, n - 1), d]
                            q[k, d] = a * c - b * w
                            q[k, half + d] = b * c + a * w
                    m = i + count
                    for j in range(m):
                        s[0, j] = s[1, j] = s[2, j] = s[3, j] = np.float32(0)
                    for d in range(e):
                        q0, q1, q2, q3 = q[0, d], q[1, d], q[2, d], q[3, d]
                        for j in range(m):
                            x = keys[place, g, d, j]
                            s[0, j] += q0 * x
                            s[1, j] += q1 * x
                            s[2, j] += q2 * x
                            s[3, j] += q3 * x
                    for k in range(4):
                        seen = min(i + k + 1, m)
                        total = exp_sum(s[k], bits, seen, highest(s[k], seen))
                        for j in range(seen):
                            s[k, j] /= total
                        for j in range(m - seen):
                            s[k, seen + j] = np.float32(0)
                    for d in range(e):
                        acc[0, d] = acc[1, d] = acc[2, d] = acc[3, d] = np.float32(0)
                    for j in range(m):
                        p0, p1, p2, p3 = s[0, j], s[1, j], s[2, j], s[3, j]
                        for d in range(e):
                            x = values[place, g, j, d]
                            acc[0, d] += p0 * x
                            acc[1, d] += p1 * x
                            acc[2, d] += p2 * x
                            acc[3, d] += p3 * x
                    for k in range(count):
                        target = out[p] if only_last else out[start + i + k]
                        for d in range(e):
                            target[h * e + d] = acc[k, d]
                    i += 4


@njit(**FLAGS)
def attention_backward(
    qkv: Any, starts: Any, lengths: Any, cos: Any, sin: Any, groups: int, grad: Any, out: Any
) -> None:
    """Gradient of causal attention within packed sequences.

    Probabilities are recomputed (as in FlashAttention, Dao et al. 2022), for four queries at a time. Inputs are as in
    `prefill`; groups is G; grad [T, H E] is the gradient of its output; out [T, (H + 2G) E] is that of qkv.
    """
    half = cos.shape[1]
    e = 2 * half
    heads = grad.shape[1] // e
    repeat = heads // groups
    scale = np.float32(1) / np.sqrt(np.float32(e))
    longest = 0
    for p in range(lengths.shape[0]):
        longest = max(longest, lengths[p])
    k, kt = np.empty((longest, e), np.float32), np.empty((e, longest), np.float32)
    vt = np.empty((e, longest), np.float32)
    grad_k, grad_v = np.empty((longest, e), np.float32), np.empty((longest, e), np.float32)
    s, dp = np.empty((4, longest), np.float32), np.empty((4, longest), np.float32)
    bits = np.empty(longest, np.int32)
    q, dq, do = np.empty((4, e), np.float32), np.empty((4, e), np.float32), np.empty((4, e), np.float32)
    for p in range(lengths.shape[0]):
        start, n = starts[p], lengths[p]
        for g in range(groups):
            at, at_v = (heads + g) * e, (heads + groups + g) * e
            for j in range(n):
                row = qkv[start + j]
                for d in range(half):
                    a, b, c, w = row[at + d], row[at + half + d], cos[j, d], sin[j, d]
                    k[j, d] = kt[d, j] = a * c - b * w
                    k[j, half + d] = kt[half + d, j] = b * c + a * w
                for d in range(e):
                    vt[d, j] = row[at_v + d]
                    grad_k[j, d] = grad_v[j, d] = np.float32(0)
            for h in range(g * repeat, (g + 1) * repeat):
                for i in range(0, n, 4):
                    count = min(4, n - i)
                    for x in range(4):
                        y = min(i + x, n - 1)
                        row, upstream = qkv[start + y], grad[start + y]
                        for d in range(half):
                            a, b = row[h * e + d] * scale, row[h * e + half + d] * scale
                            c, w = cos[y, d], sin[y, d]
                            q[x, d] = a * c - b * w
                            q[x, half + d] = b * c + a * w
                        for d in range(e):
                            do[x, d] = upstream[h * e + d] if x < count else np.float32(0)
                    m = i + count
                    for j in range(m):
                        s[0, j] = s[1, j] = s[2, j] = s[3, j] = np.float32(0)
                        dp[0, j] = dp[1, j] = dp[2, j] = dp[3, j] = np.float32(0)
                    for d in range(e):
                        q0, q1, q2, q3 = q[0, d], q[1, d], q[2, d], q[3, d]
                        for j in range(m):
                            x_ = kt[d, j]
                            s[0, j] += q0 * x_
                            s[1, j] += q1 * x_
                            s[2, j] += q2 * x_
                            s[3, j] += q3 * x_
                        q0, q1, q2, q3 = do[0, d], do[1, d], do[2, d], do[3, d]
                        for j in range(m):
                            x_ = vt[d, j]
                            dp[0, j] += q0 * x_
                            dp[1, j] += q1 * x_
                            dp[2, j] += q2 * x_
                            dp[3, j] += q3 * x_
                    for x in range(4):
                        seen = min(i + x + 1, m)
                        inverse = np.float32(1) / exp_sum(s[x], bits, seen, highest(s[x], seen))
                        delta = np.float32(0)
                        for j in range(seen):
                            s[x, j] *= inverse
                            delta += s[x, j] * dp[x, j]
                        for j in range(seen):
                            dp[x, j] = s[x, j] * (dp[x, j] - delta)
                        for j in range(m - seen):
                            s[x, seen + j] = dp[x, seen + j] = np.float32(0)
                        for d in range(e):
                            dq[x, d] = np.float32(0)
                    for x in range(count, 4):  # rows past the end repeat the last query and have no effect
                        for j in range(m):
                            s[x, j] = dp[x, j] = np.float32(0)
                    for j in range(m):
                        p0, p1, p2, p3 = s[0, j], s[1, j], s[2, j], s[3, j]
                        for d in range(e):
                            grad_v[j, d] += p0 * do[0, d] + p1 * do[1, d] + p2 * do[2, d] + p3 * do[3, d]
                        p0, p1, p2, p3 = dp[0, j], dp[1, j], dp[2, j], dp[3, j]
                        for d in range(e):
                            grad_k[j, d] += p0 * q[0, d] + p1 * q[1, d] + p2 * q[2, d] + p3 * q[3, d]
                            dq[0, d] += p0 * k[j, d]
                            dq[1, d] += p1 * k[j, d]
                            dq[2, d] += p2 * k[j, d]
                            dq[3, d] += p3 * k[j, d]
                    for x in range(count):
                        target = out[start + i + x]
                        for d in range(half):
                            a, b = dq[x, d] * scale, dq[x, half + d] * scale
                            c, w = cos[i + x, d], sin[i + x, d]
                            target[h * e + d] = a * c + b * w
                            target[h * e + half + d] = b * c - a * w
            for j in range(n):
                target = out[start + j]
                for d in range(half):
                    a, b, c, w = grad_k[j, d], grad_k[j, half + d], cos[j, d], sin[j, d]
                    target[at + d] = a * c + b * w
                    target[at + half + d] = b * c - a * w
                for d in range(e):
                    target[at_v + d] = grad_v[j, d]


@njit(**FLAGS)
def decode(
    qkv: Any,
    slots: Any,
    steps: Any,
    place_of: Any,
    length_of: Any,
    cos: Any,
    sin: Any,
    keys: Any,
    values: Any,
    own_keys: Any,
    own_values: Any,
    out: Any,
) -> None:
    """Attention of one token per row to its prompt, which rows may share, and to the tokens generated in its slot.

    qkv [N, (H + 2G) E]; slots [N], -1 for padding rows; steps [N], tokens generated before this one; place_of and
    length_of [slots], the prompt of each slot; cos, sin, keys, values as in `prefill`; own_keys [slots, G, E, most] and
    own_values [slots, G, most, E], the generated tokens, to which this one is added; out [N, H E].
    """
    half = cos.shape[1]
    e = 2 * half
    groups = own_keys.shape[1]
    heads = out.shape[1] // e
    repeat = heads // groups
    scale = np.float32(1) / np.sqrt(np.float32(e))
    most = keys.shape[3] + own_keys.shape[3]
    s = np.empty((2, most), np.float32)
    bits = np.empty(most, np.int32)
    q = np.empty((2, e), np.float32)
    acc = np.empty((2, e), np.float32)
    for r in range(slots.shape[0]):
        slot = slots[r]
        if slot < 0:
            for d in range(out.shape[1]):
                out[r, d] = np.float32(0)
            continue
        p, n, step = place_of[slot], length_of[slot], steps[r]
        own = step + 1
        row, at_row = qkv[r], n + step
        tail0, tail1 = s[0, n:], s[1, n:]
        for g in range(groups):
            at = (heads + g) * e
            for d in range(half):
                a, b, c, w = row[at + d], row[at + half + d], cos[at_row, d], sin[at_row, d]
                own_keys[slot, g, d, step] = a * c - b * w
                own_keys[slot, g, half + d, step] = b * c + a * w
            for d in range(e):
                own_values[slot, g, step, d] = row[at + groups * e + d]
            for pair in range(
                (repeat + 1) // 2
            ):  # two query heads at a time, so that they share loads of keys and values
                h = g * repeat + 2 * pair
                other = min(h + 1, (g + 1) * repeat - 1)
                for d in range(half):
                    c, w = cos[at_row, d] * scale, sin[at_row, d] * scale
                    a, b = row[h * e + d], row[h * e + half + d]
                    q[0, d] = a * c - b * w
                    q[0, half + d] = b * c + a * w
                    a, b = row[other * e + d], row[other * e + half + d]
                    q[1, d] = a * c - b * w
                    q[1, half + d] = b * c + a * w
                for j in range(n + own):
                    s[0, j] = s[1, j] = np.float32(0)
                for d in range(0, e, 4):
                    a0, a1, a2, a3 = q[0, d], q[0, d + 1], q[0, d + 2], q[0, d + 3]
                    b0, b1, b2, b3 = q[1, d], q[1, d + 1], q[1, d + 2], q[1, d + 3]
                    for j in range(n):
                        k0, k1, k2, k3 = (
                            keys[p, g, d, j],
                            keys[p, g, d + 1, j],
                            keys[p, g, d + 2, j],
                            keys[p, g, d + 3, j],
                        )
                        s[0, j] += a0 * k0 + a1 * k1 + a2 * k2 + a3 * k3
                        s[1, j] += b0 * k0 + b1 * k1 + b2 * k2 + b3 * k3
                    for j in range(own):
                        k0, k1 = own_keys[slot, g, d, j], own_keys[slot, g, d + 1, j]
                        k2, k3 = own_keys[slot, g, d + 2, j], own_keys[slot, g, d + 3, j]
                        tail0[j] += a0 * k0 + a1 * k1 + a2 * k2 + a3 * k3
                        tail1[j] += b0 * k0 + b1 * k1 + b2 * k2 + b3 * k3
                inverse0 = np.float32(1) / exp_sum(s[0], bits, n + own, highest(s[0], n + own))
                inverse1 = np.float32(1) / exp_sum(s[1], bits, n + own, highest(s[1], n + own))
                for d in range(e):
                    acc[0, d] = acc[1, d] = np.float32(0)
                for j in range(0, n - 1, 2):
                    a0, a1, b0, b1 = s[0, j], s[0, j + 1], s[1, j], s[1, j + 1]
                    for d in range(e):
                        v0, v1 = values[p, g, j, d], values[p, g, j + 1, d]
                        acc[0, d] += a0 * v0 + a1 * v1
                        acc[1, d] += b0 * v0 + b1 * v1
                for j in range(n // 2 * 2, n):
                    for d in range(e):
                        acc[0, d] += s[0, j] * values[p, g, j, d]
                        acc[1, d] += s[1, j] * values[p, g, j, d]
                for j in range(0, own - 1, 2):
                    a0, a1, b0, b1 = tail0[j], tail0[j + 1], tail1[j], tail1[j + 1]
                    for d in range(e):
                        v0, v1 = own_values[slot, g, j, d], own_values[slot, g, j + 1, d]
                        acc[0, d] += a0 * v0 + a1 * v1
                        acc[1, d] += b0 * v0 + b1 * v1
                for j in range(own // 2 * 2, own):
                    for d in range(e):
                        acc[0, d] += tail0[j] * own_values[slot, g, j, d]
                        acc[1, d] += tail1[j] * own_values[slot, g, j, d]
                for d in range(e):
                    out[r, other * e + d] = acc[1, d] * inverse1
                for d in range(e):
                    out[r, h * e + d] = acc[0, d] * inverse0


@njit(**FLAGS)
def sample(logits: Any, temperature: Any, noise: Any, tokens: Any, logprobs: Any) -> None:
    """Sample one token per row by inverting the cumulative distribution (temperature 0: the largest logit).

    Args:
        logits: [N, V].
        temperature, noise: [N]; noise is uniform in [0, 1).
        tokens, logprobs: [N]; outputs, log-probabilities at temperature 1.
    """
    n, v = logits.shape
    s, bits = np.empty(v, np.float32), np.empty(v, np.int32)
    for i in range(n):
        top, best = np.float32(-3e38), 0
        for j in range(v):
            top = max(top, logits[i, j])
        for j in range(v):
            if logits[i, j] == top:
                best = j
                break
        for j in range(v):
            s[j] = logits[i, j]
        total = exp_sum(s, bits, v, top)
        if temperature[i] > 0:
            mass = total
            if temperature[i] != np.float32(1):
                inverse = np.float32(1) / temperature[i]
                for j in range(v):
                    s[j] = logits[i, j] * inverse
                mass = exp_sum(s, bits, v, top * inverse)
            target, running = noise[i] * mass, np.float32(0)
            for j in range(v):
                running += s[j]
                if running > target:
                    best = j
                    break
        tokens[i] = best
        logprobs[i] = logits[i, best] - top - np.log(total)
