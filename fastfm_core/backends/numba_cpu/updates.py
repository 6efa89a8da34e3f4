"""Optimizer rules on rows: the summed gradient of a row is consumed at once, its weights and state move in one pass.

Rows are independent of each other, so cuts between them change no bits. The rules and their sources: the contract.
Tables and states may be row views of wider arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfm_core.backends.numba_cpu import rules
from fastfm_core.backends.numba_cpu.lookup import request_row
from fastfm_core.backends.numba_cpu.packing import unpack
from fastfm_core.backends.numba_cpu.sources import over_rows, row_ahead, row_scratch, sum_row
from fastfm_core.backends.numba_cpu.vector import fill, lanes, load, number, pointer, prefetch, store, total, zeros
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
    update_rows_adamw_(
        table, moment1, moment2, plan, source, step=step, lr=lr, beta1=beta1, beta2=beta2, eps=eps, weight_decay=0.0,
        l2=l2, grad_scale=grad_scale,
    )  # fmt: skip


def update_rows_adamw_(
    table: np.ndarray, moment1: np.ndarray, moment2: np.ndarray, plan: RowPlan, source: RowSource,
    *, step: int, lr: float, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8,
    weight_decay: float = 0.01, l2: float = 0.0, grad_scale: float = 1.0,
) -> None:  # fmt: skip
    rate, correction, kept = lr / (1.0 - beta1**step), (1.0 - beta2**step) ** -0.5, 1.0 - lr * weight_decay
    arguments = rate, correction, kept, beta1, beta2, eps, l2, grad_scale
    over_rows(_adam, table, plan, source, moment1, moment2, *arguments)


def update_rows_ftrl_(
    table: np.ndarray, dual: np.ndarray, accumulator: np.ndarray, plan: RowPlan, source: RowSource,
    *, lr: float, beta: float = 1.0, l1: float = 0.0, ridge: float = 0.0, l2: float = 0.0, grad_scale: float = 1.0,
) -> None:  # fmt: skip
    over_rows(_ftrl, table, plan, source, dual, accumulator, lr, beta, l1, ridge, l2, grad_scale)


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
            store(table, at, left, rules.sgd(pointer(table), weight, gradient, lr))


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
            summed = load(accumulator, row * state + c, left)
            weight, summed = rules.adagrad(pointer(table), weight, summed, gradient, lr, eps)
            store(accumulator, row * state + c, left, summed)
            store(table, row * stride + c, left, weight)


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
    rate: Any, correction: Any, kept: Any, beta1: Any, beta2: Any, eps: Any, l2: Any, grad_scale: Any,
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
            mean, square = load(moment1, at1, left), load(moment2, at2, left)
            weight, mean, square = rules.adam(
                pointer(table), weight, mean, square, gradient, rate, correction, kept, beta1, beta2, eps
            )
            store(moment1, at1, left, mean)
            store(moment2, at2, left, square)
            store(table, row * stride + c, left, weight)


@kernel
def _ftrl(
    low: Any, high: Any, table: Any, source: Any, dual: Any, accumulator: Any,
    lr: Any, beta: Any, l1: Any, ridge: Any, l2: Any, grad_scale: Any,
) -> None:  # fmt: skip
    parts = unpack(table, source)
    scratch = row_scratch(table)
    for u in range(low, high):
        request_row(parts.weights, row_ahead(parts, u) * parts.stride, table.shape[1])
        sum_row(parts, u, pointer(scratch))
        row = np.int64(parts.rows[u])
        for d in range(table.shape[1]):
            gradient = scratch[d] * number(table, grad_scale) + table[row, d] * number(table, l2)
            table[row, d], dual[row, d], accumulator[row, d] = rules.ftrl(
                table[row, d], dual[row, d], accumulator[row, d], gradient,
                number(table, lr), number(table, beta), number(table, l1), number(table, ridge),
            )  # fmt: skip
