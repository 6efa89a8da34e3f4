"""Batches: every row once per epoch, the same order for the same (seed, epoch), and ids dropped to the unknown row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastfm_core.backends import reference
from fastfm_core.contract import Batch, RowPlan
from fastfm_core.data import Batches, Encoded
from fastfm_core.data import batches as batches_module
from fastfm_core.errors import InputError
from fastfm_core.random import generator


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


@pytest.fixture
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows of four blocks of eight rows."""
    monkeypatch.setattr(batches_module, "WINDOW", 32)
    monkeypatch.setattr(batches_module, "BLOCK", 8)


def order_of(batches: Batches, epoch: int, start: int = 0) -> list[int]:
    return labels_of(list(batches.epoch(epoch, start)))


@pytest.mark.usefixtures("small_windows")
@pytest.mark.parametrize("count", [33, 64, 100, 257])
def test_block_shuffle_takes_every_row_once_in_another_order_each_epoch(count: int) -> None:
    batches = Batches(encoded_rows(count), batch_size=7, seed=3)
    first, second = order_of(batches, 1), order_of(batches, 2)
    assert sorted(first) == sorted(second) == list(range(count))
    assert len({tuple(first), tuple(second), tuple(range(count))}) == 3
    assert order_of(Batches(encoded_rows(count), batch_size=5, seed=3), 1) == first


@pytest.mark.usefixtures("small_windows")
def test_a_window_reads_few_blocks_and_mixes_their_rows() -> None:
    order = np.array(order_of(Batches(encoded_rows(320), batch_size=32, seed=0), 1)).reshape(-1, 32)
    for window in order:
        assert len(set(window // 8)) == 4
        assert len(set(window[:8] // 8)) > 1


def test_up_to_a_window_the_shuffle_is_one_permutation() -> None:
    rows = np.arange(3, 90)
    expected = generator(5, 2, 0, batches_module.SHUFFLE_STREAM).permutation(rows)
    assert order_of(Batches(encoded_rows(100), rows, 8, seed=5), 2) == expected.tolist()


@pytest.mark.usefixtures("small_windows")
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("count", [30, 100])
def test_an_epoch_can_be_entered_at_any_batch(count: int, shuffle: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = encoded_rows(count)
    batches = Batches(encoded, None, 7, 1, shuffle, unknown_rate=0.3, drop_to_unknown=np.ones(3, bool))
    whole, taken, take = list(batches.epoch(4)), [], Encoded.take
    monkeypatch.setattr(Encoded, "take", lambda self, rows: (taken.append(len(rows)), take(self, rows))[1])
    for start in range(len(batches) + 1):
        taken.clear()
        tail = list(batches.epoch(4, start))
        assert labels_of(tail) == labels_of(whole[start:]) and len(taken) == len(tail) == len(whole) - start
        if tail:
            np.testing.assert_array_equal(ids_of(tail), ids_of(whole[start:]))


def test_memory_mapped_tables_give_ordinary_arrays(tmp_path: Path) -> None:
    def mapped(array: np.ndarray) -> np.ndarray:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.npy"
        np.save(path, array)
        return np.load(path, mmap_mode="r")

    flat, bags = encoded_rows(50), ragged_rows(50)
    numbers = np.ones((50, 2), np.float32)
    for table in (
        replace(flat, ids=mapped(flat.ids), dense=mapped(numbers), labels=mapped(numbers[:, 0]), weights=numbers[:, 1]),
        replace(bags, ids=mapped(bags.ids), offsets=mapped(bags.offsets), values=mapped(np.ones(250, np.float32))),
    ):
        for batch in Batches(table, batch_size=8).epoch(0):
            for array in (*batch.entries, *batch):
                assert not isinstance(array, np.memmap)
                if isinstance(array, np.ndarray):
                    assert array.flags.c_contiguous and array.flags.writeable


def test_labels_are_those_of_the_rows() -> None:
    assert Batches(encoded_rows(9), np.array([4, 2])).labels.tolist() == [4, 2]
    with pytest.raises(InputError, match="no labels"):
        _ = Batches(ragged_rows(2)).labels


@pytest.mark.parametrize("make", [encoded_rows, ragged_rows])
def test_a_batch_carries_the_plan_of_its_ids_as_they_are_looked_up(make: Callable[[int], Encoded]) -> None:
    """Ids are dropped first, and the arena's rows are handed on; without a planner there is no plan."""
    encoded, asked = make(40), []

    def plan(ids: np.ndarray, rows: int) -> RowPlan:
        asked.append(rows)
        return reference.plan_rows(ids, rows)

    options: dict[str, Any] = {"batch_size": 7, "unknown_rate": 0.5, "drop_to_unknown": np.ones(encoded.fields, bool)}
    planned, plain = (list(Batches(encoded, plan=planner, **options).epoch(1)) for planner in (plan, None))
    assert asked == [encoded.rows] * len(planned)
    for with_plan, without in zip(planned, plain, strict=True):
        assert without.plan is None and with_plan.plan is not None
        np.testing.assert_array_equal(with_plan.entries.ids, without.entries.ids)
        expected = reference.plan_rows(without.entries.ids, encoded.rows)
        for one, other in zip(with_plan.plan, expected, strict=True):
            np.testing.assert_array_equal(one, other)
    assert (ids_of(planned) < encoded.fields).mean() > 0.3  # the unknown rows come first
