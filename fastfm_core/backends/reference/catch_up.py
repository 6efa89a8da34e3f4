"""Rows brought to the present: every step that a row has missed, one after another, with the gradient g = l2 * w.

The rules are those of ``updates``; what ``last``, ``rows`` and ``rates`` are: ``fastfm_core.contract``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fastfm_core.backends.reference import rules
from fastfm_core.contract import Array


def catch_up_rows_sgd_(
    table: Array, last: Array, rows: Array | None, *, step: int, rates: Array, l2: float = 0.0
) -> None:
    _replay((table,), last, rows, step, rates, lambda w, t, lr: (rules.sgd(w, l2 * w, lr),))


def catch_up_rows_adagrad_(
    table: Array, accumulator: Array, last: Array, rows: Array | None,
    *, step: int, rates: Array, eps: float = 1e-10, l2: float = 0.0,
) -> None:  # fmt: skip
    arrays = table, accumulator
    _replay(arrays, last, rows, step, rates, lambda w, a, t, lr: rules.adagrad(w, a, l2 * w, lr, eps))


def catch_up_rows_rowwise_adagrad_(
    table: Array, accumulator: Array, last: Array, rows: Array | None,
    *, step: int, rates: Array, eps: float = 1e-10, l2: float = 0.0,
) -> None:  # fmt: skip
    arrays = table, accumulator
    _replay(arrays, last, rows, step, rates, lambda w, a, t, lr: rules.rowwise_adagrad(w, a, l2 * w, lr, eps))


def catch_up_rows_adam_(
    table: Array, moment1: Array, moment2: Array, last: Array, rows: Array | None,
    *, step: int, rates: Array, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, l2: float = 0.0,
) -> None:  # fmt: skip
    catch_up_rows_adamw_(
        table, moment1, moment2, last, rows, step=step, rates=rates, beta1=beta1, beta2=beta2, eps=eps,
        weight_decay=0.0, l2=l2,
    )  # fmt: skip


def catch_up_rows_adamw_(
    table: Array, moment1: Array, moment2: Array, last: Array, rows: Array | None,
    *, step: int, rates: Array, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8,
    weight_decay: float = 0.01, l2: float = 0.0,
) -> None:  # fmt: skip
    def rule(w: Array, m: Array, v: Array, t: int, lr: float) -> tuple[Array, ...]:
        return rules.adam(w, m, v, l2 * w, t, lr, beta1, beta2, eps, weight_decay)

    _replay((table, moment1, moment2), last, rows, step, rates, rule)


def catch_up_rows_ftrl_(
    table: Array, dual: Array, accumulator: Array, last: Array, rows: Array | None,
    *, step: int, rates: Array, beta: float = 1.0, l1: float = 0.0, ridge: float = 0.0, l2: float = 0.0,
) -> None:  # fmt: skip
    def rule(w: Array, z: Array, n: Array, t: int, lr: float) -> tuple[Array, ...]:
        return rules.ftrl(w, z, n, l2 * w, lr, beta, l1, ridge)

    _replay((table, dual, accumulator), last, rows, step, rates, rule)


def _replay(
    arrays: tuple[Array, ...], last: Array, rows: Array | None, step: int, rates: Array,
    rule: Callable[..., tuple[Array, ...]],
) -> None:  # fmt: skip
    """In place: rule(*rows of the arrays, step, learning rate) for each missed step, on all rows that missed it."""
    rows = np.arange(len(last)) if rows is None else rows
    oldest = min(last[rows].tolist(), default=step)
    for t in range(oldest + 1, step + 1):
        behind, lr = rows[last[rows] < t], float(rates[t - step - 1])
        for array, moved in zip(arrays, rule(*(array[behind] for array in arrays), t, lr), strict=True):
            array[behind] = moved
    last[rows] = step
