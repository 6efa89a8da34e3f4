"""Rows brought to the present: the steps that a row has missed, one after another, each line of it held in registers.

Learning rates are those of the steps up to ``step``; a row that is current up to step ``last`` starts at number
last - step + K of them. Rows are independent of each other, so cuts between them change no bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfm_core.backends.numba_cpu import rules
from fastfm_core.backends.numba_cpu.launch import given, ranges
from fastfm_core.backends.numba_cpu.vector import fill, lanes, load, number, pointer, store, total, zeros
from fastfm_core.backends.shared import adam_constants
from fastfm_core.compilation import helper, kernel


def catch_up_rows_sgd_(
    table: np.ndarray, last: np.ndarray, rows: np.ndarray | None, *, step: int, rates: np.ndarray, l2: float = 0.0
) -> None:
    _over_rows(_sgd, table, last, rows, step, rates, l2)


def catch_up_rows_adagrad_(
    table: np.ndarray, accumulator: np.ndarray, last: np.ndarray, rows: np.ndarray | None,
    *, step: int, rates: np.ndarray, eps: float = 1e-10, l2: float = 0.0,
) -> None:  # fmt: skip
    _over_rows(_adagrad, table, last, rows, step, rates, accumulator, eps, l2)


def catch_up_rows_rowwise_adagrad_(
    table: np.ndarray, accumulator: np.ndarray, last: np.ndarray, rows: np.ndarray | None,
    *, step: int, rates: np.ndarray, eps: float = 1e-10, l2: float = 0.0,
) -> None:  # fmt: skip
    _over_rows(_rowwise_adagrad, table, last, rows, step, rates, accumulator, eps, l2)


def catch_up_rows_adam_(
    table: np.ndarray, moment1: np.ndarray, moment2: np.ndarray, last: np.ndarray, rows: np.ndarray | None,
    *, step: int, rates: np.ndarray, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, l2: float = 0.0,
) -> None:  # fmt: skip
    catch_up_rows_adamw_(
        table, moment1, moment2, last, rows, step=step, rates=rates, beta1=beta1, beta2=beta2, eps=eps,
        weight_decay=0.0, l2=l2,
    )  # fmt: skip


def catch_up_rows_adamw_(
    table: np.ndarray, moment1: np.ndarray, moment2: np.ndarray, last: np.ndarray, rows: np.ndarray | None,
    *, step: int, rates: np.ndarray, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8,
    weight_decay: float = 0.01, l2: float = 0.0,
) -> None:  # fmt: skip
    sizes, corrections, kept = adam_constants(step, rates, beta1, beta2, weight_decay)
    arguments = moment1, moment2, corrections, kept, beta1, beta2, eps, l2
    _over_rows(_adam, table, last, rows, step, sizes, *arguments)


def catch_up_rows_ftrl_(
    table: np.ndarray, dual: np.ndarray, accumulator: np.ndarray, last: np.ndarray, rows: np.ndarray | None,
    *, step: int, rates: np.ndarray, beta: float = 1.0, l1: float = 0.0, ridge: float = 0.0, l2: float = 0.0,
) -> None:  # fmt: skip
    _over_rows(_ftrl, table, last, rows, step, rates, dual, accumulator, beta, l1, ridge, l2)


def _over_rows(
    kernel: Any, table: np.ndarray, last: np.ndarray, rows: np.ndarray | None, step: int, rates: np.ndarray,
    *arguments: Any,
) -> None:  # fmt: skip
    """Run a kernel over rows, those given or all, in pieces."""
    count = len(last) if rows is None else len(rows)
    bytes_each = table.shape[1] * table.itemsize * (1 + len(rates))
    ranges(kernel, count, bytes_each, table, last, given(rows, 1, np.int32), step, rates, *arguments)


@helper
def _row(rows: Any, u: Any) -> Any:
    return np.int64(rows[u]) if rows.size else np.int64(u)


@kernel
def _sgd(low: Any, high: Any, table: Any, last: Any, rows: Any, step: Any, rates: Any, l2: Any) -> None:
    dim, stride, like = table.shape[1], table.strides[0] // table.itemsize, pointer(table)
    for u in range(low, high):
        row = _row(rows, u)
        first = last[row] - step + len(rates)
        for c in range(0, dim, lanes(table)):
            weight = load(table, row * stride + c, dim - c)
            for k in range(first, len(rates)):
                weight = rules.sgd(like, weight, weight * fill(table, l2), rates[k])
            store(table, row * stride + c, dim - c, weight)
        last[row] = step


@kernel
def _adagrad(
    low: Any, high: Any, table: Any, last: Any, rows: Any, step: Any, rates: Any, accumulator: Any, eps: Any, l2: Any
) -> None:
    dim, stride, like = table.shape[1], table.strides[0] // table.itemsize, pointer(table)
    state = accumulator.strides[0] // table.itemsize
    for u in range(low, high):
        row = _row(rows, u)
        first = last[row] - step + len(rates)
        for c in range(0, dim, lanes(table)):
            weight = load(table, row * stride + c, dim - c)
            summed = load(accumulator, row * state + c, dim - c)
            for k in range(first, len(rates)):
                weight, summed = rules.adagrad(like, weight, summed, weight * fill(table, l2), rates[k], eps)
            store(table, row * stride + c, dim - c, weight)
            store(accumulator, row * state + c, dim - c, summed)
        last[row] = step


@kernel
def _rowwise_adagrad(
    low: Any, high: Any, table: Any, last: Any, rows: Any, step: Any, rates: Any, accumulator: Any, eps: Any, l2: Any
) -> None:
    dim, stride = table.shape[1], table.strides[0] // table.itemsize
    for u in range(low, high):
        row = _row(rows, u)
        for k in range(last[row] - step + len(rates), len(rates)):
            squares = zeros(table)
            for c in range(0, dim, lanes(table)):
                gradient = load(table, row * stride + c, dim - c) * fill(table, l2)
                squares += gradient * gradient
            accumulator[row] += total(squares) / number(table, max(dim, 1))
            rate = fill(table, rates[k] / (np.sqrt(accumulator[row]) + eps))
            for c in range(0, dim, lanes(table)):
                weight = load(table, row * stride + c, dim - c)
                store(table, row * stride + c, dim - c, weight - rate * (weight * fill(table, l2)))
        last[row] = step


@kernel
def _adam(
    low: Any, high: Any, table: Any, last: Any, rows: Any, step: Any, sizes: Any, moment1: Any, moment2: Any,
    corrections: Any, kept: Any, beta1: Any, beta2: Any, eps: Any, l2: Any,
) -> None:  # fmt: skip
    dim, stride, like = table.shape[1], table.strides[0] // table.itemsize, pointer(table)
    state1, state2 = moment1.strides[0] // table.itemsize, moment2.strides[0] // table.itemsize
    for u in range(low, high):
        row = _row(rows, u)
        first = last[row] - step + len(sizes)
        for c in range(0, dim, lanes(table)):
            at, at1, at2, left = row * stride + c, row * state1 + c, row * state2 + c, dim - c
            weight, mean, square = load(table, at, left), load(moment1, at1, left), load(moment2, at2, left)
            for k in range(first, len(sizes)):
                weight, mean, square = rules.adam(
                    like, weight, mean, square, weight * fill(table, l2),
                    sizes[k], corrections[k], kept[k], beta1, beta2, eps,
                )  # fmt: skip
            store(table, at, left, weight)
            store(moment1, at1, left, mean)
            store(moment2, at2, left, square)
        last[row] = step


@kernel
def _ftrl(
    low: Any, high: Any, table: Any, last: Any, rows: Any, step: Any, rates: Any, dual: Any, accumulator: Any,
    beta: Any, l1: Any, ridge: Any, l2: Any,
) -> None:  # fmt: skip
    for u in range(low, high):
        row = _row(rows, u)
        first = last[row] - step + len(rates)
        for d in range(table.shape[1]):
            weight, other, summed = table[row, d], dual[row, d], accumulator[row, d]
            for k in range(first, len(rates)):
                weight, other, summed = rules.ftrl(
                    weight, other, summed, weight * number(table, l2),
                    number(table, rates[k]), number(table, beta), number(table, l1), number(table, ridge),
                )  # fmt: skip
            table[row, d], dual[row, d], accumulator[row, d] = weight, other, summed
        last[row] = step
