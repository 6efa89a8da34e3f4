"""Lazy row gradients: sums of parts equal the dense sum, stale ones are refused, nothing big is built."""

from __future__ import annotations

import threading
import tracemalloc
from typing import Any

import numpy as np
import pytest
from drawing import draw_batch, draw_entries, draw_tensor, loss_of, to_float64

from fastfm_core import models, ops, optim
from fastfm_core.autograd import RowGradient, Tensor
from fastfm_core.backends import Backend
from fastfm_core.contract import Entries
from fastfm_core.errors import StaleGradient

ROWS, DIM = 9, 4


def lazy(table: Tensor, entries: Entries, seed: int) -> RowGradient:
    """The gradient by the table of randomly weighted FM outputs and pooled rows."""
    table.grad = None
    _, pairs, deep = ops.embedding_fm(table, None, entries, deep=True)
    random = np.random.default_rng(seed)
    assert deep is not None
    by_bias = draw_tensor(table.backend, random, 1)
    weight = draw_tensor(table.backend, random, deep.data.shape[1], 1)
    total = ops.add(pairs, ops.squeeze(ops.linear(deep, weight, by_bias)))
    total.backward(random.standard_normal(entries.samples))
    gradient, table.grad = table.grad, None
    assert isinstance(gradient, RowGradient)
    return gradient


@pytest.fixture
def table(backend: Backend) -> Tensor:
    return draw_tensor(backend, np.random.default_rng(1), ROWS, DIM)


def same_and_different_plans(table: Tensor) -> list[list[RowGradient]]:
    random = np.random.default_rng(2)
    one, bags = draw_entries(random, rows=5), draw_entries(random, bags=True, values=True, dtype=np.float64)
    few = Entries(np.array([8, 8, 1], np.int32), 3)
    return [
        [lazy(table, one, 1), lazy(table, one, 2)],
        [lazy(table, one, 1), lazy(table, bags, 2)],
        [lazy(table, few, 1), lazy(table, bags, 2), lazy(table, one, 3), lazy(table, few, 4)],
    ]


def test_one_part_is_handed_over_as_it_is(table: Tensor) -> None:
    gradient = lazy(table, draw_entries(np.random.default_rng(2)), 1)
    assert gradient.combined() is gradient.parts[0]


def test_the_sum_of_lazy_gradients_is_the_dense_sum(table: Tensor) -> None:
    for parts in same_and_different_plans(table):
        expected = sum(part.dense() for part in parts)
        total: Any = parts[0]
        for part in parts[1:]:
            total = total + part
        assert isinstance(total, RowGradient) and len(total.parts) == len(parts)
        np.testing.assert_allclose(total.dense(), expected, rtol=1e-12, atol=1e-12)


def test_combined_sums_over_the_union_of_the_rows(table: Tensor) -> None:
    for parts in same_and_different_plans(table):
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        plan, source = total.combined()
        assert plan.rows.tolist() == sorted(set().union(*(part.parts[0][0].rows.tolist() for part in parts)))
        dense = np.zeros((ROWS, DIM))
        dense[plan.rows] = table.backend.materialize_rows(table.data, plan, source)
        np.testing.assert_allclose(dense, total.dense(), rtol=1e-12, atol=1e-12)


def test_norm2_is_that_of_the_sum(table: Tensor) -> None:
    for parts in same_and_different_plans(table):
        total = parts[0]
        for part in parts:
            np.testing.assert_allclose(part.norm2(), np.sum(part.dense() ** 2), rtol=1e-12)
        for part in parts[1:]:
            total = total + part
        np.testing.assert_allclose(total.norm2(), np.sum(total.dense() ** 2), rtol=1e-12)


def test_arrays_are_added_from_both_sides(table: Tensor) -> None:
    gradient = lazy(table, draw_entries(np.random.default_rng(2)), 1)
    array = np.random.default_rng(3).standard_normal((ROWS, DIM))
    for total in (gradient + array, array + gradient):
        assert type(total) is np.ndarray and total.dtype == np.float64
        np.testing.assert_array_equal(total, gradient.dense() + array)


def test_a_table_looked_up_and_multiplied_gets_the_sum(table: Tensor) -> None:
    """Lazy and dense gradients meet in one leaf, in either order."""
    backend = table.backend
    x, bias = Tensor(np.random.default_rng(4).standard_normal((3, ROWS)), backend), Tensor(np.zeros(DIM), backend)
    ids = np.array([[1, 2], [2, 2], [0, 8]])

    def gradient(order: int) -> np.ndarray:
        table.grad = None
        uses = [lambda: ops.linear(x, table, bias).backward(), lambda: ops.embedding(table, ids).backward()]
        for use in uses[::order]:
            use()
        return table.grad

    expected = x.data.sum(axis=0)[:, None] + np.bincount(ids.ravel(), minlength=ROWS)[:, None] * np.ones(DIM)
    np.testing.assert_allclose(gradient(1), expected, rtol=1e-12)
    np.testing.assert_allclose(gradient(-1), expected, rtol=1e-12)


def test_first_order_weights_are_rows_of_one(backend: Backend) -> None:
    random = np.random.default_rng(5)
    linear, entries = draw_tensor(backend, random, ROWS), draw_entries(random)
    first, _, _ = ops.embedding_fm(draw_tensor(backend, random, ROWS, DIM), linear, entries)
    first.backward()
    assert linear.grad.rows.shape == (ROWS, 1)
    np.testing.assert_array_equal(linear.grad.dense(), np.bincount(entries.ids, minlength=ROWS))


def test_fm_and_mlp_share_one_embedding(backend: Backend) -> None:
    """DeepFM's table gets what FM and deep part give it apart, as one lazy part."""
    batch = draw_batch(numbers=2, dtype=np.float64)
    seed = np.random.default_rng(6).standard_normal(6)
    gradients: dict[str, RowGradient] = {}
    for used in ("pairs", "deep", "both"):
        model: Any = models.build("deepfm", rows=ROWS, fields=3, dense=2, backend=backend, dim=DIM, hidden=(5,))
        to_float64(model)
        pairs, deep = model.embedding(batch, "pairs", "deep")
        outputs = {"pairs": [pairs], "deep": [model.mlp(deep)], "both": [pairs, model.mlp(deep)]}[used]
        ops.add(*outputs).backward(seed)
        gradients[used] = model.embedding.table.grad
    assert len(gradients["both"].parts) == 1
    apart = [gradients["pairs"].dense(), gradients["deep"].dense()]
    assert all(np.abs(share).max() > 0.1 for share in apart)
    np.testing.assert_allclose(gradients["both"].dense(), sum(apart), rtol=1e-12, atol=1e-12)


def stale_use(gradient: RowGradient) -> list[Any]:
    other = RowGradient(gradient.table, gradient.parts)
    return [
        gradient.combined, gradient.materialize, gradient.dense, gradient.norm2,
        lambda: gradient + other, lambda: other + gradient, lambda: gradient + np.zeros((ROWS, DIM)),
    ]  # fmt: skip


def trained(backend: Backend) -> tuple[Any, optim.Optimizer]:
    model = models.build("fm", rows=ROWS, fields=3, dense=0, backend=backend, dim=DIM)
    batch = draw_batch()
    loss_of(model, batch).backward()
    return model, optim.build("sgd", model, lr=0.1)


def test_stale_after_an_optimizer_step(backend: Backend) -> None:
    model, optimizer = trained(backend)
    gradient = model.embedding.table.grad
    gradient.dense()
    optimizer.step()
    for use in stale_use(gradient):
        with pytest.raises(StaleGradient, match="before the table changed"):
            use()
    with pytest.raises(StaleGradient):
        optimizer.step()


def test_stale_after_load_state_dict(backend: Backend) -> None:
    model, _ = trained(backend)
    gradient = model.embedding.table.grad
    model.load_state_dict({name: array.copy() for name, array in model.state_dict().items()})
    for use in stale_use(gradient):
        with pytest.raises(StaleGradient):
            use()


def measured(work: Any) -> int:
    """Peak of the bytes that a call newly allocates, in a thread of its own, where no scratch buffer is left over."""
    peaks: list[int] = []

    def traced() -> None:
        forward = work()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        forward()
        peaks.append(tracemalloc.get_traced_memory()[1] - before)
        tracemalloc.stop()

    thread = threading.Thread(target=traced)
    thread.start()
    thread.join()
    return peaks[0]


def large_model(name: str, backend: Backend, **options: Any) -> tuple[Any, Any]:
    model = models.build(name, rows=20_000, fields=10, dense=0, backend=backend, dim=64, **options)
    return model, draw_batch(samples=200, fields=10, rows=20_000)


def test_backward_of_an_fm_builds_nothing_of_entries_times_dim(backend: Backend) -> None:
    """N = 2000, D = 64: a gradient per entry would be 512 kB, one per row of the table 5.1 MB."""
    model, batch = large_model("fm", backend)

    def work() -> Any:
        model.embedding.table.grad = None
        return loss_of(model, batch).backward

    measured(work)
    assert measured(work) < 2000 * 64 * 4 / 2
    ((_, source),) = model.embedding.table.grad.parts
    assert source.slot_grad is None and source.slot_values is None and source.sums.shape == (200, 64)


def test_backward_of_deepfm_builds_only_the_gradient_of_the_deep_input(backend: Backend) -> None:
    """The product's [B, F*D] output is the one array of that size; the row gradient refers to it as it is."""
    model, batch = large_model("deepfm", backend, hidden=(8,))

    def work() -> Any:
        model.embedding.table.grad = None
        return loss_of(model, batch).backward

    measured(work)
    assert measured(work) < 1.6 * 2000 * 64 * 4
    ((_, source),) = model.embedding.table.grad.parts
    assert source.slot_values is None and source.slot_grad.base is not None
    assert source.slot_grad.shape == (200, 10, 64)
    assert source.first_grad.shape == (200,)
