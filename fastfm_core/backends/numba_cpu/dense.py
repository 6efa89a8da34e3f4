"""Dense helpers, fused so that each activation is read and written once. Formulas and sources: the contract.

Column sums are taken over fixed blocks of rows and the blocks added in order: the bits do not depend on threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfm_core import random, threads
from fastfm_core.backends import blas
from fastfm_core.backends.numba_cpu.launch import piece_count, ranges, workspace
from fastfm_core.compilation import helper, kernel
from fastfm_core.contract import DropoutKey

_MULTIPLIER0, _MULTIPLIER1 = (np.uint64(m) for m in random.MULTIPLIERS)
_WEYL0, _WEYL1 = (np.uint32(w) for w in random.WEYL)
_ROUNDS = random.ROUNDS
_BLOCKS = 64  # draws are made for this many counter blocks at once
_HALF = np.uint64(32)


def matmul(left: np.ndarray, right: np.ndarray, out: np.ndarray | None = None, *, spacing: int = 0) -> np.ndarray:
    if out is None:
        columns = right.shape[1]
        out = workspace.empty((left.shape[0], max(spacing, columns)), left.dtype)[:, :columns]
    return blas.matmul(left, right, out)


def bias_relu_dropout_(x: np.ndarray, bias: np.ndarray, rate: float, key: DropoutKey | None) -> None:
    bytes_each = x.shape[1] * x.itemsize
    ranges(_bias_relu, len(x), bytes_each, x, bias)
    if rate > 0 and key is not None:
        _drop(x, x, rate, key)


def bias_relu_dropout_backward(grad: np.ndarray, output: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray]:
    out = workspace.empty(grad.shape, grad.dtype)
    scale = grad.dtype.type(1.0 / (1.0 - rate))
    parts = _by_blocks(_relu_backward, grad.shape, 1, grad.dtype, grad, output, scale, out)
    return out, parts[0]


def dropout(x: np.ndarray, rate: float, key: DropoutKey) -> np.ndarray:
    out = workspace.empty(x.shape, x.dtype)
    _drop(x, out, rate, key)
    return out


def batch_norm(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, eps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    mean = _by_blocks(_column_sums, x.shape, 1, x.dtype, x)[0] / x.dtype.type(len(x))
    variance = _by_blocks(_column_squares, x.shape, 1, x.dtype, x, mean)[0] / x.dtype.type(len(x))
    out = workspace.empty(x.shape, x.dtype)
    scale = gamma / np.sqrt(variance + x.dtype.type(eps))
    ranges(_affine, len(x), x.shape[1] * x.itemsize, x, mean, scale, beta, out)
    return out, mean, variance


def batch_norm_backward(
    grad: np.ndarray, x: np.ndarray, gamma: np.ndarray, mean: np.ndarray, variance: np.ndarray, eps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    scale = 1.0 / np.sqrt(variance + x.dtype.type(eps))
    dgamma, dbeta = _by_blocks(_norm_sums, x.shape, 2, x.dtype, grad, x, mean, scale)
    out = workspace.empty(x.shape, x.dtype)
    count = x.dtype.type(len(x))
    arguments = (grad, x, mean, scale, gamma * scale, dgamma / count, dbeta / count, out)
    ranges(_norm_backward, len(x), x.shape[1] * x.itemsize, *arguments)
    return out, dgamma, dbeta


def _by_blocks(kernel: Any, shape: tuple[int, ...], sums: int, dtype: Any, *arguments: Any) -> np.ndarray:
    """Column sums [sums, H]: ``kernel(low, high, *arguments, parts[block])`` per row block, blocks added in order."""
    rows, columns = shape
    pieces = piece_count(rows, columns * np.dtype(dtype).itemsize)
    parts = np.zeros((pieces, sums, columns), dtype)
    threads.run(pieces, lambda p: kernel(rows * p // pieces, rows * (p + 1) // pieces, *arguments, parts[p]))
    return parts.sum(axis=0)


def _drop(x: np.ndarray, out: np.ndarray, rate: float, key: DropoutKey) -> None:
    flat, kept = x.reshape(-1), out.reshape(-1)
    threshold, scale = np.uint32(random.keep_threshold(rate)), x.dtype.type(1.0 / (1.0 - rate))
    seed = np.uint64(key.seed & 0xFFFFFFFFFFFFFFFF)
    arguments = (
        flat,
        kept,
        threshold,
        scale,
        seed,
        np.uint32(key.step & 0xFFFFFFFF),
        np.uint32(key.layer & 0xFFFFFFFF),
    )
    ranges(_drop_blocks, (len(flat) + 3) // 4, 64, *arguments)


@kernel
def _bias_relu(low: Any, high: Any, x: Any, bias: Any) -> None:
    zero = x.dtype.type(0)
    for i in range(low, high):
        for j in range(x.shape[1]):
            value = x[i, j] + bias[j]
            x[i, j] = zero if value < zero else value  # NaN stays NaN


@kernel
def _relu_backward(low: Any, high: Any, grad: Any, output: Any, scale: Any, out: Any, parts: Any) -> None:
    zero = grad.dtype.type(0)
    sums = parts[0]
    for i in range(low, high):
        for j in range(grad.shape[1]):
            value = grad[i, j] * scale if output[i, j] > zero else zero
            out[i, j] = value
            sums[j] += value


@helper
def _philox(first: Any, words: Any, seed: Any, step: Any, layer: Any) -> None:
    """words [4, n] uint32 = the draws of the blocks first .. first + n - 1; see ``fastfm_core.random``.

    A round runs over all blocks before the next begins, so that the compiler can take several blocks at once.
    """
    c0, c1, c2, c3 = words[0], words[1], words[2], words[3]
    for j in range(len(c0)):
        block = np.uint64(first + j)
        c0[j], c1[j], c2[j], c3[j] = np.uint32(block), step, layer, np.uint32(block >> _HALF)
    key0, key1 = np.uint32(seed), np.uint32(seed >> _HALF)
    for _ in range(_ROUNDS):
        for j in range(len(c0)):
            product0, product1 = np.uint64(c0[j]) * _MULTIPLIER0, np.uint64(c2[j]) * _MULTIPLIER1
            c0[j], c2[j] = np.uint32(product1 >> _HALF) ^ c1[j] ^ key0, np.uint32(product0 >> _HALF) ^ c3[j] ^ key1
            c1[j], c3[j] = np.uint32(product1), np.uint32(product0)
        key0, key1 = np.uint32(key0 + _WEYL0), np.uint32(key1 + _WEYL1)


@kernel
def _drop_blocks(
    low: Any, high: Any, x: Any, out: Any, threshold: Any, scale: Any, seed: Any, step: Any, layer: Any
) -> None:
    zero = x.dtype.type(0)
    words = np.empty((4, _BLOCKS), np.uint32)
    for first in range(low, high, _BLOCKS):
        _philox(first, words, seed, step, layer)
        for j in range(min(_BLOCKS, high - first)):
            for lane in range(4):
                i = (first + j) * 4 + lane
                if i < len(x):
                    kept = x[i] * scale
                    out[i] = zero if words[lane, j] < threshold else kept


@kernel
def _column_sums(low: Any, high: Any, x: Any, parts: Any) -> None:
    sums = parts[0]
    for i in range(low, high):
        for j in range(x.shape[1]):
            sums[j] += x[i, j]


@kernel
def _column_squares(low: Any, high: Any, x: Any, mean: Any, parts: Any) -> None:
    sums = parts[0]
    for i in range(low, high):
        for j in range(x.shape[1]):
            sums[j] += (x[i, j] - mean[j]) * (x[i, j] - mean[j])


@kernel
def _affine(low: Any, high: Any, x: Any, mean: Any, scale: Any, beta: Any, out: Any) -> None:
    for i in range(low, high):
        for j in range(x.shape[1]):
            out[i, j] = (x[i, j] - mean[j]) * scale[j] + beta[j]


@kernel
def _norm_sums(low: Any, high: Any, grad: Any, x: Any, mean: Any, scale: Any, parts: Any) -> None:
    dgamma, dbeta = parts[0], parts[1]
    for i in range(low, high):
        for j in range(x.shape[1]):
            dgamma[j] += grad[i, j] * (x[i, j] - mean[j]) * scale[j]
            dbeta[j] += grad[i, j]


@kernel
def _norm_backward(
    low: Any, high: Any, grad: Any, x: Any, mean: Any, scale: Any, factor: Any, dgamma: Any, dbeta: Any, out: Any
) -> None:
    for i in range(low, high):
        for j in range(x.shape[1]):
            normal = (x[i, j] - mean[j]) * scale[j]
            out[i, j] = factor[j] * (grad[i, j] - dbeta[j] - normal * dgamma[j])
