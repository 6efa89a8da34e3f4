"""Ground truth of the kernels on chosen pairs; conventions as in ``truth``.

Written apart from the kernels: interactions go through the F x F matrix of the pairs' weights, products through the
whole outer product, whose diagonal is the element-wise one and whose trace the inner one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfm_core.contract import Array, Product

from . import truth
from .truth import WIDE, Expected


def pair_interaction(vectors: Array, pairs: Array, weights: Array | None) -> Expected:
    """sum over f, g of R_fg <e_f, e_g>, where R holds the pairs' weights."""
    value, magnitude = (
        np.einsum("bfd,fg,bgd->b", e, matrix, e)
        for e, matrix in ((vectors, _matrix(vectors, pairs, weights)), (abs(vectors), _sizes(vectors, pairs, weights)))
    )
    return Expected(value, magnitude)


def pair_interaction_backward(grad: Array, vectors: Array, pairs: Array, weights: Array | None) -> dict[str, Expected]:
    """de = grad (R + R') e; dr from the matrix of all sum_b grad_b <e_f, e_g>."""
    both, sizes = _matrix(vectors, pairs, weights), _sizes(vectors, pairs, weights)
    by_vectors = Expected(
        np.einsum("b,fg,bgd->bfd", grad, both + both.T, vectors),
        np.einsum("b,fg,bgd->bfd", abs(grad), sizes + sizes.T, abs(vectors)),
    )
    if weights is None:
        return {"de": by_vectors, "dr": Expected(None)}
    places = tuple(pairs.T)
    products = np.einsum("b,bfd,bgd->fg", grad, vectors, vectors)[places]
    return {
        "de": by_vectors,
        "dr": Expected(products, np.einsum("b,bfd,bgd->fg", abs(grad), abs(vectors), abs(vectors))[places]),
    }


def pair_products(vectors: Array, pairs: Array, product: Product) -> Expected:
    """Of the outer products [B, P, D, D]: all, the diagonals, or the traces."""
    outer = np.einsum("bpi,bpj->bpij", vectors[:, pairs[:, 0]], vectors[:, pairs[:, 1]])
    if product == "inner":
        return Expected(*(np.trace(x, axis1=2, axis2=3)[:, :, None] for x in (outer, abs(outer))))
    if product == "elementwise":
        outer = np.diagonal(outer, axis1=2, axis2=3)
    samples, count = outer.shape[:2]
    width = vectors.shape[2] ** (2 if product == "outer" else 1)
    return Expected(outer.reshape(samples, count, width), abs(outer).reshape(samples, count, width))


def pair_products_backward(grad: Array, vectors: Array, pairs: Array, product: Product) -> Expected:
    """With G the gradient by the outer product: de_f += G e_g, de_g += G' e_f."""
    samples, count, dim = len(vectors), len(pairs), vectors.shape[2]
    whole = grad.reshape(samples, count, dim, dim) if product == "outer" else grad[..., None] * np.eye(dim, dtype=WIDE)
    value, magnitude = truth.zeros(vectors.shape)
    for p, (f, g) in enumerate(pairs):
        for total, by_outer, e in ((value, whole[:, p], vectors), (magnitude, abs(whole[:, p]), abs(vectors))):
            total[:, f] += np.einsum("bij,bj->bi", by_outer, e[:, g])
            total[:, g] += np.einsum("bij,bi->bj", by_outer, e[:, f])
    return Expected(value, magnitude)


def _matrix(vectors: Array, pairs: Array, weights: Any) -> Array:
    """[F, F] with the weight of pair (f, g) at f, g; pairs listed twice add up."""
    matrix = np.zeros((vectors.shape[1], vectors.shape[1]), WIDE)
    np.add.at(matrix, tuple(pairs.T), 1 if weights is None else weights)
    return matrix


def _sizes(vectors: Array, pairs: Array, weights: Array | None) -> Array:
    return _matrix(vectors, pairs, None if weights is None else abs(weights))
