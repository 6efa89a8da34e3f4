"""Interactions of chosen pairs of field vectors e [B, F, D]. Formulas and sources: ``fastfm_core.contract``.

Samples may lie any stride of 0 or more apart, so kernels get e as its numbers [..] and that stride. Pairs that follow
one another with the same first field share its vector: sum_g r_fg <e_f, e_g> = <e_f, sum_g r_fg e_g>.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from fastfm_core import threads
from fastfm_core.backends.numba_cpu.launch import given, piece_count, ranges, workspace
from fastfm_core.backends.numba_cpu.vector import fill, lanes, load, store, total, zeros
from fastfm_core.compilation import kernel
from fastfm_core.contract import Product

PRODUCTS = {"inner": 0, "elementwise": 1, "outer": 2}
_LINE_BYTES = 64


def pair_interaction(vectors: np.ndarray, pairs: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    out = workspace.empty((len(vectors),), vectors.dtype)
    arguments = *_numbers(vectors), pairs, given(weights, 1, vectors.dtype), out
    ranges(_interaction, len(vectors), _bytes(vectors, pairs), *arguments)
    return out


def pair_interaction_backward(
    grad: np.ndarray, vectors: np.ndarray, pairs: np.ndarray, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    out = workspace.empty(vectors.shape, vectors.dtype)
    arguments = grad, *_numbers(vectors), pairs, given(weights, 1, vectors.dtype), out
    ranges(_interaction_backward, len(vectors), 3 * _bytes(vectors, pairs), *arguments)
    return out, None if weights is None else _by_weights(grad, vectors, pairs)


def _by_weights(grad: np.ndarray, vectors: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """[P], in partial sums over a number of pieces that depends on shapes alone; each pair's sum is a line of lanes."""
    samples, pieces = len(vectors), piece_count(len(vectors), _bytes(vectors, pairs))
    parts = np.zeros((pieces, len(pairs), _LINE_BYTES // vectors.itemsize), vectors.dtype)
    arguments = grad, *_numbers(vectors), pairs

    def work(p: int) -> None:
        _weight_sums(samples * p // pieces, samples * (p + 1) // pieces, *arguments, parts[p])

    threads.run(pieces, work)
    return parts.sum(axis=0).sum(axis=1)


def pair_products(vectors: np.ndarray, pairs: np.ndarray, product: Product) -> np.ndarray:
    width = _width(vectors, product)
    out = workspace.empty((len(vectors), len(pairs), width), vectors.dtype)
    ranges(_products, len(vectors), width * _bytes(vectors, pairs), *_numbers(vectors), pairs, PRODUCTS[product], out)
    return out


def pair_products_backward(grad: np.ndarray, vectors: np.ndarray, pairs: np.ndarray, product: Product) -> np.ndarray:
    out = workspace.empty(vectors.shape, vectors.dtype)
    arguments = grad, *_numbers(vectors), pairs, PRODUCTS[product], out
    ranges(_products_backward, len(vectors), 3 * _width(vectors, product) * _bytes(vectors, pairs), *arguments)
    return out


def _numbers(vectors: np.ndarray) -> tuple[np.ndarray, int, int]:
    """(all numbers from the first to the last one, elements from sample to sample, D); nothing is copied."""
    samples, count, dim = vectors.shape
    stride = vectors.strides[0] // vectors.itemsize
    size = (samples - 1) * stride + count * dim if samples and count * dim else 0
    return as_strided(vectors, (size,), (vectors.itemsize,), writeable=False), stride, dim


def _bytes(vectors: np.ndarray, pairs: np.ndarray) -> int:
    """What a sample's pairs read."""
    return max(1, len(pairs)) * vectors.shape[2] * vectors.itemsize


def _width(vectors: np.ndarray, product: Product) -> int:
    dim = vectors.shape[2]
    return {"inner": 1, "elementwise": dim, "outer": dim * dim}[product]


@kernel
def _interaction(low: Any, high: Any, vectors: Any, stride: Any, dim: Any, pairs: Any, weights: Any, out: Any) -> None:
    for b in range(low, high):
        start, sum_ = b * stride, zeros(vectors)
        for c in range(0, dim, lanes(vectors)):
            others, previous = zeros(vectors), -1
            for p in range(pairs.shape[0]):
                if pairs[p, 0] != previous:
                    if previous >= 0:
                        sum_ += load(vectors, start + previous * dim + c, dim - c) * others
                    others, previous = zeros(vectors), pairs[p, 0]
                other = load(vectors, start + pairs[p, 1] * dim + c, dim - c)
                others += fill(vectors, weights[p]) * other if weights.size else other
            if previous >= 0:
                sum_ += load(vectors, start + previous * dim + c, dim - c) * others
        out[b] = total(sum_)


@kernel
def _interaction_backward(
    low: Any, high: Any, grad: Any, vectors: Any, stride: Any, dim: Any, pairs: Any, weights: Any, out: Any
) -> None:
    count = out.shape[1]
    for b in range(low, high):
        out[b] = 0
        start, to = b * stride, b * count * dim
        for p in range(pairs.shape[0]):
            left, right = pairs[p, 0] * dim, pairs[p, 1] * dim
            factor = fill(vectors, grad[b] * weights[p] if weights.size else grad[b])
            for c in range(0, dim, lanes(vectors)):
                by_left = load(out, to + left + c, dim - c) + factor * load(vectors, start + right + c, dim - c)
                by_right = load(out, to + right + c, dim - c) + factor * load(vectors, start + left + c, dim - c)
                store(out, to + left + c, dim - c, by_left)
                store(out, to + right + c, dim - c, by_right)


@kernel
def _weight_sums(low: Any, high: Any, grad: Any, vectors: Any, stride: Any, dim: Any, pairs: Any, sums: Any) -> None:
    """sums [P, lanes] += grad_b e_f e_g, lane by lane."""
    for b in range(low, high):
        start, factor = b * stride, fill(vectors, grad[b])
        for p in range(pairs.shape[0]):
            left, right = start + pairs[p, 0] * dim, start + pairs[p, 1] * dim
            sum_ = load(sums, p * lanes(vectors), lanes(vectors))
            for c in range(0, dim, lanes(vectors)):
                sum_ += factor * load(vectors, left + c, dim - c) * load(vectors, right + c, dim - c)
            store(sums, p * lanes(vectors), lanes(vectors), sum_)


@kernel
def _products(low: Any, high: Any, vectors: Any, stride: Any, dim: Any, pairs: Any, product: Any, out: Any) -> None:
    for b in range(low, high):
        for p in range(pairs.shape[0]):
            left, right = b * stride + pairs[p, 0] * dim, b * stride + pairs[p, 1] * dim
            to = (b * pairs.shape[0] + p) * out.shape[2]
            sum_ = zeros(vectors)
            for c in range(0, dim, lanes(vectors)):
                other = load(vectors, right + c, dim - c)
                if product == 2:
                    for i in range(dim):
                        store(out, to + i * dim + c, dim - c, fill(vectors, vectors[left + i]) * other)
                    continue
                own = load(vectors, left + c, dim - c) * other
                if product == 1:
                    store(out, to + c, dim - c, own)
                else:
                    sum_ += own
            if product == 0:
                out[b, p, 0] = total(sum_)


@kernel
def _products_backward(
    low: Any, high: Any, grad: Any, vectors: Any, stride: Any, dim: Any, pairs: Any, product: Any, out: Any
) -> None:
    for b in range(low, high):
        out[b] = 0
        for p in range(pairs.shape[0]):
            f, g = pairs[p, 0], pairs[p, 1]
            left, right = b * stride + f * dim, b * stride + g * dim
            for i in range(dim):
                if product == 2:
                    for d in range(dim):
                        out[b, f, i] += grad[b, p, i * dim + d] * vectors[right + d]
                        out[b, g, d] += grad[b, p, i * dim + d] * vectors[left + i]
                else:
                    factor = grad[b, p, i if product == 1 else 0]
                    out[b, f, i] += factor * vectors[right + i]
                    out[b, g, i] += factor * vectors[left + i]
