"""What operations return, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from drawing import draw_entries, draw_tensor

from fastfm_core import backends, ops
from fastfm_core.autograd import Tensor
from fastfm_core.backends import Backend
from fastfm_core.contract import DropoutKey, Entries, Pooling
from fastfm_core.errors import InputError


def test_add_takes_vectors_and_scalars(backend: Backend) -> None:
    random = np.random.default_rng(1)
    first, second, bias = (draw_tensor(backend, random, size) for size in (4, 4, 1))
    np.testing.assert_array_equal(ops.add(first, second, bias).data, first.data + second.data + bias.data)
    assert ops.add(first).data.shape == (4,)


def test_squeeze_drops_a_last_axis_of_one(backend: Backend) -> None:
    one = draw_tensor(backend, np.random.default_rng(1), 4, 1)
    np.testing.assert_array_equal(ops.squeeze(one).data, one.data[:, 0])


def test_add_refuses_to_broadcast(backend: Backend) -> None:
    samples, column = (draw_tensor(backend, np.random.default_rng(1), *shape) for shape in [(4,), (4, 1)])
    with pytest.raises(InputError, match=r"add takes shapes \(4,\) and \(1,\), got \(4, 1\)"):
        ops.add(samples, column)


def test_what_has_no_arithmetic(backend: Backend) -> None:
    random = np.random.default_rng(10)
    x, single, vectors = (draw_tensor(backend, random, *shape) for shape in [(4, 7), (4,), (4, 3, 2)])
    np.testing.assert_array_equal(ops.concatenate(x, single).data, np.column_stack([x.data, single.data]))
    np.testing.assert_array_equal(ops.as_vectors(x, dim=2, fields=3).data, x.data[:, :6].reshape(4, 3, 2))
    assert np.shares_memory(ops.as_vectors(x, dim=2, fields=3).data, x.data)
    np.testing.assert_array_equal(ops.flatten(vectors).data, vectors.data.reshape(4, 6))
    np.testing.assert_array_equal(ops.take_fields(vectors, np.array([2, 0])).data, vectors.data[:, [2, 0]])


def test_products_and_sums(backend: Backend) -> None:
    random = np.random.default_rng(11)
    left, right, vectors = (draw_tensor(backend, random, *shape) for shape in [(4, 2), (4, 2), (4, 3, 2)])
    np.testing.assert_array_equal(ops.multiply(left, right).data, left.data * right.data)
    np.testing.assert_array_equal(ops.scale(left, 2.0).data, 2 * left.data)
    np.testing.assert_allclose(ops.inner(left, right).data, np.einsum("bd,bd->b", left.data, right.data))
    np.testing.assert_allclose(ops.sum_fields(vectors).data, vectors.data.sum(axis=1))


def test_field_linear_maps_each_field_by_its_own_weights(backend: Backend) -> None:
    random = np.random.default_rng(12)
    x, weight, bias = (draw_tensor(backend, random, *shape) for shape in [(4, 3, 2), (3, 2, 5), (3, 5)])
    expected = np.einsum("bfk,fkd->bfd", x.data, weight.data) + bias.data
    np.testing.assert_allclose(ops.field_linear(x, weight, bias).data, expected, rtol=1e-12)


def test_all_pairs_with_weights_of_one_are_the_fm(backend: Backend) -> None:
    fields = draw_tensor(backend, np.random.default_rng(13), 4, 3, 2)
    pairs = np.array([[0, 1], [0, 2], [1, 2]], np.int32)
    plain, ones = ops.pair_interaction(fields, pairs), Tensor(np.ones(3), backend)
    np.testing.assert_allclose(plain.data, ops.fm_interaction(fields).data, rtol=1e-12)
    np.testing.assert_array_equal(ops.pair_interaction(fields, pairs, ones).data, plain.data)
    products = ops.pair_products(fields, pairs, "elementwise")
    np.testing.assert_allclose(ops.pool_pairs(products, "sum").data, ops.bi_interaction(fields).data, rtol=1e-12)
    np.testing.assert_allclose(ops.pool_pairs(products, "mean").data, products.data.mean(axis=1), rtol=1e-12)
    np.testing.assert_array_equal(ops.pool_pairs(products, "max").data, products.data.max(axis=1))
    outer = ops.pair_products(fields, pairs, "outer").data.reshape(4, 3, 2, 2)
    np.testing.assert_array_equal(outer[:, 1], fields.data[:, 0, :, None] * fields.data[:, 2, None, :])


def test_without_pairs_all_is_zero(backend: Backend) -> None:
    fields, none = draw_tensor(backend, np.random.default_rng(14), 4, 3, 2), np.zeros((0, 2), np.int32)
    assert not ops.pair_interaction(fields, none).data.any()
    for pooling in ("sum", "mean", "max"):
        pooled = ops.pool_pairs(ops.pair_products(fields, none, "elementwise"), pooling).data
        np.testing.assert_array_equal(pooled, np.zeros((4, 2)))


def test_shapes_that_do_not_fit_are_refused(backend: Backend) -> None:
    left, right = (draw_tensor(backend, np.random.default_rng(15), *shape) for shape in [(4, 2), (3, 2)])
    with pytest.raises(InputError, match="multiply takes two tensors of one shape"):
        ops.multiply(left, right)
    with pytest.raises(InputError, match="inner takes two tensors of one shape"):
        ops.inner(left, right)
    with pytest.raises(InputError, match="concatenate takes tensors of as many samples each, got 3, 4"):
        ops.concatenate(left, right)
    with pytest.raises(InputError, match="2 columns hold no 3 vectors of 1"):
        ops.as_vectors(left, dim=1, fields=3)


def test_linear_relu_is_linear_then_relu(backend: Backend) -> None:
    random = np.random.default_rng(2)
    x, weight, bias = (draw_tensor(backend, random, *shape) for shape in [(5, 4), (4, 3), (3,)])
    key = DropoutKey(1, 2, 3)
    apart = ops.dropout(ops.relu(ops.linear(x, weight, bias)), 0.3, key).data
    np.testing.assert_allclose(ops.linear_relu(x, weight, bias, 0.3, key).data, apart, rtol=1e-14)
    np.testing.assert_allclose(ops.relu(ops.linear(x, weight, bias), 0.3, key).data, apart, rtol=1e-14)


def test_batch_norm_and_normalize_agree_on_the_batchs_statistics(backend: Backend) -> None:
    random = np.random.default_rng(3)
    x, gamma, beta = (draw_tensor(backend, random, *shape) for shape in [(6, 4), (4,), (4,)])
    out, mean, variance = ops.batch_norm(x, gamma, beta, 1e-5)
    np.testing.assert_allclose(mean, x.data.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(variance, x.data.var(axis=0), rtol=1e-12)
    np.testing.assert_allclose(ops.normalize(x, gamma, beta, mean, variance, 1e-5).data, out.data, rtol=1e-12)


def test_embedding_fm_is_embedding_bag_then_fm(backend: Backend) -> None:
    random = np.random.default_rng(4)
    table = draw_tensor(backend, random, 9, 4)
    entries = draw_entries(random, bags=True, values=True, dtype=np.float64, pooling="mean")
    numbers = random.standard_normal((entries.samples, 2))
    first, pairs, deep = ops.embedding_fm(table, None, entries, numbers, deep=True)
    pooled = ops.embedding_bag(table, entries)
    assert deep is not None
    assert not first.data.any()
    np.testing.assert_allclose(pairs.data, ops.fm_interaction(pooled).data, rtol=1e-12)
    np.testing.assert_array_equal(
        deep.data, np.concatenate([pooled.data.reshape(len(pooled.data), -1), numbers], axis=1)
    )


def test_values_given_as_a_tensor_replace_those_of_the_entries(backend: Backend) -> None:
    random = np.random.default_rng(5)
    table = draw_tensor(backend, random, 9, 4)
    entries = draw_entries(random, bags=True, values=True, dtype=np.float64)
    assert entries.values is not None
    values = Tensor(entries.values, backend, requires_grad=True)
    other = entries._replace(values=np.ones_like(entries.values))
    np.testing.assert_array_equal(ops.embedding_bag(table, other, values).data, ops.embedding_bag(table, entries).data)


def test_pooling_none_has_no_deep_input(backend: Backend) -> None:
    random = np.random.default_rng(6)
    entries = draw_entries(random, fields=1, bags=True, pooling="none")
    with pytest.raises(InputError, match="none"):
        ops.embedding_fm(draw_tensor(backend, random, 9, 4), None, entries, deep=True)


@pytest.mark.parametrize("pooling", ["sum", "max"])
def test_a_first_order_in_the_row_gives_what_one_apart_gives(backend: Backend, pooling: Pooling) -> None:
    random = np.random.default_rng(8)
    entries = draw_entries(random, bags=True, values=True, pooling=pooling, dtype=np.float64)
    rows = draw_tensor(backend, random, 9, 5)
    table, linear = (Tensor(part.copy(), backend) for part in (rows.data[:, :4], rows.data[:, 4]))
    together = ops.embedding_fm(rows, None, entries, deep=True, lane=True)
    for one, other in zip(together, ops.embedding_fm(table, linear, entries, deep=True), strict=True):
        assert one is not None and other is not None
        np.testing.assert_allclose(one.data, other.data, rtol=1e-14)  # a lane's products may be fused into its sum


def test_a_plan_of_other_entries_and_two_first_orders_are_refused(backend: Backend) -> None:
    random = np.random.default_rng(9)
    table, linear, entries = draw_tensor(backend, random, 9, 4), draw_tensor(backend, random, 9), draw_entries(random)
    plan = backend.plan_rows(entries.ids[1:], 9)
    with pytest.raises(InputError, match="the row plan is of 17 ids, the entries have 18"):
        ops.embedding_fm(table, linear, entries, plan=plan)
    with pytest.raises(InputError, match="give linear=None"):
        ops.embedding_fm(table, linear, entries, lane=True)


def test_losses_are_float64_scalars(backend: Backend) -> None:
    predictions = Tensor(np.array([0.5, -1.0], np.float32), backend, requires_grad=True)
    labels = np.array([1.0, 0.0], np.float32)
    for loss, expected in [
        (ops.bce_with_logits, np.mean([np.log1p(np.exp(-0.5)), np.log1p(np.exp(-1.0))])),
        (ops.mse, np.mean([0.25, 1.0])),
        (lambda z, _: ops.softmax_cross_entropy(z, 2), np.log1p(np.exp(-1.5))),
        (lambda z, _: ops.bpr(z, 2), np.log1p(np.exp(-1.5))),
    ]:
        predictions.grad = None
        result = loss(predictions, labels)
        assert result.data.shape == () and result.data.dtype == np.float64
        assert abs(result.item() - expected) < 1e-7
        result.backward()
        assert predictions.grad.dtype == np.float32


@pytest.mark.parametrize("half", [np.float16, ml_dtypes.bfloat16])
def test_tables_of_halves_are_read_and_not_trained(half: Any) -> None:
    entries = Entries(np.array([0, 2], np.int32), 2)
    lookups: list[Callable[[Tensor], Any]] = [
        lambda table: ops.embedding(table, entries.ids),
        lambda table: ops.embedding_bag(table, entries),
        lambda table: ops.embedding_fm(table, None, entries)[1],
    ]
    for lookup in lookups:
        assert lookup(Tensor(np.ones((3, 2), half), backends.get("reference"))).data.dtype == np.float32
        with pytest.raises(InputError, match="float16 table can only be read; train in float32 and convert"):
            lookup(Tensor(np.ones((3, 2), half), backends.get("reference"), requires_grad=True))
