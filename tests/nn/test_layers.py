"""Linear, MLP, BatchNorm, Dropout and FieldEmbedding: shapes, starting values, running statistics, draws."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from drawing import draw_batch, draw_tensor

from fastfm_core import ops
from fastfm_core.autograd import Tensor
from fastfm_core.backends import Backend
from fastfm_core.errors import InputError
from fastfm_core.nn import MLP, BatchNorm, Dropout, FieldEmbedding, Linear, Module, Uses
from fastfm_core.nn.field_embedding import PIECE
from fastfm_core.nn.uses import batch_of_fields
from fastfm_core.random import keep_threshold, philox


def inputs(backend: Backend, *shape: int, seed: int = 1) -> Tensor:
    return Tensor(np.random.default_rng(seed).standard_normal(shape).astype(np.float32), backend, requires_grad=True)


def bits(module: Module) -> list[bytes]:
    return [tensor.data.tobytes() for tensor in module.parameters()]


def test_linear_starts_at_he(backend: Backend) -> None:
    layer = Linear(200, 300, backend, seed=1, layer=0)
    assert layer.weight.data.shape == (200, 300) and layer.bias.data.shape == (300,)
    assert layer.weight.data.dtype == layer.bias.data.dtype == np.float32
    deviation = np.sqrt(2 / 200)
    assert abs(layer.weight.data.std() / deviation - 1) < 0.02
    assert abs(layer.weight.data.mean()) < 5 * deviation / np.sqrt(200 * 300)
    assert not layer.bias.data.any()


def test_starting_values_depend_on_seed_and_layer(backend: Backend) -> None:
    def weight(seed: int, layer: int) -> np.ndarray:
        return Linear(5, 4, backend, seed=seed, layer=layer).weight.data

    np.testing.assert_array_equal(weight(1, 0), weight(1, 0))
    assert (weight(1, 0) != weight(1, 1)).all() and (weight(1, 0) != weight(2, 0)).all()


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("hidden", [(), (4,), (4, 3, 2)])
def test_mlp_gives_a_number_a_sample(backend: Backend, hidden: tuple[int, ...], batch_norm: bool) -> None:
    mlp = MLP(5, hidden, backend, seed=1, dropout=0.5, batch_norm=batch_norm)
    for samples in (1, 7):
        out = mlp(inputs(backend, samples, 5))
        assert out.data.shape == (samples,) and out.data.dtype == np.float32
    widths = [5, *hidden, 1]
    expected = sum(k * h + h for k, h in pairwise(widths)) + 2 * sum(hidden) * batch_norm
    assert sum(tensor.data.size for tensor in mlp.parameters()) == expected


def test_mlp_of_no_samples(backend: Backend) -> None:
    assert MLP(5, (4,), backend, seed=1)(inputs(backend, 0, 5)).data.shape == (0,)


def test_mlp_is_its_layers_one_after_another(backend: Backend) -> None:
    for batch_norm in (False, True):
        mlp = MLP(5, (4, 3), backend, seed=1, dropout=0.4, batch_norm=batch_norm)
        mlp.begin_step(3)
        h = x = inputs(backend, 6, 5)
        for n in range(2):
            h = mlp.layers[n](h)
            h = mlp.norms[n](h) if batch_norm else h
            h = mlp.drops[n](ops.relu(h))
        np.testing.assert_allclose(mlp(x).data, ops.squeeze(mlp.head(h)).data, rtol=1e-5, atol=1e-6)


def test_batch_norm_keeps_running_statistics(backend: Backend) -> None:
    norm = BatchNorm(3, backend, eps=1e-3, momentum=0.2)
    mean, variance = np.zeros(3), np.ones(3)
    for step in range(4):
        x = inputs(backend, 5 + step, 3, seed=step)
        x.data *= 3
        out = norm(x).data
        expected = (x.data - x.data.mean(axis=0)) / np.sqrt(x.data.var(axis=0) + 1e-3)
        np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-5)
        mean = 0.8 * mean + 0.2 * x.data.mean(axis=0)
        variance = 0.8 * variance + 0.2 * x.data.var(axis=0, ddof=1)
        np.testing.assert_allclose(norm.running_mean, mean, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(norm.running_variance, variance, rtol=1e-5)


def test_batch_norm_in_evaluation_uses_and_keeps_them(backend: Backend) -> None:
    norm = BatchNorm(3, backend)
    norm.running_mean[:], norm.running_variance[:] = [1, 2, 3], [4, 5, 6]
    norm.gamma.data[:], norm.beta.data[:] = [2, 3, 4], [-1, 0, 1]
    norm.eval()
    x = inputs(backend, 5, 3)
    expected = (x.data - [1, 2, 3]) / np.sqrt(np.array([4, 5, 6]) + 1e-5) * [2, 3, 4] + [-1, 0, 1]
    np.testing.assert_allclose(norm(x).data, expected, rtol=1e-5, atol=1e-6)
    assert norm.running_mean.tolist() == [1, 2, 3] and norm.running_variance.tolist() == [4, 5, 6]


def test_batch_norm_of_one_sample_is_its_shift(backend: Backend) -> None:
    norm = BatchNorm(3, backend)
    norm.beta.data[:] = [1, 2, 3]
    assert norm(inputs(backend, 1, 3)).data.tolist() == [[1, 2, 3]]
    assert np.isfinite(norm.running_mean).all() and np.isfinite(norm.running_variance).all()


def test_dropout_drops_in_training_only(backend: Backend) -> None:
    drop, x = Dropout(0.5, seed=1, layer=0), inputs(backend, 20, 10)
    dropped = drop(x).data
    assert 60 < (dropped == 0).sum() < 140
    np.testing.assert_array_equal(dropped[dropped != 0], 2 * x.data[dropped != 0])
    drop.eval()
    assert drop(x) is x
    assert Dropout(0.0, seed=1, layer=0)(x) is x


def test_dropout_is_a_function_of_seed_step_and_layer(backend: Backend) -> None:
    def mask(seed: int, step: int, layer: int) -> np.ndarray:
        drop = Dropout(0.3, seed=seed, layer=layer)
        drop.begin_step(step)
        drop(inputs(backend, 3, 3))  # earlier draws change nothing
        return drop(Tensor(np.ones((40, 5), np.float32), backend)).data != 0

    draws = philox(1, 2, 3, 200).reshape(40, 5)
    np.testing.assert_array_equal(mask(1, 2, 3), draws >= keep_threshold(0.3))
    for other in [(2, 2, 3), (1, 3, 3), (1, 2, 4)]:
        assert (mask(*other) != mask(1, 2, 3)).any()


def test_an_mlps_layers_draw_apart(backend: Backend) -> None:
    mlp = MLP(5, (50, 50), backend, seed=1, dropout=0.5)
    keys = [drop.key() for drop in mlp.drops]
    assert len(set(keys)) == 2 and None not in keys
    mlp.begin_step(4)
    assert [drop.key() for drop in mlp.drops] != keys
    mlp.eval()
    assert [drop.key() for drop in mlp.drops] == [None, None]


def test_field_embedding_starts_at_normal_rows_and_no_first_order(backend: Backend) -> None:
    embedding = FieldEmbedding(4000, 16, backend, seed=1, init_std=0.05)
    vectors, first = embedding.table.data[:, :-1], embedding.table.data[:, -1]
    assert abs(vectors.std() / 0.05 - 1) < 0.02
    assert abs(vectors.mean()) < 5 * 0.05 / np.sqrt(64_000)
    assert not first.any()
    assert embedding.table.data.ctypes.data % 64 == 0
    assert bits(FieldEmbedding(40, 4, backend, seed=1)) == bits(FieldEmbedding(40, 4, backend, seed=1))
    assert bits(FieldEmbedding(40, 4, backend, seed=1)) != bits(FieldEmbedding(40, 4, backend, seed=2))


def test_zero_rows_start_at_zero_and_change_no_other(backend: Backend) -> None:
    plain = FieldEmbedding(40, 4, backend, seed=1).table.data
    table = FieldEmbedding(40, 4, backend, seed=1, zero_rows=np.array([0, 7, 39])).table.data
    assert not table[[0, 7, 39]].any()
    others = np.setdiff1d(np.arange(40), [0, 7, 39])
    np.testing.assert_array_equal(table[others], plain[others])
    assert plain[[0, 7, 39], :-1].all()


def test_field_embedding_of_dim_zero_trains_the_first_order_alone(backend: Backend) -> None:
    embedding = FieldEmbedding(9, 0, backend, seed=1)
    assert [path for path, _ in embedding.named_parameters()] == ["table"]
    for bags in (False, True):
        first, pairs = embedding(draw_batch(bags=bags, values=True), "first", "pairs")
        assert not pairs.data.any()
        ops.add(first, pairs).backward()
    assert embedding.table.grad.dense().shape == (9, 1)


@pytest.mark.parametrize("dim", [0, 4, 15])
def test_lane_and_separate_first_order_start_with_the_same_embeddings(backend: Backend, dim: int) -> None:
    """More rows than are drawn at a time; zero rows included."""
    options: dict[str, Any] = {"seed": 3, "zero_rows": np.array([1, PIECE + 1])}
    lane = FieldEmbedding(PIECE + 9, dim, backend, **options)
    separate = FieldEmbedding(PIECE + 9, dim, backend, first_order="separate", **options)
    np.testing.assert_array_equal(lane.table.data[:, :dim], separate.table.data)
    assert lane.table.data.shape == (PIECE + 9, dim + 1) and separate.linear.data.shape == (PIECE + 9,)
    assert lane.tables == ("table",) and separate.tables == ("table", "linear")
    assert not lane.table.data[:, dim].any() and not separate.linear.data.any()


def test_an_unknown_first_order_is_refused(backend: Backend) -> None:
    with pytest.raises(InputError, match="first_order must be 'lane', 'separate' or 'none', got 'last'"):
        FieldEmbedding(3, 2, backend, seed=0, first_order="last")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("first_order", ["lane", "separate"])
def test_a_batch_with_its_plan_needs_no_other(
    backend: Backend, first_order: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plan of a batch is handed on as it is, and not to lookups of some of the fields."""
    batch = draw_batch(bags=True)
    plan = backend.plan_rows(batch.entries.ids, 9)
    made: list[int] = []
    make = backend.plan_rows
    monkeypatch.setattr(backend, "plan_rows", lambda ids, rows: (made.append(len(ids)), make(ids, rows))[1])
    embedding = FieldEmbedding(9, 4, backend, seed=1, first_order=first_order)
    first, pairs = embedding(batch._replace(plan=plan), "first", "pairs")
    ops.add(first, pairs).backward()
    assert embedding.table.grad.parts[0][0] is plan and not made
    some = np.array([True, False, True])
    embedding = FieldEmbedding(9, 4, backend, seed=1, first_order=first_order, uses=Uses(some, some, some))
    first, pairs = embedding(batch._replace(plan=plan), "first", "pairs")
    ops.add(first, pairs).backward()
    assert made == [len(batch_of_fields(batch, some, backend).entries.ids)]


def test_one_sample_teaches_batch_norm_nothing(backend: Backend) -> None:
    norm = BatchNorm(3, backend)
    norm(draw_tensor(backend, np.random.default_rng(0), 1, 3, dtype=np.float32))
    assert (norm.running_mean == 0).all() and (norm.running_variance == 1).all()


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_a_dropout_rate_out_of_bounds_is_refused(rate: float) -> None:
    with pytest.raises(InputError, match="dropout rate"):
        Dropout(rate, seed=0, layer=0)


def test_streams_tell_modules_of_one_seed_apart(backend: Backend) -> None:
    tables = [FieldEmbedding(5, 4, backend, seed=3, stream=stream).table.data[:, :4] for stream in (0, 1)]
    assert not np.isclose(*tables).any()
    heads = [MLP(4, (3,), backend, seed=3, stream=stream).head.weight.data for stream in (0, 1)]
    assert not np.isclose(*heads).any()
