"""Lookup kernels: rows are read once, 32 entries ahead of their use, and summed in registers.

Formulas, shapes and dtypes: ``fastfm_core.contract``. Every output element belongs to one sample or slot and its terms
are added in the order of the entries. The source of the sum-square identity is Rendle, ICDM 2010, Lemma 3.1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfm_core.backends.numba_cpu.launch import absent, given, ranges, workspace
from fastfm_core.backends.numba_cpu.vector import fill, lanes, load, pointer, prefetch, store, total, zeros
from fastfm_core.backends.shared import pooling_coefficients
from fastfm_core.compilation import helper, kernel
from fastfm_core.contract import EmbeddingFM, Entries, is_half
from fastfm_core.errors import InputError

AHEAD = 32  # entries between the request for a row and its use


def embedding_gather(table: np.ndarray, ids: np.ndarray) -> np.ndarray:
    _refuse_halves(table)
    flat = np.ascontiguousarray(ids).reshape(-1)
    out = workspace.empty((*ids.shape, table.shape[1]), table.dtype)
    ranges(_gather, len(flat), _row_bytes(table), table, flat, out.reshape(len(flat), table.shape[1]))
    return out


def embedding_bag(table: np.ndarray, entries: Entries) -> tuple[np.ndarray, np.ndarray | None]:
    if entries.pooling == "none":
        raise InputError("embedding_bag pools: pooling='none' has no slots to pool into; use embedding_fm")
    _refuse_halves(table)
    slots, dim = entries.slots, table.shape[1]
    offsets = np.arange(slots + 1) if entries.offsets is None else entries.offsets
    out = workspace.empty((slots, dim), table.dtype)
    bytes_each = _row_bytes(table) * max(1, len(entries.ids) // max(slots, 1))
    if entries.pooling == "max":
        winners = np.empty((slots, dim), np.int64)
        values = given(entries.values, 1, table.dtype)
        ranges(_bag_max, slots, bytes_each, table, entries.ids, offsets, values, out, winners)
        return out, winners
    coefficients = given(pooling_coefficients(entries, table.dtype), 1, table.dtype)
    ranges(_bag_sum, slots, bytes_each, table, entries.ids, offsets, coefficients, out)
    return out, None


def embedding_fm(
    table: np.ndarray, linear: np.ndarray | None, entries: Entries, dense: np.ndarray | None, *, deep: bool
) -> EmbeddingFM:
    if deep and entries.pooling == "none":
        raise InputError("pooling='none' pools nothing, so there are no slots to concatenate: ask with deep=False")
    _refuse_halves(table)
    samples, fields, dim, dtype = entries.samples, entries.fields, table.shape[1], table.dtype
    numbers = given(dense if deep else None, 2, dtype)
    wide = workspace.empty_rows(samples, fields * dim + numbers.shape[1], dtype) if deep else absent(2, dtype)
    first, pair = (workspace.empty((samples,), dtype) for _ in range(2))
    sums = workspace.empty((samples, dim), dtype)
    arguments = (table, given(linear, 1, dtype), entries.ids, given(entries.offsets, 1, np.int64))
    winners = linear_winners = None
    if entries.pooling == "max":
        slots, winners = embedding_bag(table, entries)
        first[:] = 0
        if linear is not None:
            slot_first, linear_winners = embedding_bag(linear[:, None], entries)
            first[:] = slot_first.reshape(samples, fields).sum(axis=1)
        ranges(_fm_of_slots, samples, fields * _row_bytes(table), slots, fields, numbers, pair, sums, wide)
    elif entries.pooling == "none" or entries.offsets is None:
        values = given(entries.values, 1, dtype)
        bytes_each = _row_bytes(table) * max(1, len(entries.ids) // max(samples, 1))
        ranges(_fm_of_terms, samples, bytes_each, *arguments, values, fields, numbers, first, pair, sums, wide)
    else:
        coefficients = given(pooling_coefficients(entries, dtype), 1, dtype)
        bytes_each = _row_bytes(table) * max(fields, len(entries.ids) // max(samples, 1))
        ranges(_fm_of_bags, samples, bytes_each, *arguments, coefficients, fields, numbers, first, pair, sums, wide)
    return EmbeddingFM(first, pair, sums, wide if deep else None, winners, linear_winners)


def _refuse_halves(table: np.ndarray) -> None:
    if is_half(table.dtype):
        raise InputError(f"backend 'numba' reads no {table.dtype} tables; native or reference does")


def _row_bytes(table: np.ndarray) -> int:
    return table.shape[1] * table.itemsize + 16


@helper
def request_row(rows: Any, offset: Any, dim: Any) -> None:
    """Prefetch the D elements at ``offset`` of a table, given as a pointer."""
    for c in range(0, dim, lanes(rows)):
        prefetch(rows, offset + c)


@kernel
def _gather(low: Any, high: Any, table: Any, ids: Any, out: Any) -> None:
    dim, stride, last = table.shape[1], table.strides[0] // table.itemsize, len(ids) - 1
    for i in range(low, high):
        request_row(pointer(table), np.int64(ids[min(i + AHEAD, last)]) * stride, dim)
        for c in range(0, dim, lanes(table)):
            store(out, i * dim + c, dim - c, load(table, np.int64(ids[i]) * stride + c, dim - c))


@kernel
def _bag_sum(low: Any, high: Any, table: Any, ids: Any, offsets: Any, coefficients: Any, out: Any) -> None:
    dim, stride, last = table.shape[1], table.strides[0] // table.itemsize, len(ids) - 1
    for s in range(low, high):
        for i in range(offsets[s], offsets[s + 1]):
            request_row(pointer(table), np.int64(ids[min(i + AHEAD, last)]) * stride, dim)
        for c in range(0, dim, lanes(table)):
            pooled = zeros(table)
            for i in range(offsets[s], offsets[s + 1]):
                term = load(table, np.int64(ids[i]) * stride + c, dim - c)
                if coefficients.size:
                    term *= fill(table, coefficients[i])
                pooled += term
            store(out, s * dim + c, dim - c, pooled)


@kernel
def _bag_max(low: Any, high: Any, table: Any, ids: Any, offsets: Any, values: Any, out: Any, winners: Any) -> None:
    for s in range(low, high):
        for d in range(table.shape[1]):
            best, winner = table.dtype.type(0), np.int64(-1)
            for i in range(offsets[s], offsets[s + 1]):
                term = table[ids[i], d]
                if values.size:
                    term *= values[i]
                if winner < 0 or term > best:
                    best, winner = term, np.int64(i)
            out[s, d] = best
            winners[s, d] = winner


@helper
def copy(target: Any, to: Any, source: Any, start: Any, count: Any) -> None:
    """target[to : to + count] = source[start : start + count], both given as pointers."""
    for j in range(count):
        target[to + j] = source[start + j]


@kernel
def _fm_of_terms(
    low: Any, high: Any, table: Any, linear: Any, ids: Any, offsets: Any, values: Any, fields: Any, numbers: Any,
    first: Any, pair: Any, sums: Any, wide: Any,
) -> None:  # fmt: skip
    """Every entry is a term of its own: single ids (no offsets, entry b*F+f) and pooling="none"."""
    dim, stride, last = table.shape[1], table.strides[0] // table.itemsize, len(ids) - 1
    linear_stride, wide_stride = linear.strides[0] // linear.itemsize, wide.strides[0] // wide.itemsize
    extra = numbers.shape[1]
    for b in range(low, high):
        start = offsets[b] if offsets.size else b * fields
        stop = offsets[b + 1] if offsets.size else start + fields
        weight = table.dtype.type(0)
        for i in range(start, stop):
            ahead = np.int64(ids[min(i + AHEAD, last)])
            request_row(pointer(table), ahead * stride, dim)
            if linear.size:
                prefetch(linear, ahead * linear_stride)
                weight += linear[ids[i]] * values[i] if values.size else linear[ids[i]]
        squares = zeros(table)
        for c in range(0, dim, lanes(table)):
            sum_, own = zeros(table), zeros(table)
            for i in range(start, stop):
                term = load(table, np.int64(ids[i]) * stride + c, dim - c)
                if values.size:
                    term *= fill(table, values[i])
                if wide.size:
                    store(wide, b * wide_stride + (i - start) * dim + c, dim - c, term)
                sum_ += term
                own += term * term
            store(sums, b * dim + c, dim - c, sum_)
            squares += sum_ * sum_ - own
        first[b] = weight
        pair[b] = table.dtype.type(0.5) * total(squares)
        copy(pointer(wide), b * wide_stride + fields * dim, pointer(numbers), b * extra, extra)


@kernel
def _fm_of_bags(
    low: Any, high: Any, table: Any, linear: Any, ids: Any, offsets: Any, coefficients: Any, fields: Any, numbers: Any,
    first: Any, pair: Any, sums: Any, wide: Any,
) -> None:  # fmt: skip
    """Entries are pooled into their field's slot with their coefficients; the FM is over slots."""
    dim, stride, last = table.shape[1], table.strides[0] // table.itemsize, len(ids) - 1
    linear_stride, wide_stride = linear.strides[0] // linear.itemsize, wide.strides[0] // wide.itemsize
    extra = numbers.shape[1]
    for b in range(low, high):
        weight = table.dtype.type(0)
        for f in range(fields):
            pooled_weight = table.dtype.type(0)
            for i in range(offsets[b * fields + f], offsets[b * fields + f + 1]):
                ahead = np.int64(ids[min(i + AHEAD, last)])
                request_row(pointer(table), ahead * stride, dim)
                if linear.size:
                    prefetch(linear, ahead * linear_stride)
                    pooled_weight += linear[ids[i]] * coefficients[i] if coefficients.size else linear[ids[i]]
            weight += pooled_weight
        squares = zeros(table)
        for c in range(0, dim, lanes(table)):
            sum_, own = zeros(table), zeros(table)
            for f in range(fields):
                pooled = zeros(table)
                for i in range(offsets[b * fields + f], offsets[b * fields + f + 1]):
                    term = load(table, np.int64(ids[i]) * stride + c, dim - c)
                    if coefficients.size:
                        term *= fill(table, coefficients[i])
                    pooled += term
                if wide.size:
                    store(wide, b * wide_stride + f * dim + c, dim - c, pooled)
                sum_ += pooled
                own += pooled * pooled
            store(sums, b * dim + c, dim - c, sum_)
            squares += sum_ * sum_ - own
        first[b] = weight
        pair[b] = table.dtype.type(0.5) * total(squares)
        copy(pointer(wide), b * wide_stride + fields * dim, pointer(numbers), b * extra, extra)


@kernel
def _fm_of_slots(low: Any, high: Any, slots: Any, fields: Any, numbers: Any, pair: Any, sums: Any, wide: Any) -> None:
    """FM over given slot vectors [M, D]."""
    dim, extra, wide_stride = slots.shape[1], numbers.shape[1], wide.strides[0] // wide.itemsize
    for b in range(low, high):
        squares = zeros(slots)
        for c in range(0, dim, lanes(slots)):
            sum_, own = zeros(slots), zeros(slots)
            for f in range(fields):
                term = load(slots, (b * fields + f) * dim + c, dim - c)
                if wide.size:
                    store(wide, b * wide_stride + f * dim + c, dim - c, term)
                sum_ += term
                own += term * term
            store(sums, b * dim + c, dim - c, sum_)
            squares += sum_ * sum_ - own
        pair[b] = slots.dtype.type(0.5) * total(squares)
        copy(pointer(wide), b * wide_stride + fields * dim, pointer(numbers), b * extra, extra)
