"""In-place updates of a plan's rows: g = grad_scale * (summed row gradient) + l2 * w, then the rule, once per row.

Rules and papers: ``fastfm_core.contract``; each rule's arithmetic stands in ``rules``. Rows outside the plan keep their
weights and state.
"""

from __future__ import annotations

from fastfm_core.backends.reference import rules
from fastfm_core.backends.reference.rows import materialize_rows
from fastfm_core.contract import Array, RowPlan, RowSource


def update_rows_sgd_(
    table: Array, plan: RowPlan, source: RowSource, *, lr: float, l2: float = 0.0, grad_scale: float = 1.0
) -> None:
    table[plan.rows] = rules.sgd(table[plan.rows], _gradient(table, plan, source, l2, grad_scale), lr)


def update_rows_adagrad_(
    table: Array, accumulator: Array, plan: RowPlan, source: RowSource,
    *, lr: float, eps: float = 1e-10, l2: float = 0.0, grad_scale: float = 1.0,
) -> None:  # fmt: skip
    g, rows = _gradient(table, plan, source, l2, grad_scale), plan.rows
    table[rows], accumulator[rows] = rules.adagrad(table[rows], accumulator[rows], g, lr, eps)


def update_rows_rowwise_adagrad_(
    table: Array, accumulator: Array, plan: RowPlan, source: RowSource,
    *, lr: float, eps: float = 1e-10, l2: float = 0.0, grad_scale: float = 1.0,
) -> None:  # fmt: skip
    g, rows = _gradient(table, plan, source, l2, grad_scale), plan.rows
    table[rows], accumulator[rows] = rules.rowwise_adagrad(table[rows], accumulator[rows], g, lr, eps)


def update_rows_adam_(
    table: Array, moment1: Array, moment2: Array, plan: RowPlan, source: RowSource,
    *, step: int, lr: float, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8,
    l2: float = 0.0, grad_scale: float = 1.0,
) -> None:  # fmt: skip
    update_rows_adamw_(
        table, moment1, moment2, plan, source, step=step, lr=lr, beta1=beta1, beta2=beta2, eps=eps, weight_decay=0.0,
        l2=l2, grad_scale=grad_scale,
    )  # fmt: skip


def update_rows_adamw_(
    table: Array, moment1: Array, moment2: Array, plan: RowPlan, source: RowSource,
    *, step: int, lr: float, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8,
    weight_decay: float = 0.01, l2: float = 0.0, grad_scale: float = 1.0,
) -> None:  # fmt: skip
    g, rows = _gradient(table, plan, source, l2, grad_scale), plan.rows
    table[rows], moment1[rows], moment2[rows] = rules.adam(
        table[rows], moment1[rows], moment2[rows], g, step, lr, beta1, beta2, eps, weight_decay
    )


def update_rows_ftrl_(
    table: Array, dual: Array, accumulator: Array, plan: RowPlan, source: RowSource,
    *, lr: float, beta: float = 1.0, l1: float = 0.0, ridge: float = 0.0, l2: float = 0.0, grad_scale: float = 1.0,
) -> None:  # fmt: skip
    g, rows = _gradient(table, plan, source, l2, grad_scale), plan.rows
    table[rows], dual[rows], accumulator[rows] = rules.ftrl(
        table[rows], dual[rows], accumulator[rows], g, lr, beta, l1, ridge
    )


def _gradient(table: Array, plan: RowPlan, source: RowSource, l2: float, grad_scale: float) -> Array:
    """g [U, D] of the plan's rows."""
    return grad_scale * materialize_rows(table, plan, source) + l2 * table[plan.rows]
