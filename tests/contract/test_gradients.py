"""Backward kernels against central differences, in float64, through the whole chain a training step takes.

The loss is sum_b (h_b pair_b + k_b first_b) + <G, e>; what the backward pass is given comes from the backend's own
forward pass, and the differences are taken on the ground truth in extended precision.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from fastfm_core.contract import POOLINGS, PRODUCTS, Array, Entries, Product, RowSource

from . import truth, truth_dense, truth_pair
from .inputs import Scenario, plan_of, sparse_inputs
from .pair_cases import pairs_of
from .truth import WIDE, wide

STEP = WIDE(1e-6)


def differences(loss: Callable[[Array], Any], point: Array) -> Array:
    """Central differences of a scalar function, element by element."""
    gradient = np.zeros(point.shape, WIDE)
    for place in np.ndindex(point.shape):
        up, down = wide(point).copy(), wide(point).copy()
        up[place] += STEP
        down[place] -= STEP
        gradient[place] = (loss(up) - loss(down)) / (2 * STEP)
    return gradient


def assert_close(got: Array, expected: Array) -> None:
    np.testing.assert_allclose(got, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("bags", [None, "mixed"])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_lookup_and_fm(backend: ModuleType, pooling: Any, bags: Any) -> None:
    fields = 1 if pooling == "none" else 3
    scenario = Scenario("", samples=4, fields=fields, dim=3, rows=5, pooling=pooling, bags=bags, values=True)
    table, linear, entries, _, _, _ = sparse_inputs(scenario, 5, np.float64, np.int32)
    random = np.random.default_rng(6)
    h, k, g = (random.normal(size=shape) for shape in [4, 4, (4, fields, 3)])
    if pooling == "none":
        g[...] = 0

    def loss(table: Array, linear: Array, values: Array) -> Any:
        given = entries._replace(values=values)
        pairs = sum(h[b] * truth.pair_sum(terms) for b, terms in enumerate(truth.sample_terms(table, given)))
        e, w = truth.pooled(table, given)[0], truth.pooled(linear[:, None], given)[0]
        return pairs + (g.reshape(e.shape) * e).sum() + (k[:, None] * w.reshape(4, fields)).sum()

    pair_source, first_source, both = sources(backend, table, linear, entries, h, k, g)
    plan = plan_of(entries.ids)
    at = wide(table), wide(linear), wide(entries.values)
    by_table = differences(lambda x: loss(x, at[1], at[2]), table)
    assert_close(backend.materialize_rows(table, plan, pair_source), by_table[plan.rows])
    by_linear = differences(lambda x: loss(at[0], x, at[2]), linear)
    assert_close(backend.materialize_rows(linear[:, None], plan, first_source)[:, 0], by_linear[plan.rows])
    rows = np.column_stack([table, linear])
    by_row = np.column_stack([by_table, by_linear])
    assert_close(backend.materialize_rows(rows, plan, both), by_row[plan.rows])
    by_values = backend.value_gradient(table, entries, pair_source)
    by_values = by_values + backend.value_gradient(linear[:, None], entries, first_source)
    assert entries.values is not None
    expected = differences(lambda x: loss(at[0], at[1], x), entries.values)
    assert_close(by_values, expected)
    assert_close(backend.value_gradient(rows, entries, both), expected)


def sources(
    backend: ModuleType, table: Array, linear: Array, entries: Entries, h: Array, k: Array, g: Array
) -> tuple[RowSource, RowSource, RowSource]:
    """The row sources of table, of first order, and of rows that hold both, made from the backend's forward pass."""
    out = backend.embedding_fm(table, linear, entries, None, deep=False)
    common = RowSource(entries.fields, backend.entry_slots(entries), backend.pooling_coefficients(entries, table.dtype))
    pooled = None
    if entries.offsets is not None and entries.pooling != "none":
        pooled = backend.embedding_bag(table, entries)[0]
    first_grad = np.broadcast_to(k[:, None, None], (len(k), entries.fields, 1))
    winners = None if out.winners is None else np.hstack([out.winners, out.linear_winners])
    by_table = common._replace(pair_grad=h, sums=out.sums, slot_values=pooled, slot_grad=g, winners=out.winners)
    by_linear = common._replace(slot_grad=first_grad, winners=out.linear_winners)
    return by_table, by_linear, by_table._replace(winners=winners, first_grad=k)


def test_interactions(backend: ModuleType) -> None:
    random = np.random.default_rng(1)
    fields, grad, grads = random.normal(size=(3, 4, 2)), random.normal(size=3), random.normal(size=(3, 2))
    assert_close(
        backend.fm_interaction_backward(grad, fields),
        differences(lambda x: (grad[:, None] * truth_dense.bi_interaction(x).value).sum(), fields),
    )
    assert_close(
        backend.bi_interaction_backward(grads, fields),
        differences(lambda x: (grads * truth_dense.bi_interaction(x).value).sum(), fields),
    )


def test_pair_interaction(backend: ModuleType) -> None:
    random, pairs = np.random.default_rng(7), pairs_of("unsorted", 4)
    vectors, weights, grad = random.normal(size=(3, 4, 2)), random.normal(size=len(pairs)), random.normal(size=3)
    by_vectors, by_weights = backend.pair_interaction_backward(grad, vectors, pairs, weights)
    forward = truth_pair.pair_interaction
    assert_close(by_vectors, differences(lambda at: (grad * forward(at, pairs, weights).value).sum(), vectors))
    assert_close(by_weights, differences(lambda at: (grad * forward(vectors, pairs, at).value).sum(), weights))


@pytest.mark.parametrize("product", PRODUCTS)
def test_pair_products(backend: ModuleType, product: Product) -> None:
    random, pairs = np.random.default_rng(8), pairs_of("unsorted", 4)
    vectors, forward = random.normal(size=(3, 4, 2)), truth_pair.pair_products
    grad = random.normal(size=forward(vectors, pairs, product).value.shape)
    expected = differences(lambda at: (grad * forward(at, pairs, product).value).sum(), vectors)
    assert_close(backend.pair_products_backward(grad, vectors, pairs, product), expected)


def test_bias_relu(backend: ModuleType) -> None:
    random = np.random.default_rng(2)
    x, bias, grad = random.normal(size=(5, 4)), random.normal(size=4), random.normal(size=(5, 4))
    output = x.copy()
    backend.bias_relu_dropout_(output, bias, 0.0, None)
    dx, dbias = backend.bias_relu_dropout_backward(grad, output, 0.0)
    forward = truth_dense.bias_relu_dropout
    assert_close(dx, differences(lambda at: (grad * forward(at, bias, 0.0, None).value).sum(), x))
    assert_close(dbias, differences(lambda at: (grad * forward(x, at, 0.0, None).value).sum(), bias))


def test_batch_norm(backend: ModuleType) -> None:
    random = np.random.default_rng(3)
    x, grad = random.normal(size=(6, 3)), random.normal(size=(6, 3))
    gamma, beta = random.normal(size=3), random.normal(size=3)
    _, mean, variance = backend.batch_norm(x, gamma, beta, 1e-5)
    dx, dgamma, dbeta = backend.batch_norm_backward(grad, x, gamma, mean, variance, 1e-5)

    def loss(*arguments: Array) -> Any:
        return (grad * truth_dense.batch_norm(*map(wide, arguments), eps=1e-5)["y"].value).sum()

    assert_close(dx, differences(lambda at: loss(at, gamma, beta), x))
    assert_close(dgamma, differences(lambda at: loss(x, at, beta), gamma))
    assert_close(dbeta, differences(lambda at: loss(x, gamma, at), beta))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kernel", ["bce_with_logits", "mean_squared_error"])
def test_losses(backend: ModuleType, kernel: str, weighted: bool) -> None:
    random = np.random.default_rng(4)
    prediction, labels = 3 * random.normal(size=8), random.random(8)
    weights = random.random(8) if weighted else None
    _, gradient = getattr(backend, kernel)(prediction, labels, weights)
    forward = getattr(truth_dense, kernel)
    assert_close(gradient, differences(lambda at: forward(at, labels, weights)["loss"].value, prediction))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kernel", ["softmax_cross_entropy", "bpr"])
def test_group_losses(backend: ModuleType, kernel: str, weighted: bool) -> None:
    random = np.random.default_rng(5)
    logits, weights = 3 * random.normal(size=(6, 4)), random.random(6) if weighted else None
    _, gradient = getattr(backend, kernel)(logits, weights)
    forward = getattr(truth_dense, kernel)
    assert_close(gradient, differences(lambda at: forward(at, weights)["loss"].value, logits))
