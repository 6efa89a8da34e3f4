"""Lookup and pooling: the kernels of lookup.cu. Shapes and formulas: ``fastfm_core.contract``."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfm_core.backends.cuda.device import (
    blocks_for,
    column_vectors,
    instance,
    lanes_for,
    launch,
    row_stride,
    xp,
)
from fastfm_core.backends.cuda.memory import rows_before_zeros
from fastfm_core.backends.cuda.plan import INTEGERS
from fastfm_core.contract import EmbeddingFM, Entries, is_half
from fastfm_core.errors import InputError

# What a table stores, what is computed in, columns at a time.
STORED = (
    *(("float32", "float32", 4), ("float32", "float32", 1), ("float64", "float64", 1)),
    *((half, "float32", v) for half in ("float16", "bfloat16") for v in (4, 1)),
)
INSTANCES = {
    "lookup.cu": [
        *(
            instance(kernel, s, t, i, v)
            for kernel in ("embedding_fm", "embedding_bag")
            for s, t, v in STORED
            for i in INTEGERS
        ),
        *(instance("embedding_max", t, i) for t in ("float32", "float64") for i in INTEGERS),
        *(instance("describe_entries", t) for t in ("float32", "float64")),
    ]
}


def embedding_gather(table: Any, ids: Any) -> Any:
    return _pool(table, ids.reshape(-1), None, None).reshape(*ids.shape, table.shape[1])


def embedding_bag(table: Any, entries: Entries) -> tuple[Any, Any]:
    if entries.pooling == "none":
        raise InputError("embedding_bag pools: pooling='none' has no slots to pool into; use embedding_fm")
    if entries.pooling != "max":
        coefficients = pooling_coefficients(entries, _computed(table.dtype))
        return _pool(table, entries.ids, entries.offsets, coefficients), None
    slots, dim = entries.slots, table.shape[1]
    out, winners = xp.empty((slots, dim), table.dtype), xp.empty((slots, dim), np.int64)
    launch(
        "lookup.cu", instance("embedding_max", table.dtype, entries.ids.dtype), blocks_for(slots * dim), table,
        row_stride(table), entries.ids, entries.offsets, entries.values, slots, dim, out, winners,
    )  # fmt: skip
    return out, winners


def embedding_fm(table: Any, linear: Any, entries: Entries, dense: Any, *, deep: bool) -> EmbeddingFM:
    if deep and entries.pooling == "none":
        raise InputError("pooling='none' pools nothing, so there are no slots to concatenate: ask with deep=False")
    if entries.pooling == "max":
        return _fm_of_largest(table, linear, entries, dense, deep)
    coefficients = pooling_coefficients(entries, _computed(table.dtype))
    return _fm(table, linear, entries, coefficients, dense, deep)


def entry_slots(entries: Entries) -> Any:
    if entries.offsets is None:
        return None
    slots = xp.empty(len(entries.ids), np.int32)
    _describe(entries, np.float32, None, slots, None)
    return slots


def pooling_coefficients(entries: Entries, dtype: Any) -> Any:
    values = None if entries.values is None else entries.values.astype(dtype, copy=False)
    if entries.offsets is None or entries.pooling not in ("mean", "sqrtn"):
        return values
    coefficients = xp.empty(len(entries.ids), dtype)
    _describe(entries, dtype, values, None, coefficients)
    return coefficients


def pooling_factors(entries: Entries, dtype: Any) -> Any:
    """p_i = dc_i/dx_i of each entry; None where all are 1."""
    return pooling_coefficients(entries._replace(values=None), dtype)


def _describe(entries: Entries, dtype: Any, values: Any, slots: Any, coefficients: Any) -> None:
    count, root = len(entries.ids), entries.pooling == "sqrtn"
    name = instance("describe_entries", dtype)
    arguments = entries.offsets, entries.slots, values, count, root, slots, coefficients
    launch("lookup.cu", name, blocks_for(count), *arguments)


def _computed(dtype: Any) -> Any:
    """The dtype that is computed in."""
    return np.dtype(np.float32) if is_half(dtype) else dtype


def _pool(table: Any, ids: Any, offsets: Any, coefficients: Any) -> Any:
    slots, dim = len(ids) if offsets is None else len(offsets) - 1, table.shape[1]
    out = xp.empty((slots, dim), _computed(table.dtype))
    vectors = column_vectors(dim, table, out)
    lanes = lanes_for(dim, vectors)
    launch(
        "lookup.cu", instance("embedding_bag", table.dtype, out.dtype, ids.dtype, vectors), blocks_for(slots * lanes),
        table, row_stride(table), ids, offsets, coefficients, slots, dim, out, lanes,
    )  # fmt: skip
    return out


def _fm(table: Any, linear: Any, entries: Entries, coefficients: Any, dense: Any, deep: bool) -> EmbeddingFM:
    """Outputs without winners."""
    samples, fields, dim, dtype = entries.samples, entries.fields, table.shape[1], _computed(table.dtype)
    numbers = 0 if dense is None or not deep else dense.shape[1]
    first, pair = xp.empty(samples, dtype), xp.empty(samples, dtype)
    sums = xp.empty((samples, dim), dtype)
    wide = rows_before_zeros(samples, fields * dim + numbers, dtype) if deep else None
    vectors = column_vectors(dim, table, sums)
    lanes, terms = lanes_for(dim, vectors), entries.pooling == "none"
    ids = entries.ids
    launch(
        "lookup.cu", instance("embedding_fm", table.dtype, dtype, ids.dtype, vectors), blocks_for(samples * lanes),
        table, row_stride(table), linear, row_stride(linear), ids, entries.offsets, coefficients, samples, fields, dim,
        terms, dense if numbers else None, numbers, first, pair, sums, wide if fields * dim + numbers else None,
        row_stride(wide), lanes,
    )  # fmt: skip
    return EmbeddingFM(first, pair, sums, wide, None, None)


def _fm_of_largest(table: Any, linear: Any, entries: Entries, dense: Any, deep: bool) -> EmbeddingFM:
    """The pooled slots are looked up again, each as a row of its own."""
    slots, winners = embedding_bag(table, entries)
    largest = linear_winners = None
    if linear is not None:
        largest, linear_winners = embedding_bag(linear[:, None], entries)
        largest = largest[:, 0]
    each = Entries(xp.arange(entries.slots, dtype=np.int32), entries.fields)
    out = _fm(slots, largest, each, None, dense, deep)
    return out._replace(winners=winners, linear_winners=linear_winners)
