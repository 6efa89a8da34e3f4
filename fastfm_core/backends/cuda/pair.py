"""Interactions and products of chosen pairs of field vectors, with their backwards. Formulas: the contract."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfm_core.backends.cuda.columns import column_sums
from fastfm_core.backends.cuda.device import (
    THREADS,
    blocks_for,
    column_vectors,
    instance,
    lanes_for,
    launch,
    row_stride,
    xp,
)
from fastfm_core.backends.cuda.shapes import BLOCKS, WIDTHS
from fastfm_core.contract import PRODUCTS, Product

FILE = "pair.cu"
NAMES = ("pair_interaction", "pair_weight_sums", "pair_backward", "pair_inner", "pair_outer")
INSTANCES = {FILE: ["pair_places", *(instance(name, *width) for name in NAMES for width in WIDTHS)]}
INNER = PRODUCTS.index("inner")
WARP = 32


def pair_interaction(vectors: Any, pairs: Any, weights: Any) -> Any:
    samples, _, dim = vectors.shape
    width = column_vectors(dim, vectors)
    out = xp.empty(samples, vectors.dtype)
    shape = samples, row_stride(vectors), dim, len(pairs), lanes_for(dim, width)
    name = instance("pair_interaction", vectors.dtype, width)
    launch(FILE, name, blocks_for(samples * WARP), vectors, pairs, weights, out, *shape)
    return out


def pair_interaction_backward(grad: Any, vectors: Any, pairs: Any, weights: Any) -> tuple[Any, Any]:
    by_vectors = _backward(grad, vectors, pairs, weights, (1, 0), INNER)
    return by_vectors, None if weights is None else _weights_backward(grad, vectors, pairs)


def pair_products(vectors: Any, pairs: Any, product: Product) -> Any:
    (samples, _, dim), count, stride = vectors.shape, len(pairs), row_stride(vectors)
    width = column_vectors(dim, vectors)
    if product == "inner":
        out, across = xp.empty((samples, count, 1), vectors.dtype), lanes_for(dim, width)
        blocks, name = blocks_for(out.size, THREADS // across), instance("pair_inner", vectors.dtype, width)
        launch(FILE, name, blocks, vectors, pairs, out, samples, stride, dim, count, across)
        return out
    rows = 1 if product == "elementwise" else dim
    out = xp.empty((samples, count, rows * dim), vectors.dtype)
    name = instance("pair_outer", vectors.dtype, width)
    launch(FILE, name, blocks_for(out.size // width), vectors, pairs, out, samples, stride, dim, count, rows)
    return out


def pair_products_backward(grad: Any, vectors: Any, pairs: Any, product: Product) -> Any:
    _, count, wide = grad.shape
    return _backward(grad, vectors, pairs, None, (count * wide, wide), PRODUCTS.index(product))


def _backward(grad: Any, vectors: Any, pairs: Any, weights: Any, grad_strides: tuple[int, int], product: int) -> Any:
    """[B, F, D]: over the pairs of each field the gradient times the other vector."""
    (samples, fields, dim), count = vectors.shape, len(pairs)
    places, degrees = xp.empty((fields, count), np.int32), xp.empty(fields, np.int32)
    launch(FILE, "pair_places", blocks_for(fields * WARP), pairs, places, degrees, fields, count)
    width = column_vectors(dim, vectors, *(() if product == INNER else (grad,)))
    out = xp.empty(vectors.shape, vectors.dtype)
    shape = samples, fields, row_stride(vectors), dim, count
    arrays = grad, vectors, pairs, weights, places, degrees, out
    name = instance("pair_backward", vectors.dtype, width)
    launch(FILE, name, blocks_for(out.size // width), *arrays, *shape, *grad_strides, product)
    return out


def _weights_backward(grad: Any, vectors: Any, pairs: Any) -> Any:
    """[P]: sum over the samples, by pieces of them, of grad <e_f, e_g>."""
    (samples, _, dim), count = vectors.shape, len(pairs)
    width = column_vectors(dim, vectors)
    across = lanes_for(dim, width)
    tiles = blocks_for(count, THREADS // across)
    height = max(-(-samples * tiles // BLOCKS), 16)
    pieces = -(-samples // height)
    parts = xp.empty((pieces, count), vectors.dtype)
    shape = samples, row_stride(vectors), dim, count, across, height
    name = instance("pair_weight_sums", vectors.dtype, width)
    launch(FILE, name, pieces * tiles, grad, vectors, pairs, parts, *shape)
    return column_sums(parts)
