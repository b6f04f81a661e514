"""The Triton peers: what one writes in Triton in an afternoon, float32 statistics."""
# ruff: noqa: N803, PLR0913

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl


@triton.jit  # type: ignore[untyped-decorator]
def _layernorm(X, G, B, Y, cols, eps, AFFINE: tl.constexpr, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, BLOCK)
    inside = at < cols
    x = tl.load(X + row * cols + at, mask=inside, other=0.0).to(tl.float32)
    mean = tl.sum(x, axis=0) / cols
    d = tl.where(inside, x - mean, 0.0)
    y = d * tl.rsqrt(tl.sum(d * d, axis=0) / cols + eps)
    if AFFINE:
        g = tl.load(G + at, mask=inside).to(tl.float32)
        b = tl.load(B + at, mask=inside).to(tl.float32)
        y = y * g + b
    tl.store(Y + row * cols + at, y, mask=inside)


@triton.jit  # type: ignore[untyped-decorator]
def _skip(X, R, C, G, B, Y, T, cols, eps, KEEP: tl.constexpr, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, BLOCK)
    inside = at < cols
    x = tl.load(X + row * cols + at, mask=inside, other=0.0).to(tl.float32)
    x += tl.load(R + row * cols + at, mask=inside, other=0.0).to(tl.float32)
    x += tl.load(C + at, mask=inside, other=0.0).to(tl.float32)
    if KEEP:
        tl.store(T + row * cols + at, x, mask=inside)
    mean = tl.sum(x, axis=0) / cols
    d = tl.where(inside, x - mean, 0.0)
    y = d * tl.rsqrt(tl.sum(d * d, axis=0) / cols + eps)
    g = tl.load(G + at, mask=inside).to(tl.float32)
    b = tl.load(B + at, mask=inside).to(tl.float32)
    tl.store(Y + row * cols + at, y * g + b, mask=inside)


@triton.jit  # type: ignore[untyped-decorator]
def _pointwise(X, Y, count, FORM: tl.constexpr, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < count
    x = tl.load(X + at, mask=inside).to(tl.float32)
    if FORM == "gelu_erf":
        y = 0.5 * x * (1 + tl.erf(x * 0.7071067811865476))
    elif FORM == "gelu_tanh":
        y = x * tl.sigmoid(1.5957691216057308 * (x + 0.044715 * x * x * x))
    else:
        y = x * tl.sigmoid(x)
    tl.store(Y + at, y, mask=inside)


@triton.jit  # type: ignore[untyped-decorator]
def _softmax(X, M, Y, rows, cols, scale, MASKED: tl.constexpr, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, BLOCK)
    inside = at < cols
    x = tl.load(X + row * cols + at, mask=inside, other=-float("inf")).to(tl.float32) * scale
    if MASKED:
        x += tl.load(M + row // rows * cols + at, mask=inside, other=0.0).to(tl.float32)
    e = tl.exp(x - tl.max(x, axis=0))
    tl.store(Y + row * cols + at, e / tl.sum(e, axis=0), mask=inside)


def _warps(block: int) -> int:
    return max(1, min(16, block // 512))


def layernorm_row(x: Any, gamma: Any, beta: Any, y: Any, eps: float) -> None:
    """LayerNorm of x[rows, cols] into y."""
    rows, cols = x.shape
    block = triton.next_power_of_2(cols)
    affine = gamma is not None
    _layernorm[(rows,)](x, gamma, beta, y, cols, eps, affine, block, num_warps=_warps(block))


def skip_layernorm_row(t: dict[str, Any], y: Any, total: Any, eps: float) -> None:
    """Skip-LayerNorm of t["x"][rows, cols] into y, the sum into total unless None."""
    rows, cols = y.shape
    block = triton.next_power_of_2(cols)
    args = (
        t["x"],
        t["residual"],
        t["bias"],
        t["gamma"],
        t["beta"],
        y,
        total,
        cols,
        eps,
    )
    _skip[(rows,)](*args, total is not None, block, num_warps=_warps(block))


def pointwise(x: Any, y: Any, form: str) -> None:
    """y = form(x), x of any shape and contiguous."""
    _pointwise[(triton.cdiv(x.numel(), 1024),)](x, y, x.numel(), form, 1024, num_warps=4)


def softmax_row(x: Any, mask: Any, y: Any, scale: float) -> None:
    """softmax(x * scale + mask) of x[batch, rows, cols] into y."""
    batch, rows, cols = x.shape
    block = triton.next_power_of_2(cols)
    args = (x, mask, y, rows, cols, scale, mask is not None, block)
    _softmax[(batch * rows,)](*args, num_warps=_warps(block))
