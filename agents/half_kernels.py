"""Fused CPU kernels for bfloat16 models, compiled by numba: norms, gates and rotary positions.

torch's bfloat16 norm takes longer than the matrix product after it. numba has no bfloat16: values are read as 16-bit
integers, widened to float32 by a shift, computed in float32, and rounded to nearest even when they are written. Rows
are widened in loops of their own, which vectorise. Only called through `agents.half_ops`.

Shapes: T tokens, D model width, F feed-forward width, E head size.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from agents.kernels import FLAGS, exp_parts, njit


@njit(**FLAGS, inline="always")
def widen(source: Any, bits: Any, n: int) -> None:
    """bits[:n] = the float32 bits of the bfloat16 bits source[:n]."""
    for j in range(n):
        bits[j] = np.uint32(source[j]) << np.uint32(16)


@njit(**FLAGS, inline="always")
def narrow(bits: Any, target: Any, n: int) -> None:
    """target[:n] = the bfloat16 bits nearest to the float32 bits bits[:n]."""
    for j in range(n):
        b = bits[j]
        target[j] = np.uint16((b + np.uint32(0x7FFF) + ((b >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16))


@njit(**FLAGS)
def add_rms_norm(x: Any, delta: Any, added: bool, weight: Any, eps: Any, total: Any, y: Any) -> None:
    """total = x + delta if `added`; y = total / rms(total) * weight. x, delta, total, y [T, D]; weight [D] float32.

    Without `added`, total is not written. x and total may be the same memory.
    """
    t, d = x.shape
    a_bits, b_bits = np.empty(d, np.uint32), np.empty(d, np.uint32)
    a, b = a_bits.view(np.float32), b_bits.view(np.float32)
    for i in range(t):
        widen(x[i], a_bits, d)
        if added:
            widen(delta[i], b_bits, d)
            for j in range(d):
                a[j] += b[j]
            narrow(a_bits, total[i], d)
            widen(total[i], a_bits, d)
        square = np.float32(0)
        for j in range(d):
            square += a[j] * a[j]
        scale = np.float32(1) / np.sqrt(square / np.float32(d) + eps)
        for j in range(d):
            b[j] = a[j] * scale * weight[j]
        narrow(b_bits, y[i], d)


@njit(**FLAGS)
def rms_norm_backward(x: Any, weight: Any, eps: Any, grad_x: Any, grad_y: Any, out: Any) -> None:
    """out = grad_x plus the gradient of x in y = rms_norm(x), given the gradient grad_y of y. All [T, D]."""
    t, d = x.shape
    a_bits, b_bits, c_bits = np.empty(d, np.uint32), np.empty(d, np.uint32), np.empty(d, np.uint32)
    a, b, c = a_bits.view(np.float32), b_bits.view(np.float32), c_bits.view(np.float32)
    for i in range(t):
        widen(x[i], a_bits, d)
        widen(grad_x[i], b_bits, d)
        widen(grad_y[i], c_bits, d)
        square, dot = np.float32(0), np.float32(0)
        for j in range(d):
            c[j] *= weight[j]
            square += a[j] * a[j]
            dot += a[j] * c[j]
        scale = np.float32(1) / np.sqrt(square / np.float32(d) + eps)
        shrink = dot * scale * scale * scale / np.float32(d)
        for j in range(d):
            b[j] += c[j] * scale - a[j] * shrink
        narrow(b_bits, out[i], d)


@njit(**FLAGS)
def swiglu(gate_up: Any, out: Any) -> None:
    """out [T, F] = silu(gate) * up, for gate_up [T, 2F]."""
    t, f = out.shape
    a_bits, b_bits, power = np.empty(f, np.uint32), np.empty(f, np.uint32), np.empty(f, np.int32)
    a, b, scale, poly = (
        a_bits.view(np.float32),
        b_bits.view(np.float32),
        power.view(np.float32),
        np.empty(f, np.float32),
    )
    for i in range(t):
        widen(gate_up[i, :f], a_bits, f)
        widen(gate_up[i, f:], b_bits, f)
        for j in range(f):
            poly[j], power[j] = exp_parts(-a[j])
        for j in range(f):
            b[j] = a[j] * b[j] / (np.float32(1) + poly[j] * scale[j])
        narrow(b_bits, out[i], f)


@njit(**FLAGS)
def swiglu_backward(gate_up: Any, grad: Any, out: Any) -> None:
    """out [T, 2F] = gradient of swiglu with respect to gate_up, given the gradient `grad` [T, F]."""
    t, f = grad.shape
    a_bits, b_bits, c_bits = np.empty(f, np.uint32), np.empty(f, np.uint32), np.empty(f, np.uint32)
    a, b, c = a_bits.view(np.float32), b_bits.view(np.float32), c_bits.view(np.float32)
    power, poly = np.empty(f, np.int32), np.empty(f, np.float32)
    scale = power.view(np.float32)
    for i in range(t):
        widen(gate_up[i, :f], a_bits, f)
        widen(gate_up[i, f:], b_bits, f)
        widen(grad[i], c_bits, f)
        for j in range(f):
            poly[j], power[j] = exp_parts(-a[j])
        for j in range(f):
            s = np.float32(1) / (np.float32(1) + poly[j] * scale[j])
            value = a[j] * s
            a[j] = c[j] * b[j] * (s + value * (np.float32(1) - s))
            b[j] = c[j] * value
        narrow(a_bits, out[i, :f], f)
        narrow(b_bits, out[i, f:], f)


@njit(**FLAGS)
def rotate(x: Any, positions: Any, cos: Any, sin: Any, sign: Any, out: Any) -> None:
    """out[:, :heads] = x rotated to `positions` [T], for out [T, heads, E] and x [T, at least heads, E].

    cos, sin: [positions, E/2]. sign -1 rotates back, which is the backward pass.
    """
    t, heads, e = out.shape
    half = e // 2
    bits, turned_bits = np.empty(e, np.uint32), np.empty(e, np.uint32)
    a, turned = bits.view(np.float32), turned_bits.view(np.float32)
    for i in range(t):
        c, s = cos[positions[i]], sin[positions[i]]
        for h in range(heads):
            widen(x[i, h], bits, e)
            for d in range(half):
                turned[d] = a[d] * c[d] - sign * a[half + d] * s[d]
                turned[half + d] = a[half + d] * c[d] + sign * a[d] * s[d]
            narrow(turned_bits, out[i, h], e)
