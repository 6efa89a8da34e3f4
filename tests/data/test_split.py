"""Splits: a partition of the rows, exact shares per class, whole groups."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastfm_core.data.split import by_time, grouped, in_order, stratified
from fastfm_core.errors import InputError

FRACTIONS = (0.7, 0.1, 0.2)


def assert_partition(parts, rows: int) -> None:
    assert all((np.diff(part) > 0).all() for part in parts)
    assert sorted(np.concatenate(parts).tolist()) == list(range(rows))


@given(st.integers(10, 300), st.integers(10, 300), st.integers(0, 2**32))
def test_binary_labels_are_split_exactly(negatives: int, positives: int, seed: int) -> None:
    labels = np.random.default_rng(seed).permutation(np.repeat([0.0, 1.0], [negatives, positives]))
    parts = stratified(labels, seed=seed)
    assert_partition(parts, len(labels))
    for part, fraction in zip(parts, FRACTIONS, strict=True):
        assert abs((labels[part] == 1).sum() - fraction * positives) <= 1
        assert abs((labels[part] == 0).sum() - fraction * negatives) <= 1


def test_regression_labels_are_split_at_random() -> None:
    parts = stratified(np.linspace(0, 1, 1000))
    assert_partition(parts, 1000)
    assert [len(part) for part in parts] == [700, 100, 200]


def test_the_seed_decides() -> None:
    labels = np.tile([0, 1], 100)
    np.testing.assert_array_equal(stratified(labels, seed=3)[2], stratified(labels, seed=3)[2])
    assert stratified(labels, seed=3)[2].tolist() != stratified(labels, seed=4)[2].tolist()


@given(st.integers(30, 60), st.integers(0, 2**32))
def test_groups_stay_whole(groups: int, seed: int) -> None:
    group_of_row = np.random.default_rng(seed).integers(0, groups, 300)
    parts = grouped(group_of_row, (0.5, 0.25, 0.25), seed)
    assert_partition(parts, len(group_of_row))
    sides = [set(group_of_row[part]) for part in parts]
    assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])
    biggest = np.bincount(group_of_row).max()
    assert abs(len(parts[0]) - 0.5 * len(group_of_row)) <= biggest


def test_several_columns_name_a_group_together() -> None:
    first, second = np.repeat(["a", "b"], 100), np.tile(np.arange(10), 20)
    parts = grouped([first, second], (0.5, 0.25, 0.25), seed=1)
    sides = [{(first[row], second[row]) for row in part} for part in parts]
    assert sum(map(len, sides)) == 20 == len(set.union(*sides))


def test_in_order_cuts_where_the_rows_stand() -> None:
    assert [part.tolist() for part in in_order(10)] == [list(range(7)), [7], [8, 9]]


@given(st.lists(st.integers(0, 12), min_size=30, max_size=200))
def test_time_goes_forward_and_ties_stay_together(times: list[int]) -> None:
    column = np.array(times)
    try:
        parts = by_time(column, (0.5, 0.25, 0.25))
    except InputError:  # too many ties for three parts
        assert max(np.bincount(column)) > len(times) / 4
        return
    assert_partition(parts, len(times))
    train, valid, test = (column[part] for part in parts)
    assert train.max() < valid.min() and valid.max() < test.min()
    assert len(train) >= len(times) // 2 and len(train) + len(valid) >= round(0.75 * len(times))
    assert (train < train.max()).sum() < 0.5 * len(times) + 1


def test_a_part_may_be_left_out_on_purpose_only() -> None:
    assert len(stratified(np.tile([0, 1], 50), (0.8, 0.2, 0.0))[2]) == 0
    with pytest.raises(InputError, match="too few"):
        stratified(np.array([0, 1]))
    with pytest.raises(InputError, match="too few groups"):
        grouped(np.zeros(100))


@pytest.mark.parametrize("fractions", [(0.5, 0.2, 0.2), (1.2, -0.1, -0.1), (0.5, 0.5)])
def test_wrong_fractions_are_refused(fractions) -> None:
    with pytest.raises(InputError, match="sum to 1"):
        stratified(np.tile([0, 1], 50), fractions)
