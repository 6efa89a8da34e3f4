"""The tape: what it records, how gradients add up, what it refuses and when it lets go."""

from __future__ import annotations

import gc
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawing import draw_batch, draw_tensor

import fastfm_core.autograd
from fastfm_core import backends, models, ops
from fastfm_core.autograd import Tensor, no_grad
from fastfm_core.autograd.engine import backward
from fastfm_core.backends import Backend
from fastfm_core.errors import InputError, StaleGradient

from .functions import Product, Scale, SquareAndCube

REFERENCE = backends.get("reference")


def leaf(*values: float) -> Tensor:
    return Tensor(np.array(values), REFERENCE, requires_grad=True)


def test_a_tensor_used_twice_gets_the_sum() -> None:
    x = leaf(2.0, 3.0)
    Product.apply(x, Scale.apply(x, factor=5.0)).backward()
    np.testing.assert_array_equal(x.grad, 10 * x.data)


def test_both_operands_may_be_one_tensor() -> None:
    x = leaf(2.0, 3.0)
    Product.apply(x, x).backward()
    np.testing.assert_array_equal(x.grad, 2 * x.data)


def test_an_inner_tensor_used_twice_is_visited_once() -> None:
    x = leaf(2.0)
    inner = Scale.apply(x)
    Product.apply(Scale.apply(inner), Product.apply(inner, inner)).backward()  # 2 (2x) (2x)^2 = 16 x^3
    np.testing.assert_array_equal(x.grad, 48 * x.data**2)


def test_gradients_of_several_passes_add_up_and_nothing_is_changed_in_place() -> None:
    x, seed = leaf(1.0, 2.0), np.array([1.0, 10.0])
    Scale.apply(x).backward(seed)
    first = x.grad
    Scale.apply(x).backward(seed)
    np.testing.assert_array_equal(x.grad, [4.0, 40.0])
    np.testing.assert_array_equal(first, [2.0, 20.0])
    np.testing.assert_array_equal(seed, [1.0, 10.0])


def test_several_outputs() -> None:
    x = leaf(2.0, 3.0)
    square, nothing, cube = SquareAndCube.apply(x)
    assert nothing is None
    Product.apply(square, cube).backward()
    np.testing.assert_array_equal(x.grad, 5 * x.data**4)


@pytest.mark.parametrize(("used", "slope"), [(0, lambda x: 2 * x), (2, lambda x: 3 * x**2)])
def test_outputs_that_are_not_used_pass_nothing_back(used: int, slope: object) -> None:
    assert callable(slope)
    x = leaf(2.0, 3.0)
    SquareAndCube.apply(x)[used].backward()
    np.testing.assert_array_equal(x.grad, slope(x.data))


def test_several_roots_are_one_walk() -> None:
    x = leaf(2.0, 3.0)
    square, _, cube = SquareAndCube.apply(x)
    backward([square, cube, x], [np.ones(2), np.full(2, 2.0), np.full(2, 7.0)])
    np.testing.assert_array_equal(x.grad, 2 * x.data + 6 * x.data**2 + 7)


def test_depth_costs_no_stack() -> None:
    x = leaf(1.0)
    y = x
    for _ in range(10_000):
        y = Scale.apply(y, factor=-1.0)
    y.backward()
    assert x.grad == 1.0


def test_a_deep_tape_is_dropped_without_a_walk() -> None:
    x = leaf(1.0)
    y = x
    for _ in range(10_000):
        y = Scale.apply(y, factor=-1.0)
    node = weakref.ref(y.node)
    del y
    gc.collect()
    assert node() is None


def test_constants_get_no_gradient_and_record_nothing() -> None:
    x, constant = leaf(2.0), Tensor(np.array([3.0]), REFERENCE)
    Product.apply(x, constant).backward()
    assert x.grad == 3.0 and constant.grad is None
    assert not Scale.apply(constant).requires_grad and Scale.apply(constant).node is None


def test_seeds_of_any_layout_and_dtype(backend: Backend) -> None:
    """Kernels want C order and one dtype: the root's gradient is brought to it."""
    random = np.random.default_rng(1)
    ids = random.integers(0, 9, (6, 4))
    seed = random.standard_normal((6, 4, 5)).astype(np.float32)
    gradients = []
    for variant in (seed, np.asfortranarray(seed), np.repeat(seed, 2, axis=2)[:, :, ::2], seed.astype(np.float64)):
        table = draw_tensor(backend, np.random.default_rng(2), 9, 5, dtype=np.float32)
        ops.embedding(table, ids).backward(variant)
        gradients.append(table.grad.dense())
    for gradient in gradients[1:]:
        np.testing.assert_array_equal(gradient, gradients[0])
        assert gradient.dtype == np.float32


def test_no_grad_records_nothing_and_restores() -> None:
    x = leaf(1.0)
    with no_grad():
        with no_grad():
            assert Scale.apply(x).node is None
        assert Scale.apply(x).node is None
    assert Scale.apply(x).node is not None
    with pytest.raises(ZeroDivisionError), no_grad():
        raise ZeroDivisionError
    assert Scale.apply(x).node is not None


def test_no_grad_is_the_threads_own() -> None:
    x, recorded = leaf(1.0), []
    thread = threading.Thread(target=lambda: recorded.append(Scale.apply(x).node is not None))
    with no_grad():
        thread.start()
        thread.join()
        assert Scale.apply(x).node is None
    assert recorded == [True]


def test_mixing_backends_is_refused() -> None:
    other = Tensor(np.ones(1), backends.get("numba"), requires_grad=True)
    with pytest.raises(InputError, match="Product needs tensors of one backend, got numba and reference"):
        Product.apply(leaf(1.0), other)
    with pytest.raises(InputError, match="one backend, got none"):
        Scale.apply(np.ones(1))


def test_a_tape_is_walked_once() -> None:
    y = Scale.apply(leaf(1.0))
    y.backward()
    with pytest.raises(InputError, match="Scale was walked already"):
        y.backward()


def test_an_input_that_changed_after_forward_is_refused(backend: Backend) -> None:
    random = np.random.default_rng(3)
    table, weight, bias = (draw_tensor(backend, random, *shape) for shape in [(9, 4), (4, 2), (2,)])
    y = ops.linear(ops.embedding(table, np.arange(3)), weight, bias)
    weight.data -= 1.0
    weight.version += 1
    with pytest.raises(StaleGradient, match="changed after forward"):
        y.backward()


def test_the_tape_is_freed_by_backward(backend: Backend) -> None:
    """While the loss itself is still held: no node, no activation and no saved array outlives the walk."""
    model: Any = models.build("deepfm", rows=9, fields=3, dense=2, backend=backend, dim=4, hidden=(5,))
    batch = draw_batch(numbers=2)
    assert batch.labels is not None
    first, pairs, deep = model.embedding(batch, "first", "pairs", "deep")
    hidden = ops.linear_relu(deep, model.mlp.layers[0].weight, model.mlp.layers[0].bias)
    loss = ops.bce_with_logits(ops.add(first, pairs, ops.squeeze(model.mlp.head(hidden))), batch.labels)
    inner = [weakref.ref(x) for tensor in (first, pairs, deep, hidden) for x in (tensor, tensor.node)]
    inner.append(weakref.ref(hidden.data))
    del first, pairs, deep, hidden
    assert all(x() is not None for x in inner)
    loss.backward()
    model.embedding.table.grad = None
    gc.collect()
    assert [x() for x in inner] == [None] * len(inner)
    assert np.isfinite(loss.item())


def test_the_tape_is_small() -> None:
    package = Path(fastfm_core.autograd.__file__).parent
    assert sum(len(path.read_text().splitlines()) for path in package.glob("*.py")) <= 300


def test_nothing_recorded_means_nothing_to_differentiate(backend: Backend) -> None:
    tensor = Tensor(np.ones(3), backend, requires_grad=True)
    with no_grad():
        total = ops.add(tensor)
    with pytest.raises(InputError, match="nothing to differentiate"):
        total.backward()
