"""Chosen pairs of field vectors: weighted inner products summed, and the products of each.

Pan et al., WWW 2018 (FwFM); Qu et al., ICDM 2016 (inner and outer products); He & Chua, SIGIR 2017 (element-wise
product).
"""

from __future__ import annotations

import numpy as np

from fastfm_core.contract import Array, Product


def pair_interaction(vectors: Array, pairs: Array, weights: Array | None) -> Array:
    """[B, F, D], [P, 2], [P] -> [B]."""
    out = np.zeros(len(vectors), vectors.dtype)
    for p, (f, g) in enumerate(pairs):
        out += (1 if weights is None else weights[p]) * (vectors[:, f] * vectors[:, g]).sum(axis=1)
    return out


def pair_interaction_backward(
    grad: Array, vectors: Array, pairs: Array, weights: Array | None
) -> tuple[Array, Array | None]:
    """grad [B] -> (de [B, F, D], dr [P] or None)."""
    by_fields = np.zeros(vectors.shape, vectors.dtype)
    by_weights = None if weights is None else np.zeros_like(weights)
    for p, (f, g) in enumerate(pairs):
        scale = (grad if weights is None else grad * weights[p])[:, None]
        by_fields[:, f] += scale * vectors[:, g]
        by_fields[:, g] += scale * vectors[:, f]
        if by_weights is not None:
            by_weights[p] = (grad * (vectors[:, f] * vectors[:, g]).sum(axis=1)).sum()
    return by_fields, by_weights


def pair_products(vectors: Array, pairs: Array, product: Product) -> Array:
    """[B, F, D], [P, 2] -> [B, P, W]."""
    left, right = vectors[:, pairs[:, 0]], vectors[:, pairs[:, 1]]
    if product == "inner":
        return (left * right).sum(axis=2, keepdims=True)
    if product == "elementwise":
        return left * right
    samples, count, dim = left.shape
    return (left[:, :, :, None] * right[:, :, None, :]).reshape(samples, count, dim * dim)


def pair_products_backward(grad: Array, vectors: Array, pairs: Array, product: Product) -> Array:
    """grad [B, P, W] -> de [B, F, D]."""
    by_fields = np.zeros(vectors.shape, vectors.dtype)
    for p, (f, g) in enumerate(pairs):
        left, right, each = vectors[:, f], vectors[:, g], grad[:, p]
        if product == "outer":
            each = each.reshape(*left.shape, left.shape[1])
            by_fields[:, f] += (each * right[:, None, :]).sum(axis=2)
            by_fields[:, g] += (each * left[:, :, None]).sum(axis=1)
        else:
            by_fields[:, f] += each * right
            by_fields[:, g] += each * left
    return by_fields
