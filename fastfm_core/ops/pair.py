"""Interactions of chosen pairs of field vectors e [B, F, D]: weighted sums of inner products; products, pooled.

pairs is [P, 2] int32, positions (f, g) of two different vectors. Sources: ``fastfm_core.contract``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfm_core.autograd import Context, Function, Tensor
from fastfm_core.contract import Product


def pair_interaction(vectors: Tensor, pairs: np.ndarray, weights: Tensor | None = None) -> Tensor:
    """e [B, F, D], weights r [P] or None for ones -> sum over p of r_p <e_f, e_g>, [B]."""
    return _PairInteraction.apply(vectors, weights, pairs=vectors.backend.to_device(pairs))


def pair_products(vectors: Tensor, pairs: np.ndarray, product: Product) -> Tensor:
    """e [B, F, D] -> each pair's product, [B, P, W]: W = 1 (inner), D (elementwise) or D^2 (outer)."""
    return _PairProducts.apply(vectors, pairs=vectors.backend.to_device(pairs), product=product)


def pool_pairs(products: Tensor, pooling: str) -> Tensor:
    """[B, P, W] -> "sum", "mean" or "max" over the pairs, [B, W]: 0 without pairs; the first of equal ones is the
    largest."""
    return _PoolPairs.apply(products, pooling=pooling)


class _PairInteraction(Function):
    @staticmethod
    def forward(context: Context, vectors: np.ndarray, weights: np.ndarray | None, *, pairs: np.ndarray) -> np.ndarray:
        context.saved = vectors, pairs, weights
        return context.backend.pair_interaction(vectors, pairs, weights)

    @staticmethod
    def backward(context: Context, grad: np.ndarray) -> tuple[Any, ...]:
        return context.backend.pair_interaction_backward(grad, *context.saved)


class _PairProducts(Function):
    @staticmethod
    def forward(context: Context, vectors: np.ndarray, *, pairs: np.ndarray, product: Product) -> np.ndarray:
        context.saved = vectors, pairs, product
        return context.backend.pair_products(vectors, pairs, product)

    @staticmethod
    def backward(context: Context, grad: np.ndarray) -> tuple[Any, ...]:
        grad = context.backend.xp.ascontiguousarray(grad)
        return (context.backend.pair_products_backward(grad, *context.saved),)


class _PoolPairs(Function):
    @staticmethod
    def forward(context: Context, products: np.ndarray, *, pooling: str) -> np.ndarray:
        xp, (samples, pairs, width) = context.backend.xp, products.shape
        winners = None
        if pooling == "max" and pairs:
            winners = xp.arange(samples)[:, None], products.argmax(axis=1), xp.arange(width)
        context.saved = products.shape, pooling, winners
        if winners is not None:
            return products[winners]
        share = max(products.shape[1], 1) if pooling == "mean" else 1
        return products.sum(axis=1) / products.dtype.type(share)

    @staticmethod
    def backward(context: Context, grad: np.ndarray) -> tuple[Any, ...]:
        (shape, pooling, winners), xp = context.saved, context.backend.xp
        if winners is not None:
            out = xp.zeros(shape, grad.dtype)
            out[winners] = grad
            return (out,)
        share = max(shape[1], 1) if pooling == "mean" else 1
        return (xp.broadcast_to((grad / grad.dtype.type(share))[:, None], shape),)
