"""Row plans, lazy row gradients and updates in place: docs/contract.md, under the same names."""

from __future__ import annotations

import numpy as np
from numba import njit

from fastfm_core.contract import RowPlan, RowSource
from fastfm_numba.arrays import (
    doubles,
    entries,
    expect,
    floats,
    floats_out,
    ids_in,
    length,
    matrix,
    matrix_out,
    places,
    places_out,
    rows_alone,
    slot_gradient,
    words_in,
    words_out,
)
from fastfm_numba.library import SUM, done, double_at, function, structure, word_at

_plan_rows = function("plan_rows", "www")
_materialize_rows = function("materialize_rows", "wwww")
_row_gradient_norm2 = function("row_gradient_norm2", "wwww")
_update_rows_sgd = function("update_rows_sgd_", "wwwddd")
_update_rows_adagrad = function("update_rows_adagrad_", "wwwwdddd")
_update_rows_rowwise_adagrad = function("update_rows_rowwise_adagrad_", "wwwwdddd")
_update_rows_adam = function("update_rows_adam_", "wwwwwwddddddd")
_update_rows_ftrl = function("update_rows_ftrl_", "wwwwwdddddd")
_catch_up_rows_adam = function("catch_up_rows_adam_", "wwwwwwwwddddd")


@njit(forceinline=True)
def plan_rows(ids, table_rows, check=True):
    """ids of any shape -> their RowPlan (rows [U], segments [U+1], order [N]), in new arrays."""
    rows, segments = np.empty(ids.size, ids.dtype), np.empty(ids.size + 1, np.int64)
    order = np.empty(ids.size, np.int32)
    given = entries(ids, 1, None, None, SUM, check)
    plan = structure((ids_in(rows, "rows"), 0, words_out(segments, "segments"), places_out(order, "order"), 0, 0, 0))
    done(_plan_rows(structure(given), table_rows, plan))
    count = word_at(plan + 8 * 4)
    return RowPlan(rows[:count], segments[: count + 1], order)


@njit(forceinline=True)
def row_source(
    fields, entry_slots=None, coefficients=None, pair_grad=None, sums=None, slot_values=None, slot_grad=None,
    winners=None, first_grad=None,
):  # fmt: skip
    """A RowSource by keywords, which Numba's named tuples do not take."""
    return RowSource(fields, entry_slots, coefficients, pair_grad, sums, slot_values, slot_grad, winners, first_grad)


@njit(inline="always")
def _plan(plan, check):
    expect(plan.segments, (plan.rows.shape[0] + 1,), "plan.segments")
    unchecked = 0 if check else 1
    return (ids_in(plan.rows, "plan.rows"), plan.rows.itemsize * 8, words_in(plan.segments, "plan.segments"),
            places(plan.order, "plan.order"), plan.rows.shape[0], plan.order.shape[0], unchecked)  # fmt: skip


@njit(inline="always")
def _source(source, plan, columns):
    """The words of a fastfm_source for a table of so many columns, its arrays checked against each other."""
    dim = columns if source.first_grad is None else columns - 1
    samples = max(length(source.first_grad), length(source.pair_grad), length(source.slot_grad))
    if samples == 0:
        samples = plan.order.shape[0] // max(source.fields, 1)
    slots = samples * source.fields
    expect(source.entry_slots, plan.order.shape, "source.entry_slots")
    expect(source.coefficients, plan.order.shape, "source.coefficients")
    expect(source.pair_grad, (samples,), "source.pair_grad")
    expect(source.first_grad, (samples,), "source.first_grad")
    expect(source.sums, (samples, dim), "source.sums")
    expect(source.slot_values, (slots, dim), "source.slot_values")
    expect(source.winners, (slots, columns), "source.winners")
    gradient, sample_stride, field_stride = slot_gradient(source.slot_grad, samples, source.fields, dim)
    return (np.intp(source.fields), samples, places(source.entry_slots, "source.entry_slots"),
            floats(source.coefficients, "source.coefficients"), floats(source.pair_grad, "source.pair_grad"),
            floats(source.sums, "source.sums"), floats(source.slot_values, "source.slot_values"), gradient,
            sample_stride, field_stride, words_in(source.winners, "source.winners"),
            floats(source.first_grad, "source.first_grad"))  # fmt: skip


@njit(forceinline=True)
def materialize_rows(table, plan, source, out, check=True):
    """out [U, columns of the table]."""
    expect(out, (plan.rows.shape[0], table.shape[1]), "out")
    of, planned, given = matrix(table, "table"), _plan(plan, check), _source(source, plan, table.shape[1])
    done(_materialize_rows(structure(of), structure(planned), structure(given), floats_out(out, "out")))


@njit(forceinline=True)
def row_gradient_norm2(table, plan, source, check=True):
    """|summed row gradients|^2"""
    of, planned, given = matrix(table, "table"), _plan(plan, check), _source(source, plan, table.shape[1])
    squares = structure((0,))
    done(_row_gradient_norm2(structure(of), structure(planned), structure(given), squares))
    return double_at(squares)


@njit(forceinline=True)
def update_rows_sgd_(table, plan, source, lr, l2=0.0, grad_scale=1.0, check=True):
    """In place on the plan's rows of table."""
    of, planned, given = matrix_out(table, "table"), _plan(plan, check), _source(source, plan, table.shape[1])
    done(_update_rows_sgd(structure(of), structure(planned), structure(given), lr, l2, grad_scale))


@njit(forceinline=True)
def update_rows_adagrad_(table, accumulator, plan, source, lr, eps=1e-10, l2=0.0, grad_scale=1.0, check=True):
    """In place on the plan's rows of table and accumulator [V, columns]."""
    of, planned, given = matrix_out(table, "table"), _plan(plan, check), _source(source, plan, table.shape[1])
    state = matrix_out(accumulator, "accumulator")
    done(_update_rows_adagrad(structure(of), structure(state), structure(planned), structure(given), lr, eps, l2,
                              grad_scale))  # fmt: skip


@njit(forceinline=True)
def update_rows_rowwise_adagrad_(table, accumulator, plan, source, lr, eps=1e-10, l2=0.0, grad_scale=1.0, check=True):
    """In place on the plan's rows of table and accumulator [V]."""
    of, planned, given = matrix_out(table, "table"), _plan(plan, check), _source(source, plan, table.shape[1])
    state = matrix_out(accumulator, "accumulator")
    done(_update_rows_rowwise_adagrad(structure(of), structure(state), structure(planned), structure(given), lr, eps,
                                      l2, grad_scale))  # fmt: skip


@njit(forceinline=True)
def update_rows_adamw_(
    table, moment1, moment2, plan, source, step, lr, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.01, l2=0.0,
    grad_scale=1.0, check=True,
):  # fmt: skip
    """In place on the plan's rows of table and moments [V, columns]; step is counted from 1."""
    of, planned, given = matrix_out(table, "table"), _plan(plan, check), _source(source, plan, table.shape[1])
    first, second = matrix_out(moment1, "moment1"), matrix_out(moment2, "moment2")
    done(_update_rows_adam(structure(of), structure(first), structure(second), structure(planned), structure(given),
                           step, lr, beta1, beta2, eps, weight_decay, l2, grad_scale))  # fmt: skip


@njit(forceinline=True)
def update_rows_adam_(
    table, moment1, moment2, plan, source, step, lr, beta1=0.9, beta2=0.999, eps=1e-8, l2=0.0, grad_scale=1.0,
    check=True,
):  # fmt: skip
    """AdamW without decay."""
    update_rows_adamw_(table, moment1, moment2, plan, source, step, lr, beta1, beta2, eps, 0.0, l2, grad_scale, check)


@njit(forceinline=True)
def update_rows_ftrl_(
    table, dual, accumulator, plan, source, lr, beta=1.0, l1=0.0, ridge=0.0, l2=0.0, grad_scale=1.0, check=True
):
    """In place on the plan's rows of table, dual and accumulator [V, columns]."""
    of, planned, given = matrix_out(table, "table"), _plan(plan, check), _source(source, plan, table.shape[1])
    first, second = matrix_out(dual, "dual"), matrix_out(accumulator, "accumulator")
    done(_update_rows_ftrl(structure(of), structure(first), structure(second), structure(planned), structure(given),
                           lr, beta, l1, ridge, l2, grad_scale))  # fmt: skip


@njit(forceinline=True)
def catch_up_rows_adamw_(
    table, moment1, moment2, last, rows, step, rates, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.01, l2=0.0,
    check=True,
):  # fmt: skip
    """In place: rows [U], ascending and distinct, or None for all, up to ``step``; last [V] int32, rates float64."""
    expect(last, (table.shape[0],), "last")
    of, first, second = matrix_out(table, "table"), matrix_out(moment1, "moment1"), matrix_out(moment2, "moment2")
    planned = structure(rows_alone(rows, check))
    done(_catch_up_rows_adam(structure(of), structure(first), structure(second), places_out(last, "last"), planned,
                             step, doubles(rates, "rates"), rates.shape[0], beta1, beta2, eps, weight_decay,
                             l2))  # fmt: skip


@njit(forceinline=True)
def catch_up_rows_adam_(
    table, moment1, moment2, last, rows, step, rates, beta1=0.9, beta2=0.999, eps=1e-8, l2=0.0, check=True
):
    """AdamW without decay."""
    catch_up_rows_adamw_(table, moment1, moment2, last, rows, step, rates, beta1, beta2, eps, 0.0, l2, check)
