"""Differentiable lookups: rows, pooled bags, and the fused lookup + first order + FM + concatenation.

Their gradients by tables are lazy ``RowGradient``s; their gradients by entry values x_i are arrays. A row plan may be
given where it was made ahead; else it is made when the backward pass needs it, once for the table and its first order.
Rows that are behind their optimizer's steps (``Tensor.behind``) catch up before they are read, here and nowhere else.
With ``lane`` the first order is the table's last column, and both have one gradient.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfm_core.autograd import Context, Function, RowGradient, Tensor
from fastfm_core.contract import EmbeddingFM, Entries, RowPlan, RowSource, is_half
from fastfm_core.errors import InputError


def embedding(table: Tensor, ids: np.ndarray) -> Tensor:
    """table [V, D], ids any shape -> [..., D]."""
    _refuse_trained_halves(table)
    return _Embedding.apply(table, ids, plan=_present(table, ids, None))


def embedding_bag(table: Tensor, entries: Entries, values: Tensor | None = None) -> Tensor:
    """Pooled rows [B, F, D]; ``values`` [N] replaces entries.values and receives a gradient."""
    _refuse_trained_halves(table)
    return _EmbeddingBag.apply(table, values, entries, plan=_present(table, entries.ids, None))


def embedding_fm(
    table: Tensor,
    linear: Tensor | None,
    entries: Entries,
    dense: np.ndarray | None = None,
    *,
    values: Tensor | None = None,
    deep: bool = False,
    plan: RowPlan | None = None,
    lane: bool = False,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """table [V, D], linear [V] or None -> (first order [B], pairs [B], deep input [B, F*D + I] or None).

    plan  of entries.ids; InputError when it is of another number of ids
    lane  the first order is the last column of table [V, D + 1], and linear is None
    """
    _refuse_trained_halves(table)
    if lane and linear is not None:
        raise InputError("with lane=True the first order is the table's last column; give linear=None")
    if plan is not None and len(plan.order) != len(entries.ids):
        raise InputError(f"the row plan is of {len(plan.order)} ids, the entries have {len(entries.ids)}; make it anew")
    for parameter in (table, linear):
        plan = _present(parameter, entries.ids, plan)
    return _EmbeddingFM.apply(table, linear, values, entries=entries, dense=dense, deep=deep, plan=plan, lane=lane)


def _present(table: Tensor | None, ids: np.ndarray, plan: RowPlan | None) -> RowPlan | None:
    """Brings the rows about to be read to the present, where they may be behind; the plan, made if that needs one."""
    if table is None or table.behind is None:
        return plan
    made: RowPlan = plan or table.backend.plan_rows(ids.reshape(-1), len(table.data))
    table.behind(made.touched)
    return made


def _refuse_trained_halves(table: Tensor) -> None:
    if table.requires_grad and is_half(table.data.dtype):
        raise InputError(f"a {table.data.dtype} table can only be read; train in float32 and convert for serving")


class _Embedding(Function):
    @staticmethod
    def forward(context: Context, table: np.ndarray, ids: np.ndarray, *, plan: RowPlan | None) -> np.ndarray:
        context.saved = (plan,)
        return context.backend.embedding_gather(table, ids)

    @staticmethod
    def backward(context: Context, grad: np.ndarray) -> tuple[Any, ...]:
        table, ids = context.inputs
        plan = context.saved[0] or context.backend.plan_rows(ids.reshape(-1), len(table.data))
        slot_grad = context.backend.xp.ascontiguousarray(grad).reshape(ids.size, 1, table.data.shape[1])
        return RowGradient(table, [(plan, RowSource(1, slot_grad=slot_grad))]), None


class _EmbeddingBag(Function):
    @staticmethod
    def forward(
        context: Context, table: np.ndarray, values: np.ndarray | None, entries: Entries, *, plan: RowPlan | None
    ) -> np.ndarray:
        entries = entries if values is None else entries._replace(values=values)
        pooled, winners = context.backend.embedding_bag(table, entries)
        context.saved = entries, winners, plan
        return pooled.reshape(entries.samples, entries.fields, table.shape[1])

    @staticmethod
    def backward(context: Context, grad: np.ndarray) -> tuple[Any, ...]:
        table, kernels = context.inputs[0], context.backend
        entries, winners, plan = context.saved
        source = _source(kernels, entries, table.data.dtype)._replace(slot_grad=grad, winners=winners)
        rows = by_values = None
        if context.needs[0]:
            rows = RowGradient(table, [(plan or kernels.plan_rows(entries.ids, len(table.data)), source)])
        if context.needs[1]:
            by_values = kernels.value_gradient(table.data, entries, source)
        return rows, by_values, None


class _EmbeddingFM(Function):
    @staticmethod
    def forward(
        context: Context, table: np.ndarray, linear: np.ndarray | None, values: np.ndarray | None,
        *, entries: Entries, dense: np.ndarray | None, deep: bool, plan: RowPlan | None, lane: bool,
    ) -> tuple[Any, ...]:  # fmt: skip
        entries = entries if values is None else entries._replace(values=values)
        pooled = entries.offsets is not None and entries.pooling != "none"
        if lane:
            table, linear = table[:, :-1], table[:, -1]
        # Pooled slots are needed by the backward pass, and the deep input holds them.
        out = context.backend.embedding_fm(table, linear, entries, dense if deep else None, deep=deep or pooled)
        context.saved = entries, plan, out, pooled, lane
        return out.first, out.pair, out.deep if deep else None

    @staticmethod
    def backward(
        context: Context, first_grad: np.ndarray | None, pair_grad: np.ndarray | None, deep_grad: np.ndarray | None
    ) -> tuple[Any, ...]:
        table, linear, _ = context.inputs
        kernels: Any = context.backend
        entries, plan, out, pooled, lane = context.saved
        plain = _source(kernels, entries, table.data.dtype)
        source = _pairs_and_deep(kernels, plain, entries, out, pooled, pair_grad, deep_grad)
        first = plain._replace(winners=out.linear_winners)
        if lane:
            source = _with_first_order(kernels, source, out, first_grad)
        elif first_grad is not None:
            slots = (entries.samples, entries.fields, 1)
            first = first._replace(slot_grad=kernels.xp.broadcast_to(first_grad[:, None, None], slots))
        by_table = by_linear = by_values = None
        if context.needs[0] or context.needs[1]:
            plan = plan or kernels.plan_rows(entries.ids, len(table.data))
            by_table = RowGradient(table, [(plan, source)]) if context.needs[0] else None
            by_linear = RowGradient(linear, [(plan, first)]) if context.needs[1] else None
        if context.needs[2]:
            by_values = kernels.value_gradient(table.data, entries, source)
            if linear is not None:
                by_values = by_values + kernels.value_gradient(linear.data[:, None], entries, first)
        return by_table, by_linear, by_values


def _source(kernels: Any, entries: Entries, dtype: Any) -> RowSource:
    """The part of a row source that depends on the entries alone."""
    return RowSource(entries.fields, kernels.entry_slots(entries), kernels.pooling_coefficients(entries, dtype))


def _pairs_and_deep(
    kernels: Any, source: RowSource, entries: Entries, out: EmbeddingFM, pooled: bool, pair_grad: Any, deep_grad: Any
) -> RowSource:
    """``source`` with what pairs and deep part send back, each None where nothing arrived."""
    samples, fields, dim = entries.samples, entries.fields, out.sums.shape[1]
    source = source._replace(winners=out.winners)
    if pair_grad is not None:
        slots = None
        if pooled:
            assert out.deep is not None
            slots = kernels.xp.ascontiguousarray(out.deep[:, : fields * dim]).reshape(entries.slots, dim)
        source = source._replace(pair_grad=pair_grad, sums=out.sums, slot_values=slots)
    if deep_grad is not None:
        source = source._replace(slot_grad=deep_grad[:, : fields * dim].reshape(samples, fields, dim))
    return source


def _with_first_order(kernels: Any, source: RowSource, out: EmbeddingFM, first_grad: Any) -> RowSource:
    """The source of rows that end with their first-order weight, whose gradient is 0 where nothing arrived."""
    winners = None
    if out.winners is not None and out.linear_winners is not None:
        winners = kernels.xp.concatenate([out.winners, out.linear_winners], axis=1)
    first_grad = kernels.xp.zeros_like(out.first) if first_grad is None else first_grad
    return source._replace(winners=winners, first_grad=first_grad)
