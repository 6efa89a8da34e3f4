"""The gradients of lookups: operators that sum rows, and the formulas of ops.py's autograd.

Dense gradients are [V, D] zeros with the touched rows in them; sparse ones are coalesced COO tensors, rows ascending.
Each row is summed in the order of its entries, whatever the number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fastfm_core.errors import InputError
from fastfm_torch import arrays, lookups
from fastfm_torch.define import operator, traced
from fastfm_torch.lookups import Gradients, Saved

_Needs = tuple[bool, bool, bool]  # by table, linear, values
_INPUTS = (
    "(Tensor? table, Tensor? linear, Tensor ids, Tensor? offsets, Tensor? values, Tensor? sums, Tensor? slots, "
    "Tensor? winners, Tensor? linear_winners, SymInt rows, SymInt fields, str pooling, int padding, "
    "Tensor? first_grad, Tensor? pair_grad, Tensor? slot_grad, bool by_table, bool by_linear, bool by_values) -> "
)


def _sums(saved: Saved, grads: Gradients, needs: _Needs) -> tuple[Tensor, list[Tensor | None]]:
    """Distinct rows [U], and the sums by table [U, D] and linear [U], and by values [N]; None where not needed."""
    made: list[Tensor | None] = [None, None, None]
    with arrays.queued(saved.ids):
        rows, dtype = lookups.rows_of(saved, grads), lookups.dtype_of(saved, grads)
        if needs[0]:
            made[0] = lookups.summed(saved.table, rows, rows.table).to(dtype)
        if needs[1]:
            made[1] = lookups.summed(saved.linear, rows, rows.linear).to(dtype).view(-1)
        if needs[2]:
            made[2] = lookups.by_values(saved, rows, grads)
        return lookups.touched(rows), made


def _dense(saved: Saved, grads: Gradients, needs: _Needs) -> list[Tensor | None]:
    rows, made = _sums(saved, grads, needs)
    for place in (0, 1):
        if (values := made[place]) is not None:
            made[place] = values.new_zeros((saved.rows, *values.shape[1:])).index_copy_(0, rows, values)
    return made


def _empty(saved: Saved, grads: Gradients, needs: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients by table [V, D], linear [V] and values [N] whose numbers are any; of no row where not needed."""
    dtype, ids = lookups.dtype_of(saved, grads), saved.ids
    dim = next(tensor for tensor in (saved.table, grads.slots) if tensor is not None).shape[-1]
    return (
        ids.new_empty((saved.rows if needs[0] else 0, dim), dtype=dtype),
        ids.new_empty(saved.rows if needs[1] else 0, dtype=dtype),
        ids.new_empty(ids.numel() if needs[2] else 0, dtype=arrays.computed(dtype)),
    )


def _split(arguments: Any) -> tuple[Saved, Gradients, Any]:
    return Saved(*arguments[:13]), Gradients(*arguments[13:16]), arguments[16:]


def _dense_or_empty(*arguments: Any) -> tuple[Tensor, ...]:
    saved, grads, needs = _split(arguments)
    others = _empty(saved._replace(rows=0), grads, (False, False, False))
    return tuple(e if m is None else m for m, e in zip(_dense(saved, grads, needs), others, strict=True))


_backward = operator(
    "lookup_backward", _dense_or_empty, _INPUTS + "(Tensor by_table, Tensor by_linear, Tensor by_values)"
)
_backward.register_fake(lambda *arguments: _empty(*_split(arguments)))


def backward(saved: Saved, grads: Gradients, sparse: bool, needs: _Needs) -> list[Tensor | None]:
    """Gradients by table, linear and values where they are needed; None where they are not, or nothing arrived."""
    at_rows = grads.pair is not None or grads.slots is not None
    at_first = grads.first is not None
    needs = needs[0] and at_rows, needs[1] and at_first, needs[2] and (at_rows or at_first)
    if not any(needs):
        return [None, None, None]
    seen = torch.is_grad_enabled() or traced(saved.ids, *grads)
    if not sparse:
        if not seen:
            return _dense(saved, grads, needs)
        made = _backward(*saved, *grads, *needs)
        return [grad if needed else None for grad, needed in zip(made, needs, strict=True)]
    if seen:
        raise InputError("sparse=True has no gradient that can be traced or differentiated again; use sparse=False")
    rows, sums = _sums(saved, grads, needs)
    for place in (0, 1):
        if (values := sums[place]) is not None:
            sums[place] = coo(rows, values, (saved.rows, *values.shape[1:]))
    return sums


def coo(rows: Tensor, values: Tensor, shape: Sequence[int]) -> Tensor:
    """A coalesced COO gradient of ascending rows [U] and their values [U, D], or [U] of a first order."""
    if len(rows) == 0:  # PyTorch adds to such a gradient by resizing it, so its memory must be PyTorch's
        rows, values = rows.clone(), values.clone()
    return torch.sparse_coo_tensor(rows[None], values, shape, is_coalesced=True, check_invariants=False)


# ---- what the forward passes save, and the formulas -----------------------------------------------------------------


def save_gather(ctx: Any, inputs: Any, output: Tensor) -> None:
    """The table is not read in the backward pass, so it is not saved."""
    table, ids, ctx.padding, ctx.sparse, _ = inputs
    ctx.rows = table.shape[0]
    ctx.save_for_backward(ids)


def of_gather(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    """Each id's row receives what arrived at its place."""
    (ids,) = ctx.saved_tensors
    saved = Saved(None, None, ids, None, None, None, None, None, None, ctx.rows, 1, "sum", ctx.padding)
    slots = grad.reshape(-1, 1, grad.shape[-1])
    by_table, _, _ = backward(saved, Gradients(None, None, slots), ctx.sparse, (True, False, False))
    return by_table, None, None, None, None


def save_bag(ctx: Any, inputs: Any, output: Any) -> None:
    """The table is read for the gradient of values alone."""
    table, ids, offsets, values, ctx.pooling, ctx.padding, ctx.sparse, _ = inputs
    ctx.rows = table.shape[0]
    ctx.by_values = values is not None and values.requires_grad
    ctx.save_for_backward(table if ctx.by_values else None, ids, offsets, values, output[1])
    ctx.set_materialize_grads(False)


def of_bag(ctx: Any, grad: Tensor | None, _winners: Any) -> tuple[Any, ...]:
    """Each entry's row receives c_i times what arrived at its bag."""
    by_table = by_values = None
    if grad is not None:
        table, ids, offsets, values, winners = ctx.saved_tensors
        won = winners if ctx.pooling == "max" else None
        saved = Saved(table, None, ids, offsets, values, None, None, won, None, ctx.rows, 1, ctx.pooling, ctx.padding)
        needs = ctx.needs_input_grad[0], False, ctx.by_values
        by_table, _, by_values = backward(saved, Gradients(None, None, grad.unsqueeze(1)), ctx.sparse, needs)
        by_values = as_given(by_values, values)
    return by_table, None, None, by_values, None, None, None, None


def save_fm(ctx: Any, inputs: Any, output: Any) -> None:
    """Inputs, sums and pooled slots."""
    table, linear, ids, offsets, values, dense, ctx.fields, ctx.pooling, ctx.deep, ctx.sparse, _ = inputs
    _, _, wide, sums, winners, linear_winners = output
    slots = wide if lookups.keeps_slots(offsets, ctx.pooling) else None
    ctx.dense_type = None if dense is None else dense.dtype
    ctx.save_for_backward(table, linear, ids, offsets, values, sums, slots, winners, linear_winners)
    ctx.set_materialize_grads(False)


def of_fm(ctx: Any, first: Any, pair: Any, wide: Any, sums: Any, *_winners: Any) -> tuple[Any, ...]:
    """dv_i = c_i (g (S - e) + G), dw_i = c_i times the first order's gradient."""
    saved = saved_fm(ctx)
    needs = ctx.needs_input_grad
    grads = Gradients(first, pair, slot_gradient(saved, wide, sums))
    by_table, by_linear, by_values = backward(saved, grads, ctx.sparse, (needs[0], needs[1], needs[4]))
    by_values = as_given(by_values, saved.values)
    return by_table, by_linear, None, None, by_values, dense_gradient(ctx, saved, wide), *[None] * 5


def saved_fm(ctx: Any) -> Saved:
    """What ``save_fm`` saved."""
    table, linear, ids, offsets, values, sums, slots, winners, linear_winners = ctx.saved_tensors
    won = ctx.pooling == "max"
    linear_won = linear_winners if won and linear is not None else None
    won = winners if won else None
    size = table.shape[0], ctx.fields, ctx.pooling
    return Saved(table, linear, ids, offsets, values, sums, slots, won, linear_won, *size)


def slot_gradient(saved: Saved, wide: Tensor | None, sums: Tensor | None) -> Tensor | None:
    """What arrived at the slots of a fused lookup, [B, F, D]: through the deep input, and through their sums."""
    assert saved.sums is not None
    dim, fields = saved.sums.shape[1], saved.fields
    slots = None
    if wide is not None and wide.shape[1] > 0:
        slots = wide[:, : fields * dim].unflatten(1, (fields, dim))
    if sums is not None:
        spread = sums[:, None, :].expand(-1, fields, -1)
        slots = spread if slots is None else slots.to(sums.dtype) + spread
    return slots


def dense_gradient(ctx: Any, saved: Saved, wide: Tensor | None) -> Tensor | None:
    """What arrived at the numbers behind the slots, [B, I]."""
    if wide is None or saved.sums is None or not (ctx.deep and ctx.needs_input_grad[5]):
        return None
    return wide[:, saved.fields * saved.sums.shape[1] :].to(ctx.dense_type)


def as_given(grad: Tensor | None, values: Tensor | None) -> Tensor | None:
    """A gradient [N] in shape and dtype of the values."""
    return None if grad is None or values is None else grad.view(values.shape).to(values.dtype)
