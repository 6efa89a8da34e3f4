"""In-place updates of a plan's rows: g = grad_scale * (summed row gradient) + l2 * w, then the rule, once per row.

Rules and papers: ``fastfm_core.contract``. Rows outside the plan keep their weights and state.
"""

from __future__ import annotations

import numpy as np

from fastfm_core.backends.reference.rows import materialize_rows
from fastfm_core.contract import Array, RowPlan, RowSource


def update_rows_sgd_(
    table: Array, plan: RowPlan, source: RowSource, *, lr: float, l2: float = 0.0, grad_scale: float = 1.0
) -> None:
    """w -= lr g."""
    table[plan.rows] -= lr * _gradient(table, plan, source, l2, grad_scale)


def update_rows_adagrad_(
    table: Array, accumulator: Array, plan: RowPlan, source: RowSource,
    *, lr: float, eps: float = 1e-10, l2: float = 0.0, grad_scale: float = 1.0,
) -> None:  # fmt: skip
    """a += g^2;  w -= lr g / (sqrt(a) + eps)."""
    g = _gradient(table, plan, source, l2, grad_scale)
    accumulator[plan.rows] += g * g
    table[plan.rows] -= lr * g / (np.sqrt(accumulator[plan.rows]) + eps)


def update_rows_rowwise_adagrad_(
    table: Array, accumulator: Array, plan: RowPlan, source: RowSource,
    *, lr: float, eps: float = 1e-10, l2: float = 0.0, grad_scale: float = 1.0,
) -> None:  # fmt: skip
    """a += mean_d(g_d^2);  w -= lr g / (sqrt(a) + eps). Rows of no dims add nothing."""
    g = _gradient(table, plan, source, l2, grad_scale)
    accumulator[plan.rows] += (g * g).sum(axis=1) / max(table.shape[1], 1)
    table[plan.rows] -= lr * g / (np.sqrt(accumulator[plan.rows])[:, None] + eps)


def update_rows_adam_(
    table: Array, moment1: Array, moment2: Array, plan: RowPlan, source: RowSource,
    *, step: int, lr: float, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8,
    l2: float = 0.0, grad_scale: float = 1.0,
) -> None:  # fmt: skip
    """m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2;  w -= lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps)."""
    g = _gradient(table, plan, source, l2, grad_scale)
    m = beta1 * moment1[plan.rows] + (1 - beta1) * g
    v = beta2 * moment2[plan.rows] + (1 - beta2) * g * g
    moment1[plan.rows], moment2[plan.rows] = m, v
    table[plan.rows] -= lr / (1 - beta1**step) * m / (np.sqrt(v) / (1 - beta2**step) ** 0.5 + eps)


def _gradient(table: Array, plan: RowPlan, source: RowSource, l2: float, grad_scale: float) -> Array:
    """g [U, D] of the plan's rows."""
    return grad_scale * materialize_rows(table, plan, source) + l2 * table[plan.rows]
