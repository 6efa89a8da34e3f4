"""Row plans: ids -> distinct rows, segments and order, by one stable partition and a radix sort of each bucket.

A key is (row << 32) | position, so the result is *the* sorted order and no cut into pieces can change it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfm_core import threads
from fastfm_core.backends.numba_cpu.launch import piece_count, ranges, workspace
from fastfm_core.backends.shared import KEY_ROWS, plan_by_comparison
from fastfm_core.compilation import helper, kernel
from fastfm_core.contract import RowPlan

_BUCKET_BITS = 8
_DIGIT_BITS = 8


def plan_rows(ids: np.ndarray, table_rows: int) -> RowPlan:
    if table_rows > KEY_ROWS or len(ids) >= KEY_ROWS:
        return plan_by_comparison(ids)
    ids = np.ascontiguousarray(ids)
    count, bits = len(ids), max(1, (table_rows - 1).bit_length())
    shift = max(0, bits - _BUCKET_BITS)
    pieces, buckets = piece_count(count, 16), 1 << (bits - shift)
    cuts = np.arange(pieces + 1) * count // pieces
    histograms = np.zeros((pieces, buckets), np.int64)
    threads.run(pieces, lambda p: _count(ids, cuts[p], cuts[p + 1], shift, histograms[p]))
    ends = histograms.T.ravel().cumsum()
    starts = np.ascontiguousarray((ends - histograms.T.ravel()).reshape(buckets, pieces).T)
    borders = np.append(starts[0], count)
    keys, spare = (workspace.empty((count,), np.uint64) for _ in range(2))
    threads.run(pieces, lambda p: _scatter(ids, cuts[p], cuts[p + 1], shift, starts[p], keys))

    order = workspace.empty((count,), np.int32)
    distinct = np.zeros(buckets + 1, np.int64)
    bytes_each = 16 * max(1, count // buckets)
    ranges(_sort_buckets, buckets, bytes_each, borders, shift, keys, spare, order, distinct[1:])
    distinct = distinct.cumsum()
    rows = workspace.empty((int(distinct[-1]),), ids.dtype)
    segments = workspace.empty((len(rows) + 1,), np.int64)
    segments[-1] = count
    ranges(_write_segments, buckets, bytes_each, borders, keys, distinct, rows, segments)
    return RowPlan(rows, segments, order)


@kernel
def _count(ids: Any, low: Any, high: Any, shift: Any, histogram: Any) -> None:
    for i in range(low, high):
        histogram[ids[i] >> shift] += 1


@kernel
def _scatter(ids: Any, low: Any, high: Any, shift: Any, starts: Any, keys: Any) -> None:
    for i in range(low, high):
        bucket = ids[i] >> shift
        keys[starts[bucket]] = (np.uint64(ids[i]) << np.uint64(32)) | np.uint64(i)
        starts[bucket] += 1


@kernel
def _sort_buckets(
    low: Any, high: Any, borders: Any, shift: Any, keys: Any, spare: Any, order: Any, distinct: Any
) -> None:
    histogram = np.empty(1 << _DIGIT_BITS, np.int64)
    for bucket in range(low, high):
        start, stop = borders[bucket], borders[bucket + 1]
        if stop - start > 1:
            _sort(keys[start:stop], spare[start:stop], shift, histogram)
        found = 0
        for i in range(start, stop):
            order[i] = np.int32(keys[i] & np.uint64(0xFFFFFFFF))
            if i == start or keys[i] >> np.uint64(32) != keys[i - 1] >> np.uint64(32):
                found += 1
        distinct[bucket] = found


@helper
def _sort(keys: Any, spare: Any, bits: Any, histogram: Any) -> None:
    """Sort by the row's lowest ``bits`` bits: insertion for a few keys, else least-significant digit first; stable."""
    if len(keys) <= 24:
        for i in range(1, len(keys)):
            key, j = keys[i], i
            while j > 0 and keys[j - 1] > key:
                keys[j] = keys[j - 1]
                j -= 1
            keys[j] = key
        return
    source, target = keys, spare
    passes = (bits + _DIGIT_BITS - 1) // _DIGIT_BITS
    for digit in range(passes):
        _radix_pass(source, target, np.uint64(32 + digit * _DIGIT_BITS), histogram)
        source, target = target, source
    if passes % 2 == 1:
        keys[:] = spare


@helper
def _radix_pass(source: Any, target: Any, shift: Any, histogram: Any) -> None:
    mask = np.uint64((1 << _DIGIT_BITS) - 1)
    histogram[:] = 0
    for i in range(len(source)):
        histogram[np.int64((source[i] >> shift) & mask)] += 1
    place = 0
    for digit in range(len(histogram)):
        size = histogram[digit]
        histogram[digit] = place
        place += size
    for i in range(len(source)):
        digit = np.int64((source[i] >> shift) & mask)
        target[histogram[digit]] = source[i]
        histogram[digit] += 1


@kernel
def _write_segments(low: Any, high: Any, borders: Any, keys: Any, distinct: Any, rows: Any, segments: Any) -> None:
    for bucket in range(low, high):
        u = distinct[bucket]
        for i in range(borders[bucket], borders[bucket + 1]):
            row = keys[i] >> np.uint64(32)
            if i == borders[bucket] or row != keys[i - 1] >> np.uint64(32):
                rows[u] = row
                segments[u] = i
                u += 1
