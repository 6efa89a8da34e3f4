"""Encoded samples: batches cut from them equal a naive loop, and wrong ids never get in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastfm_core.contract import Batch
from fastfm_core.data import Encoded, Encoder
from fastfm_core.data.encoded import concatenated
from fastfm_core.errors import InputError

from .tables import FLAT_SCHEMA, MIXED_SCHEMA, tables

UNKNOWN = np.zeros(2, np.int64)


def slot_entries(encoded: Encoded, row: int) -> list[list[tuple[int, float]]]:
    """(id, value) pairs of each slot of one sample, read one by one."""
    slots = []
    ids, values = encoded.ids.reshape(-1), encoded.values
    for slot in range(row * encoded.fields, (row + 1) * encoded.fields):
        begin, end = (slot, slot + 1) if encoded.offsets is None else encoded.offsets[slot : slot + 2]
        weights = np.ones(end - begin) if values is None else values.reshape(-1)[begin:end]
        slots.append(list(zip(ids[begin:end].tolist(), weights.tolist(), strict=True)))
    return slots


def batch_slots(batch: Batch) -> list[list[list[tuple[int, float]]]]:
    entries = batch.entries
    whole = Encoded(
        entries.ids if entries.offsets is not None else entries.ids.reshape(-1, entries.fields),
        int(entries.ids.max(initial=0)) + 1,
        entries.fields,
        UNKNOWN,
        offsets=entries.offsets,
        values=entries.values,
    )
    return [slot_entries(whole, row) for row in range(entries.samples)]


@given(tables(st.integers(1, 12)), st.sampled_from([MIXED_SCHEMA, FLAT_SCHEMA]), st.data())
def test_take_equals_a_naive_loop(table, schema, data: st.DataObject) -> None:
    count = len(table["color"])
    labels = np.arange(count, dtype=np.float32)
    encoded = Encoder.fit(table, schema, min_count=1).transform(table, labels, labels * 2)
    rows = np.array(data.draw(st.lists(st.integers(0, count - 1), max_size=20)), np.int64)
    batch = encoded.take(rows)
    assert batch.entries.samples == len(rows)
    assert batch.entries.pooling == "sum"
    assert batch_slots(batch) == [slot_entries(encoded, row) for row in rows]
    assert batch.labels is not None and batch.weights is not None
    np.testing.assert_array_equal(batch.labels, labels[rows])
    np.testing.assert_array_equal(batch.weights, labels[rows] * 2)
    assert batch.dense is not None and encoded.dense is not None
    np.testing.assert_array_equal(batch.dense, encoded.dense[rows])


@given(tables(st.integers(1, 12)), st.sampled_from([MIXED_SCHEMA, FLAT_SCHEMA]), st.data())
def test_pieces_put_together_are_the_table(table, schema, data: st.DataObject) -> None:
    count = len(table["color"])
    encoder, middle = Encoder.fit(table, schema, min_count=1), data.draw(st.integers(0, count))
    pieces = [{name: column[part] for name, column in table.items()} for part in (slice(middle), slice(middle, None))]
    whole, joined = encoder.transform(table), concatenated([encoder.transform(piece) for piece in pieces])
    for array in ("ids", "offsets", "values", "dense"):
        np.testing.assert_array_equal(getattr(joined, array), getattr(whole, array))


@given(tables(st.integers(1, 12)), st.sampled_from([MIXED_SCHEMA, FLAT_SCHEMA]), st.data())
def test_a_field_and_a_number_of_other_samples(table, schema, data: st.DataObject) -> None:
    """Equal to a table whose column was exchanged before it was encoded; what is not named stays."""
    encoder = Encoder.fit(table, schema, min_count=1)
    order = np.array(data.draw(st.permutations(range(len(table["color"])))))
    encoded = encoder.transform(table)
    for name in (*encoder.field_names, *encoder.dense_names):
        field, number = (n.index(name) if name in n else None for n in (encoder.field_names, encoder.dense_names))
        expected = encoder.transform({**table, name: table[name][order]})
        found = encoded.exchanged(order, field, number)
        for array in ("ids", "offsets", "values", "dense"):
            np.testing.assert_array_equal(getattr(found, array), getattr(expected, array))


def test_single_ids_stay_a_matrix_and_batches_are_flat() -> None:
    ids = np.arange(8, dtype=np.int32).reshape(4, 2)
    entries = Encoded(ids, 8, 2, UNKNOWN).take(np.array([3, 0])).entries
    assert entries.offsets is None and entries.values is None
    assert entries.ids.tolist() == [6, 7, 0, 1]
    assert entries.ids.flags.c_contiguous and entries.ids.dtype == np.int32


def test_a_batch_shares_no_memory_with_the_table() -> None:
    ids = np.arange(8, dtype=np.int32).reshape(4, 2)
    Encoded(ids, 8, 2, UNKNOWN).take(np.array([1])).entries.ids[:] = 0
    assert ids[1].tolist() == [2, 3]


@pytest.mark.parametrize("wrong", [-1, 8])
def test_ids_out_of_range_are_refused(wrong: int) -> None:
    with pytest.raises(InputError, match="the table has 8 rows"):
        Encoded(np.array([[0, wrong]]), 8, 2, UNKNOWN)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="ids have shape"):
        Encoded(np.zeros((3, 1), np.int32), 8, 2, UNKNOWN)
    with pytest.raises(InputError, match="ids have shape"):
        Encoded(np.zeros(3, np.int32), 8, 1, UNKNOWN, offsets=np.array([0, 2, 4]))
    with pytest.raises(InputError, match="labels has 2 rows where the ids have 3"):
        Encoded(np.zeros((3, 2), np.int32), 8, 2, UNKNOWN, labels=np.zeros(2, np.float32))
