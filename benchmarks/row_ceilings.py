"""What memory allows kernels on rows of a large table: the bytes they cannot avoid, moved by a loop that does no more.

Rows are prefetched ``ahead`` rows before their use, ``together`` at a time; what is fastest depends on the loop and on
the CPU, so a ceiling is the fastest of its WAYS.

read    every looked-up row is read whole and summed
write   the same, and beside it the output's bytes leave by non-temporal stores, a whole line at a time
update  for each distinct row: the gradients' sources of its entries are read (the sample's sum [16] and scalar), its
        weights and its optimizer state are read and written

All run on the package's threads in pieces, with the vectors of the numba backend.
"""

from __future__ import annotations

import functools
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types

from fastfm_core import threads
from fastfm_core.backends.numba_cpu.vector import Vector, load, pointer, prefetch, store, zeros
from fastfm_core.bench.workload import FIELDS
from fastfm_core.compilation import intrinsic
from fastfm_core.contract import RowPlan

LINE = 16  # float32 of a cache line
# ahead, or ahead and together, by name
READS = {"32": (32, 1), "64": (64, 1), "64x4": (64, 4), "64x32": (64, 32)}
WAYS = {"read": READS, "write": READS, "limit": {"32": (32,), "64": (64,)}}


@intrinsic
def stream_line(typing_context: Any, target: Any, offset: Any, vector: Any) -> Any:
    """Writes 16 float32 past the caches at an element offset that lies on a cache line."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        base, offset, value = arguments
        place = builder.bitcast(builder.gep(base, [offset]), value.type.as_pointer())
        written = builder.store(value, place)
        written.align = 64
        written.set_metadata("nontemporal", builder.module.add_metadata([ir.IntType(32)(1)]))
        return context.get_dummy_value()

    return types.void(target, types.intp, Vector(types.float32)), generate


@functools.cache
def _reader(lines: int, writes: bool, distance: int, together: int) -> Any:
    """The loop for rows of so many lines, compiled for these numbers, without a trace of writing where none is."""

    @numba.njit(nogil=True, error_model="numpy")
    def read(low: int, high: int, table: Any, stride: int, ids: Any, output: Any, floats: int, sums: Any) -> None:
        rows, target, entries = pointer(table), pointer(output), pointer(ids)
        total, last = zeros(table), len(ids) - 1
        for position in range(low, high):
            if (position - low) % together == 0:
                for later in range(together):
                    ahead = np.int64(entries[min(position + later + distance, last)]) * stride
                    for line in range(lines):
                        prefetch(rows, ahead + line * LINE)
            here = np.int64(entries[position]) * stride
            for line in range(lines):
                total += load(rows, here + line * LINE, LINE)
            if writes:
                for line in range(position * floats // LINE, (position + 1) * floats // LINE):
                    stream_line(target, line * LINE, total)
        store(pointer(sums), 0, LINE, total)

    return read


def read_rows(
    table: np.ndarray, ids: np.ndarray, output: np.ndarray, floats: int, ahead: int, together: int
) -> np.ndarray:
    """Sum of the lines of table[ids], [16]; of ``output``, ``floats`` elements are written for each id.

    table [V, C] float32 in rows of whole cache lines, ids [N] int32, output [>= N * floats] float32 on a cache line
    """
    stride = table.strides[0] // table.itemsize
    pieces = 4 * threads.get_num_threads()
    sums = np.zeros((pieces, LINE), np.float32)
    cuts = np.arange(pieces + 1) * (len(ids) // LINE) // pieces * LINE  # no two pieces write to one line
    cuts[-1] = len(ids)
    read = _reader(-(-table.shape[1] // LINE), floats > 0, ahead, together)
    threads.run(pieces, lambda p: read(cuts[p], cuts[p + 1], table, stride, ids, output, floats, sums[p]))
    return sums.sum(axis=0)


@numba.njit(nogil=True, error_model="numpy")
def _update(
    low: int, high: int, distance: int, table: Any, state: Any, rows: Any, segments: Any, order: Any, sums: Any,
    scalars: Any,
) -> None:  # fmt: skip
    weights, states, sources, scalars_of = pointer(table), pointer(state), pointer(sums), pointer(scalars)
    distinct, borders, entries = pointer(rows), pointer(segments), pointer(order)
    last_row, last_entry = len(rows) - 1, len(order) - 1
    for u in range(low, high):
        ahead = np.int64(distinct[min(u + distance, last_row)]) * LINE
        prefetch(weights, ahead)
        prefetch(states, ahead)
        gradient, scalar = zeros(table), np.float32(0)
        for entry in range(borders[u], borders[u + 1]):
            prefetch(sources, np.int64(entries[min(entry + distance, last_entry)] // FIELDS) * LINE)
            sample = entries[entry] // FIELDS
            gradient += load(sources, np.int64(sample) * LINE, LINE)
            scalar += scalars_of[sample]
        here = np.int64(distinct[u]) * LINE
        store(states, here, LINE, load(states, here, LINE) + gradient)
        store(weights, here, LINE, load(weights, here, LINE) + gradient)
        if scalar > 1e30:  # never, but the scalars must be read
            table[0, 0] = scalar


def update_rows(
    table: np.ndarray, state: np.ndarray, plan: RowPlan, sums: np.ndarray, scalars: np.ndarray, ahead: int
) -> None:
    """Adds the samples' sums [B, 16] to the plan's rows of table and state [V, 16], scalars [B] read beside them."""
    pieces = 4 * threads.get_num_threads()
    cuts = np.arange(pieces + 1) * len(plan.rows) // pieces
    threads.run(pieces, lambda p: _update(cuts[p], cuts[p + 1], ahead, table, state, *plan, sums, scalars))
