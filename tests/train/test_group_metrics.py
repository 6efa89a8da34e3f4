"""Metrics within groups against scikit-learn group by group, and against all orders of equal scores."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as oracle

from fastfm_core import metrics

few_scores = st.sampled_from([0.0, 0.25, 0.5, 0.75])
row = st.tuples(st.booleans(), st.one_of(few_scores, st.floats(0, 1)), st.integers(0, 6))
tables = st.lists(row, min_size=1, max_size=60)
cuts = st.integers(1, 6)


def arrays(rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    labels, scores, groups = zip(*rows, strict=True)
    return np.array(labels, np.float32), np.array(scores), np.array(groups)


def per_group(labels: np.ndarray, scores: np.ndarray, groups: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(labels[groups == group], scores[groups == group]) for group in np.unique(groups)]


def average(values, weights=None) -> float:
    return float(np.average(values, weights=weights)) if len(values) else math.nan


@given(tables)
def test_grouped_auc_is_the_mean_of_the_groups_weighted_by_their_rows(rows):
    table = arrays(rows)
    both = [(y, s) for y, s in per_group(*table) if 0 < y.sum() < len(y)]
    expected = average([oracle.roc_auc_score(y, s) for y, s in both], [len(y) for y, _ in both])
    assert metrics.grouped_auc(metrics.ranked(*table)) == pytest.approx(expected, abs=1e-12, nan_ok=True)


@given(tables, cuts)
def test_ndcg_is_the_mean_of_the_groups_with_a_positive(rows, k):
    table = arrays(rows)
    judged = [(y, s) for y, s in per_group(*table) if y.any()]
    single = [1.0] * sum(len(y) == 1 for y, _ in judged)  # the oracle refuses a group of one row
    expected = average(single + [oracle.ndcg_score([y], [s], k=k) for y, s in judged if len(y) > 1])
    assert metrics.ndcg(metrics.ranked(*table), k) == pytest.approx(expected, abs=1e-12, nan_ok=True)


def hit_over_all_orders(labels: np.ndarray, scores: np.ndarray, k: int) -> float:
    orders = [order for order in itertools.permutations(range(len(labels))) if falls(scores[list(order)])]
    return float(np.mean([labels[list(order[:k])].any() for order in orders]))


def falls(scores: np.ndarray) -> bool:
    return bool((np.diff(scores) <= 0).all())


@given(st.lists(st.tuples(st.booleans(), few_scores, st.integers(0, 2)), min_size=1, max_size=12), cuts)
def test_hit_rate_is_the_mean_over_all_orders_of_equal_scores(rows, k):
    table = arrays(rows)
    groups = [(y[:6], s[:6]) for y, s in per_group(*table)]
    labels, scores = (np.concatenate(part) for part in zip(*groups, strict=True))
    numbers = np.repeat(np.arange(len(groups)), [len(y) for y, _ in groups])
    expected = average([hit_over_all_orders(y, s, k) for y, s in groups if y.any()])
    found = metrics.hit_rate(metrics.ranked(labels, scores, numbers), k)
    assert found == pytest.approx(expected, abs=1e-12, nan_ok=True)


@given(tables, st.randoms(use_true_random=False))
def test_the_order_of_rows_and_the_numbers_of_groups_change_nothing(rows, random):
    labels, scores, groups = arrays(rows)
    order = np.array(random.sample(range(len(labels)), len(labels)))
    one = metrics.grouped(labels, scores, groups)
    other = metrics.grouped(labels[order], scores[order], 100 - 7 * groups[order])
    assert one == pytest.approx(other, abs=1e-12, nan_ok=True)


def test_a_worked_example():
    labels, scores = np.array([1, 0, 0, 1, 1, 0]), np.array([0.9, 0.8, 0.1, 0.2, 0.7, 0.7])
    groups = np.array([0, 0, 0, 1, 1, 1])  # group 1: a tie of both classes on top, a positive below
    rows = metrics.ranked(labels, scores, groups)
    assert metrics.grouped_auc(rows) == pytest.approx((1 + 0.25) / 2)
    assert metrics.hit_rate(rows, 1) == pytest.approx((1 + 0.5) / 2)
    ideal = 1 + 1 / np.log2(3)
    assert metrics.ndcg(rows, 2) == pytest.approx((1 + 0.5 * ideal / ideal) / 2)


def test_no_rows_and_no_positives_are_undefined():
    for rows in (0, 3):
        found = metrics.grouped(np.zeros(rows), np.arange(rows) / 3, np.zeros(rows, int))
        assert all(map(math.isnan, found.values()))
