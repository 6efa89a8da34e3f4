"""Lazy row gradients: summed row by row in the plan's order and consumed at once; nothing of size [N, D] is written.

dv_i = c_i (pair_grad_b (sums_b - e_s) + slot_grad_s), and dw_i = c_i first_grad_b for a first-order weight w behind
v_i in the row, see ``fastfm_core.contract.RowSource``. Without saved slot values the terms -pair_grad_b c_i^2 v of a
row are collected as one factor of the row itself. Rows are independent of each other, so cuts between them change no
bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfm_core import threads
from fastfm_core.backends.numba_cpu.launch import given, piece_count, ranges, workspace
from fastfm_core.backends.numba_cpu.lookup import request_row
from fastfm_core.backends.numba_cpu.packing import NO_PLAN, pack, unpack
from fastfm_core.backends.numba_cpu.vector import LINE, fill, lanes, load, number, pointer, store, total, zeros
from fastfm_core.backends.shared import pooling_factors
from fastfm_core.compilation import helper, kernel
from fastfm_core.contract import Entries, RowPlan, RowSource

GRADIENT_AHEAD = 16  # entries between the request for an entry's gradient and its use
ROW_AHEAD = 8  # distinct rows between the request for a row and its update


def materialize_rows(table: np.ndarray, plan: RowPlan, source: RowSource) -> np.ndarray:
    out = workspace.empty((len(plan.rows), table.shape[1]), table.dtype)
    over_rows(_materialize, table, plan, source, out)
    return out


def row_gradient_norm2(table: np.ndarray, plan: RowPlan, source: RowSource) -> float:
    squares = workspace.empty((len(plan.rows),), np.float64)
    over_rows(_norm2, table, plan, source, squares)
    return float(squares.sum())


def value_gradient(table: np.ndarray, entries: Entries, source: RowSource) -> np.ndarray:
    out = workspace.empty((len(entries.ids),), table.dtype)
    factors = given(pooling_factors(entries, table.dtype), 1, table.dtype)
    packed, bytes_each = pack(source, NO_PLAN, table.dtype), 2 * table.shape[1] * table.itemsize
    ranges(_value_gradient, len(out), bytes_each, table, entries.ids, packed, factors, out)
    return out


def over_rows(kernel: Any, table: np.ndarray, plan: RowPlan, source: RowSource, *arguments: Any) -> None:
    """Run a kernel over the plan's rows, cut where the number of entries is about equal."""
    packed, entries = pack(source, plan, table.dtype), len(plan.order)
    pieces = min(piece_count(entries, table.shape[1] * table.itemsize + 32), max(1, len(plan.rows)))
    cuts = np.searchsorted(plan.segments, np.arange(pieces + 1) * entries // pieces)
    cuts[-1] = len(plan.rows)
    threads.run(pieces, lambda p: kernel(cuts[p], cuts[p + 1], table, packed, *arguments))


@helper
def row_scratch(table: Any) -> Any:
    """Scratch of a row's width that starts on a cache line. Use the array itself in the loop: it is freed after its
    last use."""
    raw = np.empty(table.shape[1] + lanes(table), table.dtype)
    start = (-raw.ctypes.data) % LINE // table.itemsize
    return raw[start : start + table.shape[1]]


@helper
def _slot(parts: Any, i: Any) -> Any:
    return np.int64(parts.entry_slots[i]) if parts.has_slots else np.int64(i)


@helper
def _sample(parts: Any, slot: Any) -> Any:
    return np.int64(np.uint32(slot) // np.uint32(parts.fields))  # 32-bit division is several times faster


@helper
def _grad_offset(parts: Any, slot: Any, b: Any) -> Any:
    return b * parts.sample_stride + (slot - b * parts.fields) * parts.field_stride


@helper
def row_ahead(parts: Any, u: Any) -> Any:
    """The row that is updated some rows after distinct row u."""
    return np.int64(parts.rows[min(u + ROW_AHEAD, parts.last_row)])


@helper
def _request_gradient(parts: Any, j: Any) -> None:
    """Prefetch the slot gradient of an entry that is summed some entries later, be it this row's or another's."""
    slot = _slot(parts, parts.order[min(j + GRADIENT_AHEAD, parts.last_entry)])
    offset = _grad_offset(parts, slot, _sample(parts, slot))
    request_row(parts.slot_grad, offset, parts.dim)


@helper
def _slot_gradient(parts: Any, slot: Any, b: Any, c: Any) -> Any:
    """One vector of pair_grad_b (sums_b - e_s) + slot_grad_s, without e_s where slot values were not saved."""
    dim = parts.dim
    gradient = zeros(parts.weights)
    if parts.has_pair:
        gradient = load(parts.sums, b * dim + c, dim - c)
        if parts.has_slot_values:
            gradient -= load(parts.slot_values, slot * dim + c, dim - c)
        gradient *= fill(parts.weights, parts.pair_grad[b])
    if parts.has_grad:
        gradient += load(parts.slot_grad, _grad_offset(parts, slot, b) + c, dim - c)
    return gradient


@helper
def sum_row(parts: Any, u: Any, scratch: Any) -> None:
    """scratch[:D] = the summed gradient of distinct row u, scratch[D] that of its first-order weight, if it has one.

    scratch is a pointer. The first vector's pass, which D = 0 has too, adds up the first order.
    """
    if parts.has_winners:
        _sum_winners(parts, u, scratch)
        return
    dim, row = parts.dim, np.int64(parts.rows[u]) * parts.stride
    own_terms = parts.has_pair and not parts.has_slot_values
    first = number(parts.weights, 0)
    for c in range(0, max(dim, 1), lanes(parts.weights)):
        sum_, own = zeros(parts.weights), number(parts.weights, 0)
        for j in range(parts.segments[u], parts.segments[u + 1]):
            if c == 0 and parts.has_grad:
                _request_gradient(parts, j)
            i = parts.order[j]
            slot = _slot(parts, i)
            b = _sample(parts, slot)
            gradient = _slot_gradient(parts, slot, b, c)
            coefficient = number(parts.weights, 1)
            if parts.has_coefficients:
                coefficient = parts.coefficients[i]
                gradient *= fill(parts.weights, coefficient)
            if own_terms:
                own += parts.pair_grad[b] * coefficient * coefficient
            if c == 0 and parts.has_first:
                first += parts.first_grad[b] * coefficient
            sum_ += gradient
        if own_terms:
            sum_ -= fill(parts.weights, own) * load(parts.weights, row + c, dim - c)
        store(scratch, c, dim - c, sum_)
    if parts.has_first:
        scratch[dim] = first


@helper
def _sum_winners(parts: Any, u: Any, scratch: Any) -> None:
    """Max pooling: an entry gets a column's gradient where it won that column of its slot."""
    for d in range(parts.width):
        sum_ = number(parts.weights, 0)
        for j in range(parts.segments[u], parts.segments[u + 1]):
            i = parts.order[j]
            slot = _slot(parts, i)
            if parts.winners[slot * parts.width + d] == i:
                gradient = _winner_gradient(parts, slot, d)
                sum_ += gradient * parts.coefficients[i] if parts.has_coefficients else gradient
        scratch[d] = sum_


@helper
def _winner_gradient(parts: Any, slot: Any, d: Any) -> Any:
    b = _sample(parts, slot)
    if d == parts.dim:
        return parts.first_grad[b]
    gradient = number(parts.weights, 0)
    if parts.has_pair:
        gradient += parts.pair_grad[b] * (parts.sums[b * parts.dim + d] - parts.slot_values[slot * parts.dim + d])
    if parts.has_grad:
        gradient += parts.slot_grad[_grad_offset(parts, slot, b) + d]
    return gradient


@kernel
def _materialize(low: Any, high: Any, table: Any, source: Any, out: Any) -> None:
    parts, scratch, dim = unpack(table, source), row_scratch(table), table.shape[1]
    for u in range(low, high):
        request_row(parts.weights, row_ahead(parts, u) * parts.stride, dim)
        sum_row(parts, u, pointer(scratch))
        for c in range(0, dim, lanes(table)):
            store(out, u * dim + c, dim - c, load(scratch, c, dim - c))


@kernel
def _norm2(low: Any, high: Any, table: Any, source: Any, squares: Any) -> None:
    parts, scratch = unpack(table, source), row_scratch(table)
    for u in range(low, high):
        request_row(parts.weights, row_ahead(parts, u) * parts.stride, parts.width)
        sum_row(parts, u, pointer(scratch))
        squares[u] = 0.0
        for d in range(len(scratch)):
            squares[u] += np.float64(scratch[d]) * np.float64(scratch[d])


@kernel
def _value_gradient(low: Any, high: Any, table: Any, ids: Any, source: Any, factors: Any, out: Any) -> None:
    parts = unpack(table, source)
    for i in range(low, high):
        row = np.int64(ids[i]) * parts.stride
        slot = _slot(parts, i)
        product = _winner_product(parts, row, slot, i) if parts.has_winners else _product(parts, row, slot, i)
        out[i] = product * factors[i] if factors.size else product


@helper
def _product(parts: Any, row: Any, slot: Any, i: Any) -> Any:
    """<gradient of the entry's term, its row>."""
    b = _sample(parts, slot)
    sum_ = zeros(parts.weights)
    own = number(parts.weights, 0)
    if parts.has_pair and not parts.has_slot_values:
        own = parts.pair_grad[b] * parts.coefficients[i] if parts.has_coefficients else parts.pair_grad[b]
    for c in range(0, parts.dim, lanes(parts.weights)):
        vector = load(parts.weights, row + c, parts.dim - c)
        sum_ += (_slot_gradient(parts, slot, b, c) - vector * fill(parts.weights, own)) * vector
    product = total(sum_)
    return product + parts.first_grad[b] * parts.weights[row + parts.dim] if parts.has_first else product


@helper
def _winner_product(parts: Any, row: Any, slot: Any, i: Any) -> Any:
    product = number(parts.weights, 0)
    for d in range(parts.width):
        if parts.winners[slot * parts.width + d] == i:
            product += _winner_gradient(parts, slot, d) * parts.weights[row + d]
    return product
