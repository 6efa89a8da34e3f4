"""Every operation against central differences, in float64, away from kinks and ties."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from drawing import draw_entries, draw_tensor

from fastfm_core import ops
from fastfm_core.autograd import Tensor, gradcheck
from fastfm_core.backends import Backend
from fastfm_core.contract import DropoutKey, Entries, Pooling, Product

POOLINGS: list[Pooling] = ["sum", "mean", "sqrtn", "max"]
DIMS = [0, 1, 7, 16]
ROWS = 9
KEY = DropoutKey(seed=3, step=2, layer=1)
PAIRS = np.array([[0, 1], [2, 1], [0, 2]], np.int32)
PRODUCTS: list[Product] = ["inner", "elementwise", "outer"]


def away_from_zero(backend: Backend, random: np.random.Generator, *shape: int) -> Tensor:
    data = random.uniform(0.1, 1.5, shape) * random.choice([-1.0, 1.0], shape)
    return Tensor(data, backend, requires_grad=True)


def values_of(backend: Backend, entries: Entries) -> Tensor:
    """The entries' values as a tensor that asks for a gradient."""
    assert entries.values is not None
    return Tensor(entries.values.copy(), backend, requires_grad=True)


def dense_cases(backend: Backend, random: np.random.Generator) -> dict[str, tuple[Callable[..., Any], list[Tensor]]]:
    """By name of the operation: a function of tensors and the tensors to check it at."""
    x, weight, bias = (draw_tensor(backend, random, *shape) for shape in [(5, 4), (4, 3), (3,)])
    gamma, beta = draw_tensor(backend, random, 4), draw_tensor(backend, random, 4)
    signed, fields = away_from_zero(backend, random, 5, 4), draw_tensor(backend, random, 5, 3, 2)
    column, other = draw_tensor(backend, random, 5, 1), draw_tensor(backend, random, 5, 4)
    maps, offsets, pair_weights = (draw_tensor(backend, random, *shape) for shape in [(3, 2, 4), (3, 4), (3,)])
    first, second, scalar = (draw_tensor(backend, random, size) for size in (5, 5, 1))
    mean, variance = random.standard_normal(4), random.uniform(0.5, 2.0, 4)
    labels, weights = random.uniform(0, 1, 5), random.uniform(0.1, 2.0, 5)
    return {
        "add": (lambda *terms: ops.add(*terms), [first, second, scalar]),
        "as_vectors": (lambda t: ops.as_vectors(t, dim=1, fields=3), [x]),
        "batch_norm": (lambda *t: ops.batch_norm(*t, eps=1e-5)[0], [x, gamma, beta]),
        "bce_with_logits": (lambda z: ops.bce_with_logits(z, labels, weights), [first]),
        "bi_interaction": (ops.bi_interaction, [fields]),
        "concatenate": (ops.concatenate, [x, first, other]),
        "dropout": (lambda t: ops.dropout(t, 0.4, KEY), [fields]),
        "field_linear": (ops.field_linear, [fields, maps, offsets]),
        "flatten": (ops.flatten, [fields]),
        "fm_interaction": (ops.fm_interaction, [fields]),
        "inner": (ops.inner, [x, other]),
        "linear": (ops.linear, [x, weight, bias]),
        "linear_relu": (lambda *t: ops.linear_relu(*t, rate=0.4, key=KEY), [x, weight, bias]),
        "bpr": (lambda z: ops.bpr(z, 3, weights), [draw_tensor(backend, random, 15)]),
        "mse": (lambda z: ops.mse(z, labels, weights), [first]),
        "multiply": (ops.multiply, [x, other]),
        "normalize": (lambda x, g, b: ops.normalize(x, g, b, mean, variance, 1e-5), [x, gamma, beta]),
        "pair_interaction": (lambda e, r: ops.pair_interaction(e, PAIRS, r), [fields, pair_weights]),
        "pair_products": (lambda e: ops.pair_products(e, PAIRS, "outer"), [fields]),
        "pool_pairs": (lambda t: ops.pool_pairs(t, "max"), [fields]),
        "project": (ops.project, [fields, draw_tensor(backend, random, 2, 4)]),
        "relu": (lambda t: ops.relu(t, 0.4, KEY), [signed]),
        "scale": (lambda t: ops.scale(t, -2.5), [fields]),
        "softmax_cross_entropy": (
            lambda z: ops.softmax_cross_entropy(z, 3, weights),
            [draw_tensor(backend, random, 15)],
        ),
        "squeeze": (ops.squeeze, [column]),
        "sum_fields": (ops.sum_fields, [fields]),
        "take_fields": (lambda t: ops.take_fields(t, np.array([2, 0])), [fields]),
    }


LOOKUPS = {"embedding", "embedding_bag", "embedding_fm"}  # checked below, in more than one way each
DENSE = sorted(set(ops.__all__) - LOOKUPS)


@pytest.mark.parametrize("name", DENSE)
def test_dense_operations(backend: Backend, name: str) -> None:
    function, inputs = dense_cases(backend, np.random.default_rng(1))[name]
    gradcheck(function, inputs)
    assert all(tensor.grad is not None for tensor in inputs)


@pytest.mark.parametrize("count", [0, 3])
@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize("product", PRODUCTS)
def test_pairs_of_vectors_cut_from_wider_rows(backend: Backend, product: Product, dim: int, count: int) -> None:
    """Products, pooled each way, and interactions with and without weights."""
    random = np.random.default_rng(15)
    pairs, weights = PAIRS[:count], draw_tensor(backend, random, count)
    rows = draw_tensor(backend, random, 5, 3 * dim + 2)

    def vectors(rows: Tensor) -> Tensor:
        return ops.as_vectors(rows, dim=dim, fields=3)

    for pooling in ("sum", "mean", "max"):
        gradcheck(lambda x, p=pooling: ops.pool_pairs(ops.pair_products(vectors(x), pairs, product), p), [rows])
    gradcheck(lambda x: ops.flatten(ops.pair_products(vectors(x), pairs, product)), [rows])
    gradcheck(lambda x: ops.pair_interaction(vectors(x), pairs), [rows])
    gradcheck(lambda x, r: ops.pair_interaction(vectors(x), pairs, r), [rows, weights])


@pytest.mark.parametrize("loss", [ops.bce_with_logits, ops.mse])
def test_losses_without_weights(backend: Backend, loss: Callable[..., Tensor]) -> None:
    random = np.random.default_rng(2)
    labels = random.uniform(0, 1, 7)
    gradcheck(lambda z: loss(z, labels), [draw_tensor(backend, random, 7)])


@pytest.mark.parametrize("loss", [ops.softmax_cross_entropy, ops.bpr])
def test_group_losses_without_weights(backend: Backend, loss: Callable[..., Tensor]) -> None:
    gradcheck(lambda z: loss(z, 4), [draw_tensor(backend, np.random.default_rng(2), 12)])


def test_no_dropout_without_a_key(backend: Backend) -> None:
    random = np.random.default_rng(3)
    x, weight, bias = (draw_tensor(backend, random, *shape) for shape in [(5, 4), (4, 3), (3,)])
    gradcheck(lambda *t: ops.linear_relu(*t, rate=0.9), [x, weight, bias])
    gradcheck(lambda t: ops.relu(t, 0.9), [away_from_zero(backend, random, 5, 4)])


def test_first_layer_needs_no_gradient_by_its_input(backend: Backend) -> None:
    random = np.random.default_rng(4)
    x, weight, bias = (draw_tensor(backend, random, *shape) for shape in [(5, 4), (4, 3), (3,)])
    x.requires_grad = False
    gradcheck(ops.linear_relu, [x, weight, bias])
    gradcheck(ops.linear, [x, weight, bias])
    assert x.grad is None


@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize("shape", [(7,), (2, 3, 4), (0, 2)])
def test_embedding(backend: Backend, dim: int, shape: tuple[int, ...]) -> None:
    random = np.random.default_rng(5)
    ids = random.integers(0, ROWS, shape)
    gradcheck(lambda table: ops.embedding(table, ids), [draw_tensor(backend, random, ROWS, dim)])


@pytest.mark.parametrize("bags", [False, True])
@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize("pooling", POOLINGS)
def test_embedding_bag(backend: Backend, pooling: Pooling, dim: int, bags: bool) -> None:
    random = np.random.default_rng(6)
    table = draw_tensor(backend, random, ROWS, dim)
    plain = draw_entries(random, bags=bags, pooling=pooling, dtype=np.float64)
    gradcheck(lambda t: ops.embedding_bag(t, plain), [table])
    weighted = draw_entries(random, bags=bags, pooling=pooling, values=True, dtype=np.float64)
    gradcheck(lambda t, x: ops.embedding_bag(t, weighted, x), [table, values_of(backend, weighted)])


@pytest.mark.parametrize("bags", [False, True])
@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize("pooling", [*POOLINGS, "none"])
def test_embedding_fm(backend: Backend, pooling: Pooling, dim: int, bags: bool) -> None:
    """Table, first order and values; with the deep input and raw numbers wherever slots are pooled."""
    random = np.random.default_rng(7)
    fields, deep = (1, False) if pooling == "none" else (3, True)
    entries = draw_entries(random, fields=fields, bags=bags, pooling=pooling, values=True, dtype=np.float64)
    table, linear = draw_tensor(backend, random, ROWS, dim), draw_tensor(backend, random, ROWS)
    numbers = random.standard_normal((entries.samples, 2))

    def function(table: Tensor, linear: Tensor, values: Tensor) -> Any:
        return ops.embedding_fm(table, linear, entries, numbers if deep else None, values=values, deep=deep)

    gradcheck(function, [table, linear, values_of(backend, entries)])
    gradcheck(lambda t, w: ops.embedding_fm(t, w, entries), [table, linear])


@pytest.mark.parametrize("bags", [False, True])
@pytest.mark.parametrize("pooling", [*POOLINGS, "none"])
def test_embedding_fm_without_values(backend: Backend, pooling: Pooling, bags: bool) -> None:
    random = np.random.default_rng(8)
    fields = 1 if pooling == "none" else 3
    entries = draw_entries(random, fields=fields, bags=bags, pooling=pooling)
    inputs = [draw_tensor(backend, random, ROWS, 4), draw_tensor(backend, random, ROWS)]
    gradcheck(lambda t, w: ops.embedding_fm(t, w, entries, deep=pooling != "none"), inputs)


@pytest.mark.parametrize("bags", [False, True])
@pytest.mark.parametrize("used", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2)])
def test_some_outputs_of_embedding_fm(backend: Backend, used: tuple[int, ...], bags: bool) -> None:
    random = np.random.default_rng(9)
    entries = draw_entries(random, bags=bags, values=True, dtype=np.float64)
    numbers = random.standard_normal((entries.samples, 2))
    inputs = [draw_tensor(backend, random, ROWS, 4), draw_tensor(backend, random, ROWS), values_of(backend, entries)]

    def function(table: Tensor, linear: Tensor, values: Tensor) -> Any:
        outputs = ops.embedding_fm(table, linear, entries, numbers, values=values, deep=True)
        return tuple(outputs[position] for position in used)

    gradcheck(function, inputs)


@pytest.mark.parametrize("bags", [False, True])
def test_embedding_fm_without_first_order(backend: Backend, bags: bool) -> None:
    random = np.random.default_rng(10)
    entries = draw_entries(random, bags=bags, values=True, dtype=np.float64)
    inputs = [draw_tensor(backend, random, ROWS, 4), values_of(backend, entries)]
    gradcheck(lambda t, x: ops.embedding_fm(t, None, entries, values=x, deep=True), inputs)


@pytest.mark.parametrize("bags", [False, True])
def test_embedding_fm_with_a_plan_made_ahead(backend: Backend, bags: bool) -> None:
    random = np.random.default_rng(11)
    entries = draw_entries(random, bags=bags)
    plan = backend.plan_rows(entries.ids, ROWS)
    table, linear = draw_tensor(backend, random, ROWS, 4), draw_tensor(backend, random, ROWS)
    gradcheck(lambda t, w: ops.embedding_fm(t, w, entries, deep=True, plan=plan), [table, linear])
    assert table.grad.parts[0][0] is plan
    assert linear.grad.parts[0][0] is plan


@pytest.mark.parametrize("bags", [False, True])
@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize("pooling", [*POOLINGS, "none"])
def test_embedding_fm_with_the_first_order_in_the_row(backend: Backend, pooling: Pooling, dim: int, bags: bool) -> None:
    """Table [V, D + 1] and values; all outputs, then each alone; one lazy gradient."""
    random = np.random.default_rng(14)
    fields, deep = (1, False) if pooling == "none" else (3, True)
    entries = draw_entries(random, fields=fields, bags=bags, pooling=pooling, values=True, dtype=np.float64)
    table, numbers = draw_tensor(backend, random, ROWS, dim + 1), random.standard_normal((entries.samples, 2))
    plan = backend.plan_rows(entries.ids, ROWS)

    def function(table: Tensor, values: Tensor, used: tuple[int, ...] = (0, 1, 2)) -> Any:
        given: dict[str, Any] = {"values": values, "deep": deep, "plan": plan}
        outputs = ops.embedding_fm(table, None, entries, numbers if deep else None, lane=True, **given)
        return tuple(outputs[position] for position in used if outputs[position] is not None)

    gradcheck(function, [table, values_of(backend, entries)])
    ((own, _),) = table.grad.parts
    assert own is plan
    for used in (0,), (1,), (0, 1), *([(2,), (1, 2)] if deep else []):
        gradcheck(lambda t, x, used=used: function(t, x, used), [table, values_of(backend, entries)])


@pytest.mark.parametrize("frozen", ["table", "linear"])
def test_frozen_inputs_of_embedding_fm_get_no_gradient(backend: Backend, frozen: str) -> None:
    random = np.random.default_rng(12)
    entries = draw_entries(random, bags=True)
    tensors = {"table": draw_tensor(backend, random, ROWS, 4), "linear": draw_tensor(backend, random, ROWS)}
    tensors[frozen].requires_grad = False
    gradcheck(lambda t, w: ops.embedding_fm(t, w, entries, deep=True), list(tensors.values()))
    assert tensors[frozen].grad is None


def test_one_sample_and_no_samples(backend: Backend) -> None:
    random = np.random.default_rng(13)
    table, linear = draw_tensor(backend, random, ROWS, 4), draw_tensor(backend, random, ROWS)
    for samples in (1, 0):
        for bags in (False, True):
            entries = draw_entries(random, samples=samples, bags=bags)
            gradcheck(lambda t, w, e=entries: ops.embedding_fm(t, w, e, deep=True), [table, linear])


@pytest.mark.parametrize("bags", [False, True])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_weights_of_a_multi_hot_are_trained_beside_a_frozen_table(
    backend: Backend, pooling: Pooling, bags: bool
) -> None:
    """The values come of an op themselves, and reach pooled rows, pairs, first order and deep input."""
    random = np.random.default_rng(20)
    entries = draw_entries(random, bags=bags, pooling=pooling, values=True, dtype=np.float64)
    table = Tensor(random.standard_normal((ROWS, 5)), backend)

    def function(left: Tensor, right: Tensor) -> Any:
        values = ops.multiply(left, right)
        pooled = ops.embedding_bag(table, entries, values)
        return pooled, *ops.embedding_fm(table, None, entries, values=values, deep=True, lane=True)

    gradcheck(function, [values_of(backend, entries), draw_tensor(backend, random, len(entries.ids))])
