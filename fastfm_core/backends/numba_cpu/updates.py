"""Optimizer rules on rows: the summed gradient of a row is consumed at once, its weights and state move in one pass.

Rows are independent of each other, so cuts between them change no bits. The rules and their sources: the contract.
Tables and states may be row views of wider arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfm_core.backends.numba_cpu.lookup import request_row
from fastfm_core.backends.numba_cpu.packing import unpack
from fastfm_core.backends.numba_cpu.sources import over_rows, row_ahead, row_scratch, sum_row
from fastfm_core.backends.numba_cpu.vector import fill, lanes, load, pointer, prefetch, root, store, total, zeros
from fastfm_core.compilation import kernel
from fastfm_core.contract import RowPlan, RowSource


def update_rows_sgd_(
    table: np.ndarray, plan: RowPlan, source: RowSource, *, lr: float, l2: float = 0.0, grad_scale: float = 1.0
) -> None:
    over_rows(_sgd, table, plan, source, lr, l2, grad_scale)


def update_rows_adagrad_(
    table: np.ndarray, accumulator: np.ndarray, plan: RowPlan, source: RowSource,
    *, lr: float, eps: float = 1e-10, l2: float = 0.0, grad_scale: float = 1.0,
) -> None:  # fmt: skip
    over_rows(_adagrad, table, plan, source, accumulator, lr, eps, l2, grad_scale)


def update_rows_rowwise_adagrad_(
    table: np.ndarray, accumulator: np.ndarray, plan: RowPlan, source: RowSource,
    *, lr: float, eps: float = 1e-10, l2: float = 0.0, grad_scale: float = 1.0,
) -> None:  # fmt: skip
    over_rows(_rowwise_adagrad, table, plan, source, accumulator, lr, eps, l2, grad_scale)


def update_rows_adam_(
    table: np.ndarray, moment1: np.ndarray, moment2: np.ndarray, plan: RowPlan, source: RowSource,
    *, step: int, lr: float, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8,
    l2: float = 0.0, grad_scale: float = 1.0,
) -> None:  # fmt: skip
    rate, correction = lr / (1.0 - beta1**step), (1.0 - beta2**step) ** -0.5
    over_rows(_adam, table, plan, source, moment1, moment2, rate, correction, beta1, beta2, eps, l2, grad_scale)


@kernel
def _sgd(low: Any, high: Any, table: Any, source: Any, lr: Any, l2: Any, grad_scale: Any) -> None:
    parts = unpack(table, source)
    dim, stride = table.shape[1], table.strides[0] // table.itemsize
    scratch = row_scratch(table)
    for u in range(low, high):
        request_row(parts.weights, row_ahead(parts, u) * stride, dim)
        sum_row(parts, u, pointer(scratch))
        for c in range(0, dim, lanes(table)):
            at, left = np.int64(parts.rows[u]) * stride + c, dim - c
            weight = load(table, at, left)
            gradient = load(scratch, c, left) * fill(table, grad_scale) + weight * fill(table, l2)
            store(table, at, left, weight - fill(table, lr) * gradient)


@kernel
def _adagrad(
    low: Any, high: Any, table: Any, source: Any,
    accumulator: Any, lr: Any, eps: Any, l2: Any, grad_scale: Any,
) -> None:  # fmt: skip
    parts = unpack(table, source)
    dim, stride = table.shape[1], table.strides[0] // table.itemsize
    state = accumulator.strides[0] // table.itemsize
    scratch = row_scratch(table)
    for u in range(low, high):
        request_row(parts.weights, row_ahead(parts, u) * stride, dim)
        request_row(pointer(accumulator), row_ahead(parts, u) * state, dim)
        sum_row(parts, u, pointer(scratch))
        row = np.int64(parts.rows[u])
        for c in range(0, dim, lanes(table)):
            left = dim - c
            weight = load(table, row * stride + c, left)
            gradient = load(scratch, c, left) * fill(table, grad_scale) + weight * fill(table, l2)
            summed = load(accumulator, row * state + c, left) + gradient * gradient
            store(accumulator, row * state + c, left, summed)
            step = fill(table, lr) * gradient / (root(summed) + fill(table, eps))
            store(table, row * stride + c, left, weight - step)


@kernel
def _rowwise_adagrad(
    low: Any, high: Any, table: Any, source: Any,
    accumulator: Any, lr: Any, eps: Any, l2: Any, grad_scale: Any,
) -> None:  # fmt: skip
    parts = unpack(table, source)
    dim, stride = table.shape[1], table.strides[0] // table.itemsize
    scratch = row_scratch(table)
    for u in range(low, high):
        request_row(parts.weights, row_ahead(parts, u) * stride, dim)
        prefetch(accumulator, row_ahead(parts, u))
        sum_row(parts, u, pointer(scratch))
        row = np.int64(parts.rows[u])
        squares = zeros(table)
        for c in range(0, dim, lanes(table)):
            left = dim - c
            weight = load(table, row * stride + c, left)
            gradient = load(scratch, c, left) * fill(table, grad_scale) + weight * fill(table, l2)
            store(scratch, c, left, gradient)
            squares += gradient * gradient
        accumulator[row] += total(squares) / table.dtype.type(max(dim, 1))
        rate = fill(table, lr / (np.sqrt(accumulator[row]) + eps))
        for c in range(0, dim, lanes(table)):
            at, left = row * stride + c, dim - c
            store(table, at, left, load(table, at, left) - rate * load(scratch, c, left))


@kernel
def _adam(
    low: Any, high: Any, table: Any, source: Any, moment1: Any, moment2: Any,
    rate: Any, correction: Any, beta1: Any, beta2: Any, eps: Any, l2: Any, grad_scale: Any,
) -> None:  # fmt: skip
    parts = unpack(table, source)
    dim, stride = table.shape[1], table.strides[0] // table.itemsize
    state1, state2 = moment1.strides[0] // table.itemsize, moment2.strides[0] // table.itemsize
    scratch = row_scratch(table)
    for u in range(low, high):
        request_row(parts.weights, row_ahead(parts, u) * stride, dim)
        request_row(pointer(moment1), row_ahead(parts, u) * state1, dim)
        request_row(pointer(moment2), row_ahead(parts, u) * state2, dim)
        sum_row(parts, u, pointer(scratch))
        row = np.int64(parts.rows[u])
        for c in range(0, dim, lanes(table)):
            at1, at2, left = row * state1 + c, row * state2 + c, dim - c
            weight = load(table, row * stride + c, left)
            gradient = load(scratch, c, left) * fill(table, grad_scale) + weight * fill(table, l2)
            mean = load(moment1, at1, left) * fill(table, beta1) + gradient * fill(table, 1.0 - beta1)
            square = load(moment2, at2, left) * fill(table, beta2) + gradient * gradient * fill(table, 1.0 - beta2)
            store(moment1, at1, left, mean)
            store(moment2, at2, left, square)
            step = fill(table, rate) * mean / (root(square) * fill(table, correction) + fill(table, eps))
            store(table, row * stride + c, left, weight - step)
