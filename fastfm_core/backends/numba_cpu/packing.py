"""Row sources on their way into kernels: absent parts become empty arrays, arrays become bare pointers."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastfm_core.backends.numba_cpu.launch import given
from fastfm_core.backends.numba_cpu.vector import pointer
from fastfm_core.compilation import helper
from fastfm_core.contract import RowPlan, RowSource


class Source(NamedTuple):
    """``RowSource`` and ``RowPlan`` as kernels take them: absent parts are empty arrays."""

    fields: int
    entry_slots: np.ndarray
    coefficients: np.ndarray
    pair_grad: np.ndarray
    sums: np.ndarray
    slot_values: np.ndarray
    slot_grad: np.ndarray
    winners: np.ndarray
    first_grad: np.ndarray
    rows: np.ndarray
    segments: np.ndarray
    order: np.ndarray


class Parts(NamedTuple):
    """What ``unpack`` makes of table and source inside a kernel: bare pointers, strides in elements, what is there.

    A row has ``width`` columns: ``dim`` of the embedding, and its first-order weight where ``has_first``.
    """

    fields: Any
    entry_slots: Any
    coefficients: Any
    pair_grad: Any
    sums: Any
    slot_values: Any
    slot_grad: Any
    winners: Any
    first_grad: Any
    rows: Any
    segments: Any
    order: Any
    last_row: Any
    last_entry: Any
    sample_stride: Any
    field_stride: Any
    has_slots: Any
    has_coefficients: Any
    has_pair: Any
    has_slot_values: Any
    has_grad: Any
    has_winners: Any
    has_first: Any
    weights: Any
    stride: Any
    width: Any
    dim: Any


def pack(source: RowSource, plan: RowPlan, dtype: Any) -> Source:
    """Absent parts as empty arrays. A single id always wins its own slot, so its winners say nothing."""
    return Source(
        source.fields,
        given(source.entry_slots, 1, np.int32),
        given(source.coefficients, 1, dtype),
        given(source.pair_grad, 1, dtype),
        given(source.sums, 2, dtype),
        given(source.slot_values, 2, dtype),
        given(source.slot_grad, 3, dtype),
        given(source.winners if source.entry_slots is not None else None, 2, np.int64),
        given(source.first_grad, 1, dtype),
        *plan,
    )


NO_PLAN = RowPlan(np.zeros(0, np.int32), np.zeros(1, np.int64), np.zeros(0, np.int32))


@helper
def unpack(table: Any, source: Any) -> Any:
    grad, width, has_first = source.slot_grad, table.shape[1], source.first_grad.size > 0
    return Parts(
        source.fields,
        pointer(source.entry_slots),
        pointer(source.coefficients),
        pointer(source.pair_grad),
        pointer(source.sums),
        pointer(source.slot_values),
        pointer(grad),
        pointer(source.winners),
        pointer(source.first_grad),
        pointer(source.rows),
        pointer(source.segments),
        pointer(source.order),
        len(source.rows) - 1,
        len(source.order) - 1,
        grad.strides[0] // grad.itemsize,
        grad.strides[1] // grad.itemsize,
        source.entry_slots.size > 0,
        source.coefficients.size > 0,
        source.pair_grad.size > 0,
        source.slot_values.size > 0,
        grad.size > 0,
        source.winners.size > 0,
        has_first,
        pointer(table),
        table.strides[0] // table.itemsize,
        width,
        width - 1 if has_first else width,
    )
