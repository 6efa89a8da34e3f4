"""Row plans on the device: a batch's ids sorted, by as many passes of a radix sort as the table's rows have bytes.

How many distinct rows there are is known on the device alone, so the plan of a batch is the sorted ids themselves.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from fastfm_core.backends.cuda.device import blocks_for, instance, launch, xp
from fastfm_core.contract import EveryRow, RowPlan
from fastfm_core.errors import InputError

INTEGERS = ("int32", "int64")
INSTANCES = {
    "plan.cu": [
        "scan_counts",
        *(instance(name, key) for name in ("count_digits", "move_pairs") for key in (*INTEGERS, "uint32")),
        *(instance("spell_out_rows", ids) for ids in INTEGERS),
    ]
}
TILE = 4096  # pairs a block sorts, as in plan.cu
DIGITS = 256
LIMIT = 1 << 32  # rows are sorted as 32 bits


class SortedRows:
    """What stands for a ``RowPlan`` on the device.

    keys   [N] uint32, the entries' rows, ascending
    order  [N] uint32, the entry of each key, ascending within a row

    ``rows`` and ``segments``, as a RowPlan has them, are made when they are asked for, and wait for the device then.
    """

    def __init__(self, keys: Any, order: Any, ids_dtype: Any) -> None:
        self.keys, self.order, self._ids_dtype = keys, order, ids_dtype

    @property
    def touched(self) -> Any:
        """The rows, ascending, each as often as it occurs."""
        return self.keys

    @property
    def rows(self) -> Any:
        """[U] distinct rows, ascending."""
        return self.keys[self._starts].astype(self._ids_dtype)

    @property
    def segments(self) -> Any:
        """[U + 1] int64."""
        return xp.concatenate([self._starts, xp.full(1, len(self.keys))]).astype(np.int64)

    @functools.cached_property
    def _starts(self) -> Any:
        first = xp.ones(min(len(self.keys), 1), bool)
        return xp.flatnonzero(xp.concatenate([first, self.keys[1:] != self.keys[:-1]]))


def plan_rows(ids: Any, table_rows: int) -> SortedRows:
    """The ids, in order; rows beyond 32 bits are refused."""
    if table_rows > LIMIT:
        raise InputError(f"a table on the device has at most {LIMIT} rows, this one {table_rows}")
    count, tiles = len(ids), blocks_for(len(ids), TILE)
    counts, totals = xp.empty((DIGITS, tiles), np.uint32), xp.empty(DIGITS, np.uint32)
    keys, order = ids, None
    for shift in range(0, max((table_rows - 1).bit_length(), 1), 8):
        moved = xp.empty(count, np.uint32), xp.empty(count, np.uint32)
        kind = np.dtype(keys.dtype).name
        launch("plan.cu", instance("count_digits", kind), tiles, keys, count, shift, tiles, counts)
        launch("plan.cu", "scan_counts", DIGITS if tiles else 0, counts, tiles, totals)
        move = instance("move_pairs", kind)
        launch("plan.cu", move, tiles, keys, order, count, shift, tiles, counts, totals, *moved)
        keys, order = moved
    return SortedRows(keys, order, ids.dtype)


def merge_plans(plans: list[Any]) -> tuple[Any, list[Any]]:
    """The union of the plans' rows; waits for the device."""
    rows = [plan.rows for plan in plans]
    union = xp.unique(xp.concatenate(rows))
    return union, [xp.searchsorted(union, of).astype(np.int64) for of in rows]


def sorted_pairs(plan: Any) -> tuple[Any, Any, int]:
    """Any plan as (keys, entries, their number); None for both arrays where each row occurs once, as its own entry."""
    if isinstance(plan, EveryRow):
        return None, None, len(plan.order)
    if isinstance(plan, RowPlan):
        count = len(plan.order)
        keys = xp.empty(count, np.uint32)
        spell = instance("spell_out_rows", plan.rows.dtype)
        launch("plan.cu", spell, blocks_for(count), plan.rows, plan.segments, len(plan.rows), count, keys)
        return keys, plan.order, count
    return plan.keys, plan.order, len(plan.keys)
