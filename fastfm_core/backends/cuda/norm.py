"""Batch norm by the batch's own statistics, and its backward. Shapes and formulas: the contract."""

from __future__ import annotations

from typing import Any

from fastfm_core.backends.cuda.columns import ACROSS, column_sums
from fastfm_core.backends.cuda.device import column_vectors, instance, launch, xp
from fastfm_core.backends.cuda.shapes import FLOATS, WIDTHS, cut_columns

FILE = "norm.cu"
WIDE = ("batch_norm_pieces", "batch_norm", "batch_norm_backward_sums", "batch_norm_backward")
INSTANCES = {
    FILE: [
        *(instance("batch_norm_moments", dtype) for dtype in FLOATS),
        *(instance(name, *width) for name in WIDE for width in WIDTHS),
    ]
}


def batch_norm(x: Any, gamma: Any, beta: Any, eps: float) -> tuple[Any, Any, Any]:
    rows, columns = x.shape
    width = column_vectors(columns, x, gamma, beta)
    cut = cut_columns(rows, columns, width)
    walk = rows, columns, cut.across, cut.height
    pieces = xp.empty((cut.pieces, columns, 3), x.dtype)
    launch(FILE, instance("batch_norm_pieces", x.dtype, width), cut.blocks, x, pieces, *walk)
    out, mean, variance = xp.empty_like(x), xp.empty(columns, x.dtype), xp.empty(columns, x.dtype)
    merge = instance("batch_norm_moments", x.dtype)
    launch(FILE, merge, -(-columns // ACROSS), pieces, mean, variance, cut.pieces, columns, ACROSS)
    name = instance("batch_norm", x.dtype, width)
    launch(FILE, name, cut.blocks, x, gamma, beta, mean, variance, out, *walk, float(eps))
    return out, mean, variance


def batch_norm_backward(grad: Any, x: Any, gamma: Any, mean: Any, variance: Any, eps: float) -> tuple[Any, Any, Any]:
    rows, columns = x.shape
    width = column_vectors(columns, grad, x, gamma, mean, variance)
    cut = cut_columns(rows, columns, width)
    walk = rows, columns, cut.across, cut.height, float(eps)
    parts = xp.empty((cut.pieces, 2 * columns), x.dtype)
    name = instance("batch_norm_backward_sums", x.dtype, width)
    launch(FILE, name, cut.blocks, grad, x, mean, variance, parts, *walk)
    sums, dx = column_sums(parts), xp.empty_like(x)
    name = instance("batch_norm_backward", x.dtype, width)
    launch(FILE, name, cut.blocks, grad, x, gamma, mean, variance, sums, dx, *walk)
    return dx, sums[:columns], sums[columns:]
