"""Batches: every row once per epoch, the same order for the same (seed, epoch), and ids dropped to the unknown row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastfm_core.contract import Batch
from fastfm_core.data import Batches, Encoded
from fastfm_core.errors import InputError


def encoded_rows(count: int, fields: int = 3) -> Encoded:
    """Sample r has the ids fields*(1 + r) + field; rows 0..fields-1 are the unknown rows; the label is r."""
    ids = np.arange(fields, fields * (count + 1), dtype=np.int32).reshape(count, fields)
    return Encoded(ids, fields * (count + 1), fields, np.arange(fields), labels=np.arange(count, dtype=np.float32))


def ragged_rows(count: int) -> Encoded:
    """Two fields per sample, the second a bag of four; rows 0 and 1 are the unknown rows."""
    lengths = np.tile([1, 4], count)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    ids = np.repeat(np.tile([2, 3], count), lengths).astype(np.int32)
    return Encoded(ids, 4, 2, np.array([0, 1]), offsets=offsets)


def labels_of(batches: list[Batch]) -> list[int]:
    return [int(label) for batch in batches if batch.labels is not None for label in batch.labels]


def ids_of(batches: list[Batch]) -> np.ndarray:
    return np.concatenate([batch.entries.ids for batch in batches])


@given(st.integers(1, 40), st.integers(1, 50), st.integers(0, 2**63), st.integers(0, 1000))
def test_every_row_once_per_epoch(count: int, batch_size: int, seed: int, epoch: int) -> None:
    rows = np.arange(0, count, 2)
    batches = Batches(encoded_rows(count), rows, batch_size, seed)
    found = list(batches.epoch(epoch))
    assert len(found) == len(batches)
    assert all(batch.entries.samples == batch_size for batch in found[:-1])
    assert sorted(labels_of(found)) == rows.tolist()


def test_order_is_named_by_seed_and_epoch() -> None:
    encoded = encoded_rows(100)

    def order(seed: int, epoch: int) -> list[int]:
        return labels_of(list(Batches(encoded, batch_size=7, seed=seed).epoch(epoch)))

    assert order(1, 0) == order(1, 0)
    assert len({tuple(order(seed, epoch)) for seed in (1, 2) for epoch in (0, 1)}) == 4


def test_without_shuffle_the_order_is_as_given() -> None:
    rows = np.array([5, 2, 9])
    assert labels_of(list(Batches(encoded_rows(10), rows, 2, shuffle=False).epoch(3))) == [5, 2, 9]


def test_an_epoch_does_not_depend_on_those_before_it() -> None:
    encoded, drop = encoded_rows(200), np.ones(3, bool)
    batches = Batches(encoded, batch_size=32, seed=5, unknown_rate=0.2, drop_to_unknown=drop)
    list(batches.epoch(0))
    resumed = Batches(encoded, batch_size=32, seed=5, unknown_rate=0.2, drop_to_unknown=drop)
    np.testing.assert_array_equal(ids_of(list(batches.epoch(1))), ids_of(list(resumed.epoch(1))))


def test_ids_of_masked_fields_alone_are_dropped_to_their_unknown_row() -> None:
    encoded = encoded_rows(4000)
    plain = ids_of(list(Batches(encoded, seed=1).epoch(0))).reshape(-1, 3)
    mask = np.array([True, False, True])
    dropped = ids_of(list(Batches(encoded, seed=1, unknown_rate=0.1, drop_to_unknown=mask).epoch(0))).reshape(-1, 3)
    changed = plain != dropped
    assert not changed[:, 1].any()
    for field in (0, 2):
        assert (dropped[changed[:, field], field] == field).all()
        assert abs(changed[:, field].mean() - 0.1) < 0.02
    np.testing.assert_array_equal(encoded.ids, np.arange(3, 12003).reshape(-1, 3))


def test_entries_of_bags_are_dropped_one_by_one() -> None:
    encoded = ragged_rows(3000)
    mask = np.array([False, True])
    dropped = ids_of(list(Batches(encoded, shuffle=False, unknown_rate=0.1, drop_to_unknown=mask).epoch(0)))
    bags = dropped.reshape(-1, 5)[:, 1:]
    assert (dropped.reshape(-1, 5)[:, 0] == 2).all()
    assert set(np.unique(bags)) == {1, 3}
    assert abs((bags == 1).mean() - 0.1) < 0.015


def test_a_field_without_unknown_row_is_left_alone() -> None:
    encoded = Encoded(np.ones((500, 1), np.int32), 2, 1, np.array([-1]))
    batches = Batches(encoded, unknown_rate=0.5, drop_to_unknown=np.array([True]))
    assert (ids_of(list(batches.epoch(0))) == 1).all()


def test_draws_differ_between_batches() -> None:
    encoded = Encoded(np.ones((2000, 1), np.int32), 2, 1, np.array([0]))
    first, second = Batches(encoded, None, 1000, unknown_rate=0.1, drop_to_unknown=np.array([True])).epoch(0)
    assert (first.entries.ids != second.entries.ids).any()


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(InputError, match="batch_size is 0"):
        Batches(encoded_rows(3), batch_size=0)
    with pytest.raises(InputError, match=r"unknown_rate is 1\.0"):
        Batches(encoded_rows(3), unknown_rate=1.0)
