"""Behaviour at the edges: large logits, float64 losses, NaN, equal maxima, refused pooling, empty and merged plans."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from fastfm_core.contract import DropoutKey, Entries
from fastfm_core.errors import InputError

from .checking import same
from .inputs import plan_of

DTYPES = [np.float32, np.float64]
LOSSES = ["bce_with_logits", "mean_squared_error"]
GROUP_LOSSES = ["softmax_cross_entropy", "bpr"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_bce_at_large_logits(backend: ModuleType, dtype: Any) -> None:
    logits, labels = np.array([1000, 1000, -1000, -1000], dtype), np.array([1, 0, 0, 1], dtype)
    loss, gradient = backend.bce_with_logits(logits, labels, None)
    assert loss == 500.0
    assert same(gradient, np.array([0, 0.25, 0, -0.25], dtype) + dtype(0))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", LOSSES)
def test_weights_of_one_are_no_weights(backend: ModuleType, kernel: str, dtype: Any) -> None:
    random = np.random.default_rng(1)
    prediction, labels = random.normal(size=(2, 50)).astype(dtype)
    loss, gradient = getattr(backend, kernel)(prediction, labels, None)
    weighted_loss, weighted_gradient = getattr(backend, kernel)(prediction, labels, np.ones(50, dtype))
    assert weighted_loss == pytest.approx(loss, rel=1e-14)
    np.testing.assert_allclose(weighted_gradient, gradient, rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("kernel", LOSSES)
def test_weights_of_zero_drop_samples(backend: ModuleType, kernel: str) -> None:
    prediction, labels, weights = np.array([0.5, 99.0]), np.array([1.0, 0.0]), np.array([3.0, 0.0])
    loss, gradient = getattr(backend, kernel)(prediction, labels, weights)
    alone, gradient_alone = getattr(backend, kernel)(prediction[:1], labels[:1], None)
    assert loss == pytest.approx(alone, rel=1e-14)
    np.testing.assert_allclose(gradient, [gradient_alone[0], 0], rtol=1e-14)
    assert getattr(backend, kernel)(prediction, labels, np.zeros(2))[0] == 0.0
    assert not getattr(backend, kernel)(prediction, labels, np.zeros(2))[1].any()


@pytest.mark.parametrize(
    ("kernel", "large", "small", "total"),
    [("bce_with_logits", 2.0**30, 33.0, 2**30 + 99), ("mean_squared_error", 2.0**15, 1.0, 2**30 + 3)],
)
def test_float32_losses_are_added_in_float64(
    backend: ModuleType, kernel: str, large: float, small: float, total: int
) -> None:
    prediction = np.array([large, small, small, small], np.float32)
    loss, _ = getattr(backend, kernel)(prediction, np.zeros(4, np.float32), None)
    assert loss == pytest.approx(total / 4, rel=1e-13)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", LOSSES)
def test_nan_reaches_the_loss(backend: ModuleType, kernel: str, dtype: Any) -> None:
    prediction = np.zeros(40, dtype)
    prediction[17] = np.nan
    loss, gradient = getattr(backend, kernel)(prediction, np.zeros(40, dtype), None)
    assert np.isnan(loss)
    assert np.isnan(gradient).tolist() == np.isnan(prediction).tolist()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", GROUP_LOSSES)
def test_group_losses_at_large_logits(backend: ModuleType, kernel: str, dtype: Any) -> None:
    logits = np.array([[1000, -1000], [-1000, 1000], [0, -60]], dtype)
    loss, gradient = getattr(backend, kernel)(logits[:2], None)
    assert loss == 1000.0
    assert gradient.tolist() == [[0, 0], [-0.5, 0.5]] and gradient.dtype == dtype
    loss, gradient = getattr(backend, kernel)(logits[2:], None)
    assert loss == pytest.approx(np.exp(-60), rel=1e-14)
    np.testing.assert_allclose(gradient, np.array([[-1, 1]]) * np.exp(-60), rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("kernel", GROUP_LOSSES)
def test_groups_without_negatives_or_weight_have_loss_zero(backend: ModuleType, kernel: str) -> None:
    for logits, weights in [(np.ones((3, 1)), None), (np.eye(3), np.zeros(3))]:
        loss, gradient = getattr(backend, kernel)(logits, weights)
        assert loss == 0.0 and not gradient.any() and gradient.shape == logits.shape
    logits, weights = np.array([[0.5, 2.0], [99.0, 1.0]]), np.array([3.0, 0.0])
    assert getattr(backend, kernel)(logits, weights)[0] == pytest.approx(np.log1p(np.exp(1.5)), rel=1e-14)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("column", [0, 1, 4])
@pytest.mark.parametrize("kernel", GROUP_LOSSES)
def test_nan_in_a_group_reaches_the_loss(backend: ModuleType, kernel: str, column: int, dtype: Any) -> None:
    logits = np.zeros((7, 5), dtype)
    logits[3, column] = np.nan
    loss, gradient = getattr(backend, kernel)(logits, None)
    assert np.isnan(loss)
    assert np.flatnonzero(np.isnan(gradient).any(axis=1)).tolist() == [3]


@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_passes_the_relu_and_is_dropped_with_its_element(backend: ModuleType, dtype: Any) -> None:
    x = np.full((9, 11), np.nan, dtype)
    backend.bias_relu_dropout_(x, np.zeros(11, dtype), 0.0, None)
    assert np.isnan(x).all()
    key = DropoutKey(1, 2, 3)
    kept = backend.dropout(np.ones((9, 11), dtype), 0.5, key) > 0
    assert (np.isnan(backend.dropout(x, 0.5, key)) == kept).all()
    backend.bias_relu_dropout_(x, np.zeros(11, dtype), 0.5, key)
    assert (np.isnan(x) == kept).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_equal_maxima_go_to_the_first_position(backend: ModuleType, dtype: Any) -> None:
    table = np.array([[1, -2, 0], [1, -2, 0], [3, -9, 0]], dtype)
    entries = Entries(
        np.array([0, 1, 1, 0, 2, 2], np.int32), 4, np.array([0, 3, 3, 4, 6]), None, "max"
    )  # the bags are 0 1 1 | empty | 0 | 2 2
    pooled, winners = backend.embedding_bag(table, entries)
    assert pooled.tolist() == [[1, -2, 0], [0, 0, 0], [1, -2, 0], [3, -9, 0]]
    assert winners.tolist() == [[0, 0, 0], [-1, -1, -1], [3, 3, 3], [4, 4, 4]]
    negated = entries._replace(values=-np.ones(6, dtype))
    assert backend.embedding_bag(table, negated)[0][0].tolist() == [-1, 2, 0]


def test_pooling_none_is_refused_where_it_has_no_meaning(backend: ModuleType) -> None:
    table, entries = np.ones((3, 2)), Entries(np.array([0, 1]), 1, np.array([0, 2]), None, "none")
    with pytest.raises(InputError, match="none"):
        backend.embedding_bag(table, entries)
    with pytest.raises(InputError, match="none"):
        backend.embedding_fm(table, None, entries, None, deep=True)


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_first_order_is_zero(backend: ModuleType, dtype: Any) -> None:
    entries = Entries(np.array([0, 1, 2, 2], np.int32), 2, pooling="max")
    out = backend.embedding_fm(np.ones((3, 2), dtype), None, entries, None, deep=False)
    assert same(out.first, np.zeros(2, dtype))
    assert out.linear_winners is None


@pytest.mark.parametrize("ids_dtype", [np.int32, np.int64])
def test_merge_plans(backend: ModuleType, ids_dtype: Any) -> None:
    batches = [[7, 3, 3, 9], [], [9, 0, 49], [3], [0, 3, 7, 9, 49]]
    plans = [plan_of(np.array(ids, ids_dtype)) for ids in batches]
    rows, positions = backend.merge_plans(plans)
    assert same(rows, np.array([0, 3, 7, 9, 49], ids_dtype))
    assert [places.tolist() for places in positions] == [[1, 2, 3], [], [0, 3, 4], [1], [0, 1, 2, 3, 4]]
    assert all(places.dtype == np.int64 for places in positions)
    rows, positions = backend.merge_plans([plan_of(np.zeros(0, ids_dtype))])
    assert rows.dtype == ids_dtype and len(rows) == 0 and len(positions[0]) == 0


def test_plan_of_a_large_batch(backend: ModuleType) -> None:
    ids = np.random.default_rng(5).zipf(1.1, 20_000) % 5_000_000
    rows, segments, order = backend.plan_rows(ids, 5_000_000)
    expected, counts = np.unique(ids, return_counts=True)
    assert same(rows, expected)
    assert same(segments, np.append(0, np.cumsum(counts)))
    assert same(order, np.argsort(ids, kind="stable").astype(np.int32))


@pytest.mark.parametrize(("spacing", "expected"), [(0, 5), (3, 5), (5, 5), (16, 16)])
def test_a_product_has_its_rows_as_far_apart_as_asked(backend: ModuleType, spacing: int, expected: int) -> None:
    left, right = np.ones((7, 3), np.float32), np.ones((3, 5), np.float32)
    product = backend.matmul(left, right, spacing=spacing)
    assert product.strides == (4 * expected, 4)
    assert same(product, np.full((7, 5), 3, np.float32))
