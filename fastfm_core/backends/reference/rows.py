"""The dedup of a batch's ids and the lazy row gradient, one entry at a time.

dv_i = c_i d_i and dx_i = p_i <d_i, v_i> with d_i = pair_grad_b (S_b - e_s) + slot_grad_s, the gradient of slot s as
entry i sees it, and first_grad_b behind it where the row ends with its first-order weight. A row's gradient is the sum
over its entries in the plan's order. Shapes: ``fastfm_core.contract``.
"""

from __future__ import annotations

import numpy as np

from fastfm_core.backends.reference.lookup import pooling_coefficients
from fastfm_core.contract import Array, Entries, RowPlan, RowSource


def plan_rows(ids: Array, table_rows: int) -> RowPlan:
    """Distinct rows ascending; the entries of each in their order of appearance."""
    rows, counts = np.unique(ids, return_counts=True)
    segments = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return RowPlan(rows, segments, np.argsort(ids, kind="stable").astype(np.int32))


def merge_plans(plans: list[RowPlan]) -> tuple[Array, list[Array]]:
    """Union of the plans' rows, and where each plan's rows are in it."""
    rows = np.unique(np.concatenate([plan.rows for plan in plans]))
    return rows, [np.searchsorted(rows, plan.rows).astype(np.int64) for plan in plans]


def materialize_rows(table: Array, plan: RowPlan, source: RowSource) -> Array:
    """The sum of c_i d_i over the entries of each row."""
    gradients = np.zeros((len(plan.rows), table.shape[1]), table.dtype)
    for u, row in enumerate(plan.rows):
        for i in plan.order[plan.segments[u] : plan.segments[u + 1]]:
            gradients[u] += _coefficient(source, i) * _slot_gradient(table[row], source, i)
    return gradients


def row_gradient_norm2(table: Array, plan: RowPlan, source: RowSource) -> float:
    """Sum of squares of the summed row gradients, added in float64."""
    return float((materialize_rows(table, plan, source).astype(np.float64) ** 2).sum())


def value_gradient(table: Array, entries: Entries, source: RowSource) -> Array:
    """[N]; p_i is the pooling coefficient of an entry whose value is 1, so a value of 0 has its gradient too."""
    gradient = np.zeros(len(entries.ids), table.dtype)
    for i, row in enumerate(entries.ids):
        gradient[i] = (_slot_gradient(table[row], source, i) * table[row]).sum()
    factors = pooling_coefficients(entries._replace(values=None), table.dtype)
    return gradient if factors is None else factors * gradient


def _coefficient(source: RowSource, i: int) -> float:
    return 1.0 if source.coefficients is None else source.coefficients[i]


def _slot_gradient(row: Array, source: RowSource, i: int) -> Array:
    """d_i of entry i, whose table row is ``row``, of the row's length; 0 in columns that another entry won."""
    s = i if source.entry_slots is None else source.entry_slots[i]
    b, f = divmod(s, source.fields)
    gradient = np.zeros_like(row)
    dim = len(row) if source.first_grad is None else len(row) - 1
    if source.pair_grad is not None and source.sums is not None:
        e = _coefficient(source, i) * row[:dim] if source.slot_values is None else source.slot_values[s]
        gradient[:dim] += source.pair_grad[b] * (source.sums[b] - e)
    if source.slot_grad is not None:
        gradient[:dim] += source.slot_grad[b, f]
    if source.first_grad is not None:
        gradient[dim] = source.first_grad[b]
    if source.winners is not None:
        gradient[source.winners[s] != i] = 0
    return gradient
