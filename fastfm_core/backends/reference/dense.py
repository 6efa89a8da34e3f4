"""Dense helpers: matrix product, bias + ReLU + dropout, batch norm, each with its backward.

Shapes and formulas: ``fastfm_core.contract``. Batch norm: Ioffe & Szegedy, ICML 2015.
"""

from __future__ import annotations

import math

import numpy as np

from fastfm_core.contract import Array, DropoutKey
from fastfm_core.random import keep_threshold, philox


def matmul(left: Array, right: Array, out: Array | None = None, *, spacing: int = 0) -> Array:
    """left @ right as a plain loop: no BLAS, whose sums would depend on its number of threads."""
    if out is None:
        columns = right.shape[1]
        out = np.empty((len(left), max(spacing, columns)), left.dtype)[:, :columns]
    return np.einsum("mk,kn->mn", left, right, out=out)


def bias_relu_dropout_(x: Array, bias: Array, rate: float, key: DropoutKey | None) -> None:
    """x <- dropout(max(x + bias, 0)); NaN stays NaN."""
    activated = np.maximum(x + bias, 0)
    x[...] = activated if rate == 0 or key is None else dropout(activated, rate, key)


def bias_relu_dropout_backward(grad: Array, output: Array, rate: float) -> tuple[Array, Array]:
    """Gradient by x where the output is > 0, and its sum over samples for the bias."""
    dx = np.where(output > 0, grad / (1 - rate), 0)
    return dx, dx.sum(axis=0)


def dropout(x: Array, rate: float, key: DropoutKey) -> Array:
    """x / (1 - rate) where the draw of the element's C-order index keeps it, else 0."""
    draws = philox(key.seed, key.step, key.layer, math.prod(x.shape)).reshape(x.shape)
    return np.where(draws >= keep_threshold(rate), x / (1 - rate), 0)


def batch_norm(x: Array, gamma: Array, beta: Array, eps: float) -> tuple[Array, Array, Array]:
    """y, and the batch's mean and biased variance."""
    mean = x.mean(axis=0)
    variance = ((x - mean) ** 2).mean(axis=0)
    return gamma * (x - mean) / np.sqrt(variance + eps) + beta, mean, variance


def batch_norm_backward(
    grad: Array, x: Array, gamma: Array, mean: Array, variance: Array, eps: float
) -> tuple[Array, Array, Array]:
    """dx = gamma / sqrt(variance + eps) * (grad - mean(grad) - xhat * mean(grad * xhat)), dgamma, dbeta."""
    deviation = np.sqrt(variance + eps)
    normalized = (x - mean) / deviation
    dx = gamma / deviation * (grad - grad.mean(axis=0) - normalized * (grad * normalized).mean(axis=0))
    return dx, (grad * normalized).sum(axis=0), grad.sum(axis=0)
