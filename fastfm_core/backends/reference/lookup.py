"""Lookup, pooling and the fused lookup + first order + FM, one slot at a time.

e_s = sum_i c_i v_i over the entries of slot s (per dim max_i x_i v_i under max pooling; an empty slot is 0),
pair_b = 1/2 (|S_b|^2 - sum_t |t|^2) over the sample's terms t: its pooled slots, or its entries with pooling="none".
Shapes and dtypes: ``fastfm_core.contract``. Rendle, "Factorization Machines", ICDM 2010, Lemma 3.1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfm_core.contract import Array, EmbeddingFM, Entries, is_half
from fastfm_core.errors import InputError


def embedding_gather(table: Array, ids: Array) -> Array:
    """table[ids]."""
    return _widened(table)[ids]


def embedding_bag(table: Array, entries: Entries) -> tuple[Array, Array | None]:
    """Pooled rows [M, D], and under max pooling the entry that won each dim."""
    if entries.pooling == "none":
        raise InputError('embedding_bag pools, so pooling="none" has no meaning; use embedding_gather or embedding_fm')
    return _pool(_widened(table), entries)


def embedding_fm(
    table: Array, linear: Array | None, entries: Entries, dense: Array | None, *, deep: bool
) -> EmbeddingFM:
    """First order, FM pairs and the concatenation for the deep part."""
    if entries.pooling == "none" and deep:
        raise InputError('pooling="none" has no field vectors to concatenate; pass deep=False or pool the entries')
    table = _widened(table)
    samples, width = entries.samples, entries.fields * table.shape[1]
    slot_values, winners = _pool(table, entries)
    first, linear_winners = np.zeros(samples, table.dtype), None
    if linear is not None:
        slot_weights, linear_winners = _pool(_widened(linear)[:, None], entries)
        first = slot_weights.reshape(samples, entries.fields).sum(axis=1)
    sums, squares = np.zeros((2, samples, table.shape[1]), table.dtype)
    for b, term in _terms(table, entries, slot_values):
        sums[b] += term
        squares[b] += term * term
    pair = (sums * sums - squares).sum(axis=1) / 2
    if not deep:
        return EmbeddingFM(first, pair, sums, None, winners, linear_winners)
    numbers = np.zeros((samples, 0), table.dtype) if dense is None else dense
    side_by_side = np.concatenate([slot_values.reshape(samples, width), numbers], axis=1)
    return EmbeddingFM(first, pair, sums, side_by_side, winners, linear_winners)


def entry_slots(entries: Entries) -> Array | None:
    """The slot of each entry."""
    if entries.offsets is None:
        return None
    return np.repeat(np.arange(entries.slots, dtype=np.int32), np.diff(entries.offsets))


def pooling_coefficients(entries: Entries, dtype: Any) -> Array | None:
    """c_i of each entry: x_i, divided by n or sqrt(n) of its slot under mean and sqrtn."""
    values = None if entries.values is None else entries.values.astype(dtype)
    if entries.offsets is None or entries.pooling not in ("mean", "sqrtn"):
        return values
    counts = np.diff(entries.offsets)[entry_slots(entries)].astype(dtype)
    return (1 if values is None else values) / (counts if entries.pooling == "mean" else np.sqrt(counts))


def _widened(table: Array) -> Array:
    """A table of halves in float32; any other as it is."""
    return table.astype(np.float32) if is_half(table.dtype) else table


def _entry_terms(table: Array, entries: Entries) -> Array:
    """c_i v_i of each entry, [N, D]."""
    coefficients = pooling_coefficients(entries, table.dtype)
    rows = table[entries.ids]
    return rows if coefficients is None else coefficients[:, None] * rows


def _pool(table: Array, entries: Entries) -> tuple[Array, Array | None]:
    """e [M, D] and, under max pooling, winners [M, D]; pooling="none" adds its entries up like sum."""
    terms, dim = _entry_terms(table, entries), table.shape[1]
    offsets = np.arange(len(entries.ids) + 1) if entries.offsets is None else entries.offsets
    pooled = np.zeros((entries.slots, dim), table.dtype)
    if entries.pooling != "max":
        for s in range(entries.slots):
            for i in range(offsets[s], offsets[s + 1]):
                pooled[s] += terms[i]
        return pooled, None
    winners = np.full((entries.slots, dim), -1, np.int64)
    for s in range(entries.slots):
        if offsets[s] < offsets[s + 1]:
            bag = terms[offsets[s] : offsets[s + 1]]
            pooled[s] = bag.max(axis=0)
            winners[s] = offsets[s] + bag.argmax(axis=0)
    return pooled, winners


def _terms(table: Array, entries: Entries, slot_values: Array) -> list[tuple[int, Array]]:
    """The FM's terms, each with its sample: every pooled slot, or every entry with pooling="none"."""
    if entries.pooling != "none":
        return [(s // entries.fields, e) for s, e in enumerate(slot_values)]
    slots = entry_slots(entries)
    samples = range(len(entries.ids)) if slots is None else slots.tolist()
    return list(zip(samples, _entry_terms(table, entries), strict=True))
