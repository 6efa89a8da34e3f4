"""Differentiable lookups: rows, pooled bags, and the fused lookup + first order + FM + concatenation.

Their gradients by tables are lazy ``RowGradient``s; their gradients by entry values x_i are arrays. A row plan may be
given where it was made ahead; else it is made when the backward pass needs it, once for the table and its first order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfm_core.autograd import Context, Function, RowGradient, Tensor
from fastfm_core.contract import Entries, RowPlan, RowSource


def embedding(table: Tensor, ids: np.ndarray) -> Tensor:
    """table [V, D], ids any shape -> [..., D]."""
    return _Embedding.apply(table, ids)


def embedding_bag(table: Tensor, entries: Entries, values: Tensor | None = None) -> Tensor:
    """Pooled rows [B, F, D]; ``values`` [N] replaces entries.values and receives a gradient."""
    return _EmbeddingBag.apply(table, values, entries)


def embedding_fm(
    table: Tensor,
    linear: Tensor | None,
    entries: Entries,
    dense: np.ndarray | None = None,
    *,
    values: Tensor | None = None,
    deep: bool = False,
    plan: RowPlan | None = None,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """table [V, D], linear [V] or None -> (first order [B], pairs [B], deep input [B, F*D + I] or None)."""
    return _EmbeddingFM.apply(table, linear, values, entries=entries, dense=dense, deep=deep, plan=plan)


class _Embedding(Function):
    @staticmethod
    def forward(context: Context, table: np.ndarray, ids: np.ndarray) -> np.ndarray:
        return context.backend.embedding_gather(table, ids)

    @staticmethod
    def backward(context: Context, grad: np.ndarray) -> tuple[Any, ...]:
        table, ids = context.inputs
        plan = context.backend.plan_rows(ids.reshape(-1), len(table.data))
        slot_grad = np.ascontiguousarray(grad).reshape(ids.size, 1, table.data.shape[1])
        return RowGradient(table, [(plan, RowSource(1, slot_grad=slot_grad))]), None


class _EmbeddingBag(Function):
    @staticmethod
    def forward(context: Context, table: np.ndarray, values: np.ndarray | None, entries: Entries) -> np.ndarray:
        entries = entries if values is None else entries._replace(values=values)
        pooled, winners = context.backend.embedding_bag(table, entries)
        context.saved = entries, winners
        return pooled.reshape(entries.samples, entries.fields, table.shape[1])

    @staticmethod
    def backward(context: Context, grad: np.ndarray) -> tuple[Any, ...]:
        table, kernels = context.inputs[0], context.backend
        entries, winners = context.saved
        source = _source(kernels, entries, table.data.dtype)._replace(slot_grad=grad, winners=winners)
        rows = by_values = None
        if context.needs[0]:
            rows = RowGradient(table, [(kernels.plan_rows(entries.ids, len(table.data)), source)])
        if context.needs[1]:
            by_values = kernels.value_gradient(table.data, entries, source)
        return rows, by_values, None


class _EmbeddingFM(Function):
    @staticmethod
    def forward(
        context: Context, table: np.ndarray, linear: np.ndarray | None, values: np.ndarray | None,
        *, entries: Entries, dense: np.ndarray | None, deep: bool, plan: RowPlan | None,
    ) -> tuple[Any, ...]:  # fmt: skip
        entries = entries if values is None else entries._replace(values=values)
        pooled = entries.offsets is not None and entries.pooling != "none"
        # Pooled slots are needed by the backward pass, and the deep input holds them.
        out = context.backend.embedding_fm(table, linear, entries, dense if deep else None, deep=deep or pooled)
        context.saved = entries, plan, out, pooled
        return out.first, out.pair, out.deep if deep else None

    @staticmethod
    def backward(
        context: Context, first_grad: np.ndarray | None, pair_grad: np.ndarray | None, deep_grad: np.ndarray | None
    ) -> tuple[Any, ...]:
        table, linear, _ = context.inputs
        kernels: Any = context.backend
        entries, plan, out, pooled = context.saved
        samples, fields, dim = entries.samples, entries.fields, table.data.shape[1]
        plain = _source(kernels, entries, table.data.dtype)
        source, first = plain._replace(winners=out.winners), plain._replace(winners=out.linear_winners)
        if pair_grad is not None:
            slots = np.ascontiguousarray(out.deep[:, : fields * dim]).reshape(entries.slots, dim) if pooled else None
            source = source._replace(pair_grad=pair_grad, sums=out.sums, slot_values=slots)
        if deep_grad is not None:
            source = source._replace(slot_grad=deep_grad[:, : fields * dim].reshape(samples, fields, dim))
        if first_grad is not None:
            first = first._replace(slot_grad=np.broadcast_to(first_grad[:, None, None], (samples, fields, 1)))
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
