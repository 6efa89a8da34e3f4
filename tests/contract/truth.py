"""Ground truth, written apart from every backend: explicit sums over entries and pairs in extended precision.

Each function takes wide inputs (``wide``) and returns its outputs as ``Expected``: the value and the magnitude, the
same sum over absolute values of its terms, which scales the rounding error a kernel may make.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastfm_core.contract import Array, Entries, RowPlan, RowSource

WIDE = np.longdouble


class Expected(NamedTuple):
    """A value, and the magnitude of its terms; magnitude None: the value is exact (integers, None)."""

    value: Any
    magnitude: Any = None


def wide(tree: Any) -> Any:
    """Every float array of a tree of dicts and named tuples in extended precision."""
    if isinstance(tree, dict):
        return {key: wide(value) for key, value in tree.items()}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*map(wide, tree))
    return tree.astype(WIDE) if isinstance(tree, np.ndarray) and tree.dtype.kind == "f" else tree


def zeros(shape: tuple[int, ...]) -> tuple[Array, Array]:
    """A value and a magnitude to add to."""
    return np.zeros(shape, WIDE), np.zeros(shape, WIDE)


def slots_of(entries: Entries) -> Array | None:
    """Slot of each entry, by counting the borders before it."""
    if entries.offsets is None:
        return None
    return np.searchsorted(entries.offsets[1:], np.arange(len(entries.ids)), side="right").astype(np.int32)


def coefficients(entries: Entries) -> Array:
    """c_i of each entry."""
    result = np.ones(len(entries.ids), WIDE) if entries.values is None else entries.values.astype(WIDE)
    if entries.offsets is None or entries.pooling not in ("mean", "sqrtn"):
        return result
    counts = np.array([len(members) for members in slot_members(entries) for _ in members], WIDE)
    return result / (counts if entries.pooling == "mean" else np.sqrt(counts))


def given_coefficients(entries: Entries, dtype: Any) -> Array | None:
    """c_i in ``dtype``, None where no value or bag size can make one differ from 1."""
    divided = entries.offsets is not None and entries.pooling in ("mean", "sqrtn")
    return coefficients(entries).astype(dtype) if divided or entries.values is not None else None


def slot_members(entries: Entries) -> list[range]:
    """The entries of each slot."""
    if entries.offsets is None:
        return [range(i, i + 1) for i in range(len(entries.ids))]
    return [range(start, end) for start, end in zip(entries.offsets, entries.offsets[1:], strict=False)]


def pooled(table: Array, entries: Entries) -> tuple[Array, Array, Array]:
    """(e [M, D], its magnitude, winners [M, D]); winners are meant for max pooling alone."""
    terms = coefficients(entries)[:, None] * table[entries.ids]
    slots = slots_of(entries)
    slots = np.arange(len(terms)) if slots is None else slots
    value, magnitude = zeros((entries.slots, table.shape[1]))
    np.add.at(magnitude, slots, np.abs(terms))
    winners = np.full(value.shape, -1, np.int64)
    if entries.pooling != "max":
        np.add.at(value, slots, terms)
        return value, magnitude, winners
    for s, members in enumerate(slot_members(entries)):
        for d in range(table.shape[1]) if members else ():
            winners[s, d] = max(members, key=lambda i: (terms[i, d], -i))
            value[s, d] = terms[winners[s, d], d]
    return value, magnitude, winners


def sample_terms(table: Array, entries: Entries) -> list[Array]:
    """The FM's terms of each sample, [T, D]: its pooled slots, or its entries with pooling="none"."""
    if entries.pooling == "none":
        terms = coefficients(entries)[:, None] * table[entries.ids]
        return [terms[members] for members in slot_members(entries)]
    return list(pooled(table, entries)[0].reshape(entries.samples, entries.fields, table.shape[1]))


def pair_sum(terms: Array) -> Any:
    """sum over t < u of <t, u>, all pairs written out."""
    return np.triu(terms @ terms.T, 1).sum()


def pair_magnitude(terms: Array) -> Any:
    """1/2 sum_d ((sum |t|)^2 + sum t^2)."""
    return ((np.abs(terms).sum(axis=0) ** 2).sum() + (terms**2).sum()) / 2


def embedding_fm(
    table: Array, linear: Array | None, entries: Entries, dense: Array | None, *, deep: bool
) -> dict[str, Expected]:
    """All outputs of the fused forward pass."""
    samples, fields, dim = entries.samples, entries.fields, table.shape[1]
    value, magnitude, winners = pooled(table, entries)
    terms = sample_terms(table, entries)
    first, first_magnitude, linear_winners = pooled(
        np.zeros((len(table), 1), WIDE) if linear is None else linear[:, None], entries
    )
    is_max = entries.pooling == "max"
    numbers = np.zeros((samples, 0), WIDE) if dense is None else dense
    by_sample = (samples, fields, dim)
    return {
        "first": Expected(first.reshape(by_sample[:2]).sum(1), first_magnitude.reshape(by_sample[:2]).sum(1)),
        "pair": Expected(np.array([*map(pair_sum, terms)], WIDE), np.array([*map(pair_magnitude, terms)], WIDE)),
        "sums": Expected(value.reshape(by_sample).sum(axis=1), magnitude.reshape(by_sample).sum(axis=1)),
        "deep": Expected(
            np.concatenate([value.reshape(samples, fields * dim), numbers], axis=1),
            np.concatenate([magnitude.reshape(samples, fields * dim), np.abs(numbers)], axis=1),
        )
        if deep
        else Expected(None),
        "winners": Expected(winners if is_max else None),
        "linear_winners": Expected(linear_winners if is_max and linear is not None else None),
    }


def slot_gradients(table: Array, ids: Array, source: RowSource) -> tuple[Array, Array]:
    """pair_grad_b (S_b - e_s) + slot_grad_s as each entry sees it, [N, D], and its magnitude; then first_grad_b."""
    vectors = table[ids] if source.first_grad is None else table[ids][:, :-1]
    own = vectors if source.coefficients is None else source.coefficients[:, None] * vectors
    value, magnitude = zeros(own.shape)
    slots = np.arange(len(ids)) if source.entry_slots is None else source.entry_slots
    sample, field = slots // source.fields, slots % source.fields
    if source.pair_grad is not None and source.sums is not None:
        e = own if source.slot_values is None else source.slot_values[slots]
        g, s = source.pair_grad[sample, None], source.sums[sample]
        value, magnitude = g * (s - e), np.abs(g) * (np.abs(s) + np.abs(e))
    if source.slot_grad is not None:
        value, magnitude = (
            value + source.slot_grad[sample, field],
            magnitude + np.abs(source.slot_grad[sample, field]),
        )
    if source.first_grad is not None:
        first = source.first_grad[sample, None]
        value, magnitude = np.hstack([value, first]), np.hstack([magnitude, np.abs(first)])
    if source.winners is not None:
        won = source.winners[slots] == np.arange(len(ids))[:, None]
        value, magnitude = value * won, magnitude * won
    return value, magnitude


def row_gradient(table: Array, plan: RowPlan, source: RowSource) -> Expected:
    """The summed gradient of each of the plan's rows."""
    ids = np.zeros(len(plan.order), plan.rows.dtype)
    ids[plan.order] = np.repeat(plan.rows, np.diff(plan.segments))
    factors = np.ones(len(ids), WIDE) if source.coefficients is None else source.coefficients
    value, magnitude = slot_gradients(table, ids, source)
    row_values, row_magnitudes = zeros(table.shape)
    np.add.at(row_values, ids, factors[:, None] * value)
    np.add.at(row_magnitudes, ids, np.abs(factors)[:, None] * magnitude)
    return Expected(row_values[plan.rows], row_magnitudes[plan.rows])


def value_gradient(table: Array, entries: Entries, source: RowSource) -> Expected:
    """Gradient by each entry's value."""
    value, magnitude = slot_gradients(table, entries.ids, source)
    factors = coefficients(entries._replace(values=None))
    rows = table[entries.ids]
    return Expected(factors * (value * rows).sum(axis=1), factors * (magnitude * np.abs(rows)).sum(axis=1))
