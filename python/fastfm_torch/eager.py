"""Lookups outside of compiled graphs: without an operator's dispatch, and for tables that a ``Follower`` watches.

Rows of a followed table catch up first; with in_backward the backward pass moves them. Nothing of the size of the
batch's rows or of a gradient is built then: the lazy source goes straight into the update.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import Function, once_differentiable

from fastfm_torch import arrays, follow, gradients, lookups
from fastfm_torch.lookups import Gradients, Saved


def embedding_gather(table: Tensor, ids: Tensor, padding: int, sparse: bool, check: bool) -> Tensor:
    """As the operator of this name."""
    plan = follow.bring(ids, check, table) if follow.alive else None
    if not _differentiable(table):
        return lookups.gather(table, ids, check and plan is None)
    return _Gather.apply(table, ids, padding, sparse, check and plan is None, plan if padding < 0 else None)


def embedding_bag(
    table: Tensor, ids: Tensor, offsets: Tensor | None, values: Tensor | None, pooling: str, padding: int,
    sparse: bool, check: bool,
) -> Tensor:  # fmt: skip
    """As the operator of this name, without the winners."""
    plan = follow.bring(ids, check, table) if follow.alive else None
    if not _differentiable(table, values):
        return lookups.bag(table, ids, offsets, values, pooling, padding, check)[0]
    plan = plan if padding < 0 else None
    return _Bag.apply(table, ids, offsets, values, pooling, padding, sparse, check, plan)


def embedding_fm(
    table: Tensor, linear: Tensor | None, ids: Tensor, offsets: Tensor | None, values: Tensor | None,
    dense: Tensor | None, fields: int, pooling: str, deep: bool, sparse: bool, check: bool,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """As the operator of this name: first, pair and deep."""
    plan = follow.bring(ids, check, table, linear) if follow.alive else None
    given = table, linear, ids, offsets, values, dense, fields, pooling, deep
    if not _differentiable(table, linear, values, dense):
        return lookups.fm(*given, check)[:3]
    return _FM.apply(*given, sparse, check, plan)


# While these are called torch.compile breaks its graph.
_uncompiled: Any = torch.compiler.disable
uncompiled_gather = _uncompiled(embedding_gather)
uncompiled_bag = _uncompiled(embedding_bag)
uncompiled_fm = _uncompiled(embedding_fm)


class _Gather(Function):
    @staticmethod
    def forward(ctx: Any, table: Tensor, ids: Tensor, padding: int, sparse: bool, check: bool, plan: Any) -> Tensor:
        out = lookups.gather(table, ids, check)
        gradients.save_gather(ctx, (table, ids, padding, sparse, check), out)
        if _moves(ctx, plan, table):
            ctx.save_for_backward(table, ids)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        if not ctx.moves:
            return *gradients.of_gather(ctx, grad), None
        table, ids = ctx.saved_tensors
        saved = Saved(table, None, ids, None, None, None, None, None, None, len(table), 1, "sum", ctx.padding)
        _deliver(ctx, saved, Gradients(None, None, grad.reshape(-1, 1, table.shape[1])), False)
        return (None,) * 6


class _Bag(Function):
    @staticmethod
    def forward(
        ctx: Any, table: Tensor, ids: Tensor, offsets: Tensor | None, values: Tensor | None, pooling: str, padding: int,
        sparse: bool, check: bool, plan: Any,
    ) -> Tensor:  # fmt: skip
        out = lookups.bag(table, ids, offsets, values, pooling, padding, check)
        gradients.save_bag(ctx, (table, ids, offsets, values, pooling, padding, sparse, check), out)
        if _moves(ctx, plan, table):
            ctx.save_for_backward(table, ids, offsets, values, out[1])
        return out[0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor | None) -> tuple[Any, ...]:
        if grad is None or not ctx.moves:
            return *gradients.of_bag(ctx, grad, None), None
        table, ids, offsets, values, winners = ctx.saved_tensors
        size = len(table), 1, ctx.pooling, ctx.padding
        saved = Saved(table, None, ids, offsets, values, None, None, winners, None, *size)
        by_values = _deliver(ctx, saved, Gradients(None, None, grad.unsqueeze(1)), ctx.needs_input_grad[3])
        return None, None, None, by_values, *[None] * 5


class _FM(Function):
    @staticmethod
    def forward(
        ctx: Any, table: Tensor, linear: Tensor | None, ids: Tensor, offsets: Tensor | None, values: Tensor | None,
        dense: Tensor | None, fields: int, pooling: str, deep: bool, sparse: bool, check: bool, plan: Any,
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        given = table, linear, ids, offsets, values, dense, fields, pooling, deep
        out = lookups.fm(*given, check)
        gradients.save_fm(ctx, (*given, sparse, check), out)
        _moves(ctx, plan, table, linear)
        return out[:3]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, first: Any, pair: Any, wide: Any) -> tuple[Any, ...]:
        if not ctx.moves:
            return *gradients.of_fm(ctx, first, pair, wide, None), None
        saved, needs = gradients.saved_fm(ctx), ctx.needs_input_grad
        grads = Gradients(first, pair, gradients.slot_gradient(saved, wide, None))
        others = [needs[place] and follower is None for place, follower in enumerate(ctx.followers)]
        by_table, by_linear, _ = gradients.backward(saved, grads, ctx.sparse, (others[0], others[1], False))
        by_values = _deliver(ctx, saved, grads, needs[4])
        return by_table, by_linear, None, None, by_values, gradients.dense_gradient(ctx, saved, wide), *[None] * 6


def _differentiable(*tensors: Tensor | None) -> bool:
    return torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in tensors)


def _moves(ctx: Any, plan: Any, *tables: Tensor | None) -> bool:
    """Whether the backward pass moves rows. Notes in ctx the followers that will be handed the row gradients."""
    ctx.plan, ctx.moves = plan, False
    if follow.alive:
        ctx.followers = [_mover(table) for table in tables]
        ctx.moves = any(follower is not None for follower in ctx.followers)
    return ctx.moves


def _mover(table: Tensor | None) -> follow.Follower | None:
    """The follower that moves the table's rows, which is told to expect a gradient."""
    follower = follow.of(table)
    if follower is None or table is None or not (follower.in_backward and table.requires_grad):
        return None
    follower.expect()
    return follower


def _deliver(ctx: Any, saved: Saved, grads: Gradients, needs_values: bool) -> Tensor | None:
    """Hands the lazy row gradients over; the gradient by values, which is taken before rows move."""
    nothing = grads.pair is None and grads.slots is None
    with arrays.queued(saved.ids):
        rows = lookups.rows_of(saved, grads, ctx.plan)
        by_values = lookups.by_values(saved, rows, grads) if needs_values else None
        sources = None if nothing else rows.table, None if grads.first is None else rows.linear
        for follower, source in zip(ctx.followers, sources, strict=False):
            if follower is not None:
                follower.arrived(rows.plan, source)
    return gradients.as_given(by_values, saved.values)
