"""Metrics against scikit-learn, ties and one-class labels included, and against hand-worked numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as oracle

from fastfm_core import metrics

few_scores = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0])
any_score = st.floats(0, 1)
samples = st.lists(st.tuples(st.booleans(), st.one_of(few_scores, any_score)), min_size=1, max_size=60)


def arrays(pairs) -> tuple[np.ndarray, np.ndarray]:
    return np.array([y for y, _ in pairs], np.float32), np.array([p for _, p in pairs], np.float64)


@given(samples)
def test_auc_equals_the_oracle_with_ties(pairs):
    labels, scores = arrays(pairs)
    if len(set(labels)) == 1:
        assert math.isnan(metrics.auc(labels, scores))
    else:
        assert metrics.auc(labels, scores) == pytest.approx(oracle.roc_auc_score(labels, scores), abs=1e-12)


@given(samples)
def test_average_precision_equals_the_oracle_with_ties(pairs):
    labels, scores = arrays(pairs)
    if not labels.any():
        assert math.isnan(metrics.average_precision(labels, scores))
    else:
        expected = oracle.average_precision_score(labels, scores)
        assert metrics.average_precision(labels, scores) == pytest.approx(expected, abs=1e-12)


@given(samples)
def test_log_loss_equals_the_oracle(pairs):
    labels, probabilities = arrays(pairs)
    expected = oracle.log_loss(labels, probabilities, labels=[0, 1])
    assert metrics.log_loss(labels, probabilities) == pytest.approx(expected, rel=1e-12, abs=1e-12)


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=1, max_size=40))
def test_rmse_and_mae_equal_the_oracle(pairs):
    labels, predictions = np.array(pairs).T
    expected = oracle.root_mean_squared_error(labels, predictions), oracle.mean_absolute_error(labels, predictions)
    assert (metrics.rmse(labels, predictions), metrics.mae(labels, predictions)) == pytest.approx(expected, rel=1e-12)


def test_auc_counts_a_tie_as_one_half():
    assert metrics.auc(np.array([1, 0]), np.array([0.5, 0.5])) == 0.5
    assert metrics.auc(np.array([1, 1, 0, 0]), np.array([0.9, 0.5, 0.5, 0.1])) == 3.5 / 4


def test_standard_error_by_hand():
    # A = 0.8, P = N = 50: Q1 = 0.8/1.2, Q2 = 1.28/1.8
    two_positives, two_negatives = 0.8 / 1.2, 1.28 / 1.8
    variance = (0.16 + 49 * (two_positives - 0.64) + 49 * (two_negatives - 0.64)) / 2500
    assert metrics.auc_standard_error(0.8, 50, 50) == pytest.approx(math.sqrt(variance), rel=1e-12)
    assert metrics.auc_standard_error(1.0, 5, 7) == 0.0
    assert math.isnan(metrics.auc_standard_error(0.8, 0, 7))


def test_standard_error_is_the_spread_of_the_auc_over_samples():
    random = np.random.default_rng(0)
    labels = np.repeat([1.0, 0.0], [60, 140])
    draws = [metrics.auc(labels, random.exponential(np.where(labels > 0, 3.0, 1.0))) for _ in range(400)]
    claimed = metrics.auc_standard_error(float(np.mean(draws)), 60, 140)
    assert claimed == pytest.approx(np.std(draws), rel=0.15)


def test_normalized_entropy_is_one_for_the_base_rate_and_less_for_better_predictions():
    labels = np.array([1, 0, 0, 0], np.float32)
    assert metrics.normalized_entropy(labels, np.full(4, 0.25)) == pytest.approx(1.0, rel=1e-12)
    assert metrics.normalized_entropy(labels, np.array([0.9, 0.1, 0.1, 0.1])) < 0.2
    assert math.isnan(metrics.normalized_entropy(np.ones(4), np.full(4, 0.5)))


def test_calibration_is_mean_prediction_over_mean_label():
    assert metrics.calibration(np.array([1, 0, 1, 0]), np.array([0.9, 0.2, 0.8, 0.1])) == pytest.approx(1.0)
    assert metrics.calibration(np.array([1, 0]), np.array([0.9, 0.6])) == pytest.approx(1.5)
    assert math.isnan(metrics.calibration(np.zeros(3), np.full(3, 0.1)))


def test_sigmoid_keeps_its_range_and_symmetry():
    logits = np.array([-1e4, -30, -1, 0, 1, 30, 1e4], np.float32)
    with np.errstate(all="raise", under="ignore"):
        p = metrics.sigmoid(logits)
    assert p.dtype == np.float64
    assert p[0] == 0 and p[3] == 0.5 and p[-1] == 1
    np.testing.assert_allclose(p + p[::-1], 1, rtol=1e-15)
    np.testing.assert_allclose(p[1:3], 1 / (1 + np.exp(-logits[1:3].astype(np.float64))), rtol=1e-15)


def test_reports_name_everything_of_the_metrics_file():
    labels, p = np.array([1, 0, 1, 0], np.float32), np.array([0.9, 0.2, 0.4, 0.5])
    report = metrics.binary(labels, p)
    named = ["rows", "positives", "auc", "auc_se", "pr_auc", "logloss", "normalized_entropy", "calibration"]
    assert list(report) == named
    assert list(metrics.binary(labels, p, np.zeros(4, int))) == [*named, "gauc", "hr@10", "ndcg@10"]
    assert (report["rows"], report["positives"], report["auc"]) == (4, 2, 0.75)
    assert metrics.regression(labels, p)["rmse"] == metrics.rmse(labels, p)
    assert math.isnan(metrics.binary(labels[:0], p[:0])["logloss"])
