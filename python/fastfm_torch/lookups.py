"""Lookups and their row gradients on tensors, below PyTorch's autograd: what ops.py and fused.py are made of.

A lookup's backward is a ``RowSource`` of fastfm_core: what is saved is the lookup's inputs, the pooled slots where
there are bags, and the sums S_b. The source becomes a dense gradient, the rows of a sparse one, or an update in place.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from fastfm_core.contract import Entries, RowPlan, RowSource, is_half
from fastfm_core.errors import InputError
from fastfm_torch import arrays

_LINES = {"cpu": 64, "cuda": 16}  # bytes; the rows of deep inputs start at multiples of them


class Saved(NamedTuple):
    """A lookup as its backward pass needs it.

    table  None where its rows are not read, which is without pairs and without a gradient by values
    slots  pooled e_s [B, >= F*D] of bags
    rows   V
    """

    table: Tensor | None
    linear: Tensor | None
    ids: Tensor
    offsets: Tensor | None
    values: Tensor | None
    sums: Tensor | None
    slots: Tensor | None
    winners: Tensor | None
    linear_winners: Tensor | None
    rows: int
    fields: int
    pooling: str
    padding: int = -1


class Gradients(NamedTuple):
    """What arrived from above: of the first order [B], of the pairs [B], of the slots [B, F, D]; None: nothing."""

    first: Tensor | None
    pair: Tensor | None
    slots: Tensor | None


class Rows(NamedTuple):
    """A row gradient that nobody has summed: the plan, and where the rows of table and first order come from.

    count  V
    kept   mask [N] of the entries that are pooled; None: all
    """

    kernels: Any
    count: int
    entries: Entries
    plan: Any
    table: RowSource
    linear: RowSource
    kept: Any


def empty_wide(like: Tensor, samples: Any, width: Any) -> Tensor:
    """A deep input [samples, width] of this dtype and device, with the rows as far apart as kernels set them."""
    line = _LINES.get(like.device.type, 64) // like.dtype.itemsize
    spacing = (width + line - 1) // line * line
    return like.new_empty_strided((samples, width), (spacing, 1))


def gather(table: Tensor, ids: Tensor, check: bool) -> Tensor:
    """table [V, D], ids of any shape -> [..., D] in the table's dtype."""
    with arrays.queued(table):
        entries, _ = arrays.entries_of(ids, None, None, 1, "sum")
        rows = arrays.table_of(table)
        if check:
            arrays.check(entries, len(rows))
        found = arrays.tensor_of(arrays.kernels_for(table).embedding_gather(rows, entries.ids))
    return found.view(*ids.shape, table.shape[1]).to(table.dtype)


def bag(
    table: Tensor, ids: Tensor, offsets: Tensor | None, values: Tensor | None, pooling: str, padding: int, check: bool
) -> tuple[Tensor, Tensor | None]:
    """-> (pooled slots [M, D] in the table's dtype, winners [M, D] int64 under max pooling)."""
    with arrays.queued(table):
        entries, _ = _entries(table, ids, offsets, values, 1, pooling, padding, check)
        if pooling == "none":
            raise InputError("bags are pooled by sum, mean, sqrtn or max, not by 'none'")
        pooled, winners = arrays.kernels_for(table).embedding_bag(arrays.table_of(table), entries)
        return arrays.tensor_of(pooled).to(table.dtype), _own(winners)


def fm(
    table: Tensor, linear: Tensor | None, ids: Tensor, offsets: Tensor | None, values: Tensor | None,
    dense: Tensor | None, fields: int, pooling: str, deep: bool, check: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None, Tensor | None]:  # fmt: skip
    """-> (first [B], pair [B], deep [B, F*D + I], sums [B, D], winners, linear_winners), sums in the computed dtype.

    deep has no columns unless it is asked for, or, without the numbers, the backward pass needs the pooled slots.
    """
    with arrays.queued(table):
        entries, _ = _entries(table, ids, offsets, values, fields, pooling, -1, check)
        _refuse_other_shapes(table, linear, entries, dense)
        if deep and pooling == "none":
            raise InputError("pooling='none' pools nothing, so there are no slots to concatenate: ask with deep=False")
        numbers = None if dense is None or not deep else dense.to(arrays.computed(table.dtype)).contiguous()
        wide = deep or keeps_slots(offsets, pooling)
        weights = None if linear is None else arrays.table_of(linear, "linear")
        out = arrays.kernels_for(table).embedding_fm(
            arrays.table_of(table), weights, entries, arrays.array_of(numbers), deep=wide
        )
        first, pair, sums = map(arrays.tensor_of, out[:3])
        slots = empty_wide(sums, len(first), 0) if out.deep is None else _spaced(arrays.tensor_of(out.deep))
        winners = _own(out.winners), _own(out.linear_winners)
    if table.dtype in arrays.HALVES:
        first, pair, slots = first.to(table.dtype), pair.to(table.dtype), _spaced(slots.to(table.dtype))
    return first, pair, slots, sums, *winners


def with_empty(outputs: tuple[Tensor | None, ...], table: Tensor) -> tuple[Tensor, ...]:
    """Outputs of an operator, which has no optional ones: the winners that there are not have no rows."""
    widths = {len(outputs) - 1: 1} if len(outputs) > 2 else {}
    return tuple(
        torch.empty((0, widths.get(place, table.shape[1])), dtype=torch.int64, device=table.device)
        if output is None
        else output
        for place, output in enumerate(outputs)
    )


def global_ids(ids: Tensor, starts: Tensor, offsets: Tensor | None, check: bool) -> Tensor:
    """Ids that start at 0 in each field as rows of one table; InputError for one outside its field's."""
    first, sizes = starts[:-1], starts[1:] - starts[:-1]
    if offsets is not None:
        slots = torch.arange(len(offsets) - 1, device=ids.device) % len(first)
        field = torch.repeat_interleave(slots, offsets.diff())
        first, sizes = first[field], sizes[field]
    if check and bool(((ids < 0) | (ids >= sizes)).any()):
        place = int(((ids < 0) | (ids >= sizes)).reshape(-1).to(torch.uint8).argmax())
        size = int(sizes.expand(ids.shape).reshape(-1)[place])
        raise InputError(f"ids[{place}] is {int(ids.reshape(-1)[place])}, outside its field's rows 0..{size - 1}")
    return ids + first


def keeps_slots(offsets: Tensor | None, pooling: str) -> bool:
    """Whether the backward pass needs the pooled slots."""
    return offsets is not None and pooling != "none"


def dtype_of(saved: Saved, grads: Gradients) -> torch.dtype:
    """The table's, which is also that of what arrived."""
    return next(tensor.dtype for tensor in (saved.table, grads.slots) if tensor is not None)


def rows_of(saved: Saved, grads: Gradients, plan: Any = None) -> Rows:
    """The lazy row gradient of a lookup; call it, and use it, where work is queued."""
    kernels = arrays.kernels_for(saved.ids)
    dtype = arrays.computed(dtype_of(saved, grads))
    values = None if saved.values is None else saved.values.to(dtype)
    entries, kept = arrays.entries_of(saved.ids, saved.offsets, values, saved.fields, saved.pooling, saved.padding)
    coefficients = kernels.pooling_coefficients(entries, arrays.number_type(dtype))
    plain = RowSource(entries.fields, kernels.entry_slots(entries), coefficients)
    source = plain._replace(slot_grad=_rows_apart(grads.slots, dtype), winners=arrays.array_of(saved.winners))
    if grads.pair is not None and saved.sums is not None:
        slots, dim = None, saved.sums.shape[1]
        if saved.slots is not None and keeps_slots(saved.offsets, saved.pooling):
            slots = saved.slots[:, : saved.fields * dim].to(dtype).contiguous().view(entries.slots, dim)
        pair_grad, sums = grads.pair.to(dtype).contiguous(), saved.sums.contiguous()
        source = source._replace(
            pair_grad=arrays.array_of(pair_grad), sums=arrays.array_of(sums), slot_values=arrays.array_of(slots)
        )
    first = plain._replace(winners=arrays.array_of(saved.linear_winners))
    if grads.first is not None:
        spread = grads.first.to(dtype)[:, None, None].expand(entries.samples, entries.fields, 1)
        first = first._replace(slot_grad=arrays.array_of(spread))
    plan = kernels.plan_rows(entries.ids, saved.rows) if plan is None else plan
    return Rows(kernels, saved.rows, entries, plan, source, first, kept)


def summed(table: Tensor | None, rows: Rows, source: RowSource) -> Tensor:
    """[U, D], the gradient of each distinct row in the computed dtype; table may be a first order [V].

    Of a table of halves the kernel is given the touched rows, widened, and of one that it does not read, no row.
    """
    kernels, plan, grad = rows.kernels, rows.plan, cast("Any", source.slot_grad)
    if source.pair_grad is None:
        own = kernels.xp.broadcast_to(kernels.xp.zeros((1, grad.shape[2]), grad.dtype), (rows.count, grad.shape[2]))
    else:
        own = arrays.array_of(table)
        if is_half(own.dtype):
            own = own[plan.rows].astype("float32")
            plan = RowPlan(kernels.xp.arange(len(own)), plan.segments, plan.order)
    return arrays.tensor_of(kernels.materialize_rows(own, plan, source))


def touched(rows: Rows) -> Tensor:
    """[U] int64, the distinct rows, ascending."""
    return arrays.tensor_of(rows.plan.rows.astype("int64", copy=False))


def by_values(saved: Saved, rows: Rows, grads: Gradients) -> Tensor:
    """dL/dx_i of every given entry, [N], in the computed dtype; the table is there."""
    parts = []
    for table, source in ((saved.table, rows.table), (saved.linear, rows.linear)):
        if table is None or (source.pair_grad is None and source.slot_grad is None):
            continue
        own, entries = arrays.array_of(table if table.dim() == 2 else table[:, None]), rows.entries
        if is_half(own.dtype):
            own = own[entries.ids].astype("float32")
            entries = entries._replace(ids=rows.kernels.xp.arange(len(own)))
        parts.append(rows.kernels.value_gradient(own, entries, source))
    found = sum(parts[1:], parts[0])
    if rows.kept is not None:
        whole = rows.kernels.xp.zeros(len(rows.kept), found.dtype)
        whole[rows.kept] = found
        found = whole
    return arrays.tensor_of(found)


def _entries(
    table: Tensor, ids: Tensor, offsets: Tensor | None, values: Tensor | None, fields: int, pooling: str, padding: int,
    check: bool,
) -> tuple[Entries, Any]:  # fmt: skip
    if table.dtype in arrays.HALVES and pooling == "max":
        raise InputError(f"max pooling needs a float32 or float64 table, got {table.dtype}")
    if values is not None:
        values = values.to(arrays.computed(table.dtype))
    entries, kept = arrays.entries_of(ids, offsets, values, fields, pooling, padding)
    if check:
        arrays.check(entries, len(table))
    return entries, kept


def _refuse_other_shapes(table: Tensor, linear: Tensor | None, entries: Entries, dense: Tensor | None) -> None:
    if linear is not None and (linear.shape != table.shape[:1] or linear.dtype != table.dtype):
        raise InputError(
            f"linear must be {table.dtype} [{len(table)}] as the table is, got {linear.dtype} {list(linear.shape)}"
        )
    if dense is not None and (dense.dim() != 2 or len(dense) != entries.samples):
        raise InputError(f"dense must be [{entries.samples}, I], got {list(dense.shape)}")


def _rows_apart(grad: Tensor | None, dtype: torch.dtype) -> Any:
    """A slot gradient [B, F, D] whose inner stride is one element."""
    if grad is None:
        return None
    grad = grad.to(dtype)
    return arrays.array_of(grad if grad.stride(2) == 1 or grad.shape[2] == 1 else grad.contiguous())


def _spaced(wide: Tensor) -> Tensor:
    """A deep input with its rows as far apart as ``empty_wide`` sets them; a copy where they are not."""
    placed = empty_wide(wide[:0], 0, wide.shape[1])
    return wide if wide.stride() == placed.stride() else empty_wide(wide, *wide.shape).copy_(wide)


def _own(array: Any) -> Tensor | None:
    return None if array is None else arrays.tensor_of(array)
