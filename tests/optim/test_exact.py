"""rows="exact": rows that catch up when they are read end where an optimizer that moves all rows in every step ends."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from drawing import draw_batch, to_float64

from fastfm_core import models, ops, optim, threads, train
from fastfm_core.autograd import Tensor
from fastfm_core.backends import Backend
from fastfm_core.contract import Batch
from fastfm_core.nn import FieldEmbedding, Module
from fastfm_core.optim import missed

from .rules import FTRL

NAMES = list(optim.OPTIMIZERS)
ROWS, STEPS = 60, 1000
L2 = {"sgd": 0.02, "adagrad": 0.02, "rowwise_adagrad": 0.02, "adam": 0.02, "adamw": 0.0, "ftrl": 0.02}
OWN: dict[str, dict[str, float]] = {"adamw": {"weight_decay": 0.1}, "ftrl": {"l1": 0.003, "ridge": 0.01}}


def model_of(backend: Backend, dtype: Any, first_order: Any = "lane", seed: int = 0) -> Any:
    model: Any = models.build("fm", rows=ROWS, fields=2, dense=0, backend=backend, seed=1, dim=4)
    model.embedding = FieldEmbedding(ROWS, 4, backend, seed=1, init_std=0.1, first_order=first_order)
    to_float64(model, seed)
    for tensor in model.parameters():
        tensor.data = tensor.data.astype(dtype)
    return model


def batch_of(step: int, dtype: Any) -> Batch:
    """Four samples of two fields: some rows in most batches, some once in hundreds."""
    drawn = draw_batch(step, samples=4, fields=2, rows=ROWS, dtype=dtype)
    ids = (np.random.default_rng(step).power(0.15, 8) * ROWS).astype(np.int32)
    return drawn._replace(entries=drawn.entries._replace(ids=ids))


def optimizer_of(name: str, model: Module, rows: Any, **options: Any) -> optim.Optimizer:
    return optim.build(name, model, lr=0.01, rows=rows, **{"embedding_l2": L2[name], **OWN.get(name, {}), **options})


def train_on(model: Module, optimizer: optim.Optimizer, steps: Any, dtype: Any, clip: float = 0.3) -> None:
    """Steps by number, with a learning rate that changes and the data gradient's norm clipped."""
    for step in steps:
        optimizer.lr = 0.02 * (1 + np.cos(np.pi * step / STEPS)) / 2
        train.train_step(model, optimizer, batch_of(step, dtype), task="binary", step=step, clip_norm=clip)


def in_bytes(model: Module, optimizer: optim.Optimizer) -> list[bytes]:
    return [array.tobytes() for arrays in (model.state_dict(), optimizer.state_dict()) for array in arrays.values()]


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-10), (np.float32, 2e-4)])
@pytest.mark.parametrize("name", NAMES)
def test_a_thousand_steps_end_where_dense_ones_end(backend: Backend, name: str, dtype: Any, tolerance: float) -> None:
    """Sixty by the reference."""
    steps = range(60 if backend.name == "reference" else STEPS)
    exact, dense = model_of(backend, dtype), model_of(backend, dtype)
    caught, whole = optimizer_of(name, exact, "exact"), optimizer_of(name, dense, "dense")
    assert caught.missed
    train_on(exact, caught, steps, dtype)
    train_on(dense, whole, steps, dtype)
    expected = dense.state_dict() | whole.state_dict()
    for key, array in (exact.state_dict() | caught.state_dict()).items():
        np.testing.assert_allclose(array, expected[key], rtol=tolerance, atol=tolerance, err_msg=key)


def test_lazy_rows_end_elsewhere(backend: Backend) -> None:
    lazy, dense = model_of(backend, np.float64), model_of(backend, np.float64)
    train_on(lazy, optimizer_of("adam", lazy, "lazy"), range(50), np.float64)
    train_on(dense, optimizer_of("adam", dense, "dense"), range(50), np.float64)
    assert np.abs(lazy.state_dict()["embedding.table"] - dense.state_dict()["embedding.table"]).max() > 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_two_tables_and_several_batches_a_step(backend: Backend, name: str) -> None:
    """first_order="separate": both tables of an arena are behind apart, batches of a step share what they read."""
    found = []
    for rows in ("exact", "dense"):
        model = model_of(backend, np.float64, "separate")
        optimizer = optimizer_of(name, model, rows)
        assert len(optimizer.missed) == (2 if rows == "exact" else 0)
        for step in range(0, 60, 3):
            group = [batch_of(step + n, np.float64) for n in range(3)]
            train.train_step(model, optimizer, *group, task="binary", step=step)
        found.append(model.state_dict() | optimizer.state_dict())
    for key, array in found[0].items():
        np.testing.assert_allclose(array, found[1][key], rtol=1e-11, atol=1e-11, err_msg=key)


@pytest.mark.parametrize("name", ["sgd", "adagrad", "rowwise_adagrad", "ftrl"])
def test_what_moves_no_other_row_keeps_no_record(backend: Backend, name: str) -> None:
    exact, lazy = model_of(backend, np.float32), model_of(backend, np.float32)
    found = []
    for rows, model in (("exact", exact), ("lazy", lazy)):
        optimizer = optimizer_of(name, model, rows, embedding_l2=0.0)
        assert not optimizer.missed
        train_on(model, optimizer, range(20), np.float32)
        assert all(tensor.behind is None for tensor in model.parameters())
        found.append(in_bytes(model, optimizer))
    assert found[0] == found[1]


@pytest.mark.parametrize("name", NAMES)
def test_when_rows_catch_up_changes_no_bit(backend: Backend, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the end, now and then, before every step, or whenever few learning rates are kept."""
    found = []
    for every, longest in ((1000, missed.LONGEST), (17, missed.LONGEST), (1, missed.LONGEST), (1000, 8)):
        monkeypatch.setattr(missed, "LONGEST", longest)
        model = model_of(backend, np.float32)
        optimizer = optimizer_of(name, model, "exact")
        for step in range(60):
            train_on(model, optimizer, [step], np.float32)
            if step % every == every - 1:
                optimizer.catch_up()
        found.append(in_bytes(model, optimizer))
    assert found[1:] == found[:1] * 3


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_state_goes_on_with_the_same_bits(backend: Backend, name: str) -> None:
    whole = model_of(backend, np.float32)
    optimizer = optimizer_of(name, whole, "exact")
    train_on(whole, optimizer, range(30), np.float32)
    state = {key: array.copy() for key, array in optimizer.state_dict().items()}
    weights = {key: array.copy() for key, array in whole.state_dict().items()}
    train_on(whole, optimizer, range(30, 60), np.float32)

    resumed = model_of(backend, np.float32, seed=2)
    second = optimizer_of(name, resumed, "exact")
    train_on(resumed, second, range(100, 110), np.float32)  # of which nothing must be left
    resumed.load_state_dict(weights)
    second.load_state_dict(state)
    train_on(resumed, second, range(30, 60), np.float32)
    assert in_bytes(resumed, second) == in_bytes(whole, optimizer)


@pytest.fixture
def threads_restored() -> Iterator[None]:
    before = threads.get_num_threads()
    yield
    threads.set_num_threads(before)


@pytest.mark.usefixtures("threads_restored")
@pytest.mark.parametrize("name", NAMES)
def test_threads_change_no_bit(backend: Backend, name: str) -> None:
    found = []
    for count in (1, 2, 5):
        threads.set_num_threads(count)
        model: Any = models.build("fm", rows=3000, fields=8, dense=0, backend=backend, seed=1, dim=16)
        optimizer = optimizer_of(name, model, "exact")
        for step in range(5):
            batch = draw_batch(step, samples=100, fields=8, rows=3000)
            train.train_step(model, optimizer, batch, task="binary", step=step)
        found.append(in_bytes(model, optimizer))
    assert found[1:] == found[:1] * 2


def test_predictions_are_of_the_present(backend: Backend) -> None:
    """Whoever reads a row reads it as it would be had all rows been moved: every lookup, and the model's state."""
    model = model_of(backend, np.float64)
    optimizer = optimizer_of("adam", model, "exact")
    train_on(model, optimizer, range(20), np.float64)
    table = model.embedding.table
    stale, ids = table.data.copy(), np.arange(0, ROWS, 2, dtype=np.int32)
    read = ops.embedding(table, ids[::-1].copy()).data
    pooled = ops.embedding_bag(table, batch_of(100, np.float64).entries).data
    fused = model.predict(batch_of(101, np.float64))
    optimizer.catch_up()
    assert (table.data != stale).any()
    np.testing.assert_array_equal(read, table.data[ids[::-1]])
    np.testing.assert_array_equal(pooled, ops.embedding_bag(table, batch_of(100, np.float64).entries).data)
    np.testing.assert_array_equal(fused, model.predict(batch_of(101, np.float64)))


def test_a_table_without_a_part_in_a_step_stays(backend: Backend) -> None:
    """As with rows="dense": the step counts, and the rows are not moved by it."""
    found = []
    for rows in ("exact", "dense"):
        model = model_of(backend, np.float64)
        optimizer = optimizer_of("adam", model, rows)
        for step in range(12):
            train_on(model, optimizer, [step], np.float64)
            optimizer.zero_grad()
            optimizer.step()
        found.append(model.state_dict() | optimizer.state_dict())
    for key, array in found[0].items():
        np.testing.assert_allclose(array, found[1][key], rtol=1e-12, atol=1e-12, err_msg=key)


def test_a_second_optimizer_finds_all_rows_present(backend: Backend) -> None:
    model = model_of(backend, np.float64)
    first = optimizer_of("adam", model, "exact")
    train_on(model, first, range(10), np.float64)
    table = model.embedding.table
    assert table.behind is not None
    optimizer_of("sgd", model, "lazy")
    assert table.behind is None
    before = table.data.copy()
    first.catch_up()
    np.testing.assert_array_equal(table.data, before)


def test_an_optimizer_with_nothing_left_to_do_is_freed_at_once(backend: Backend) -> None:
    """Its states are as large as tables; they must not wait for the collector of cycles."""
    model = model_of(backend, np.float32)
    optimizer = optimizer_of("adam", model, "exact")
    train_on(model, optimizer, range(3), np.float32)
    optimizer.catch_up()
    gone = weakref.ref(optimizer)
    gc.disable()
    try:
        del optimizer
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("start", [0.0, 0.3])
def test_ftrl_is_the_papers(backend: Backend, start: float) -> None:
    """A thousand gradients on [5, 3] weights, with a learning rate that falls; L1 makes some of them exactly 0."""
    draw = np.random.default_rng(0)
    x = Tensor(start * draw.standard_normal((5, 3)), backend, requires_grad=True)
    optimizer, rule = optim.FTRL({"x": x}, lr=0.1, l1=2.0, ridge=0.5), FTRL(x.data, l1=2.0, ridge=0.5)
    zeros = 0
    for step in range(1000):
        optimizer.lr = 0.1 if step < 500 else 0.02
        x.grad = draw.standard_normal((5, 3)) * (draw.random((5, 3)) < 0.3) + 0.1 * (np.arange(3) - 1)
        rule.step(x.grad, optimizer.lr)
        optimizer.step()
        np.testing.assert_allclose(x.data, rule.weights, rtol=1e-9, atol=1e-12)
        np.testing.assert_array_equal(x.data == 0, rule.weights == 0)
        zeros += int((x.data == 0).sum())
    assert 100 < zeros < 14000


def test_clipping_with_the_l2_term(backend: Backend) -> None:
    """SGD moves by lr * clip_norm in all, whatever share of the gradient is embedding_l2's."""
    model = model_of(backend, np.float64)
    optimizer = optim.build("sgd", model, lr=0.5, rows="dense", embedding_l2=3.0)
    before = {key: array.copy() for key, array in model.state_dict().items()}
    train.train_step(model, optimizer, batch_of(1, np.float64), task="binary", step=1, clip_norm=0.01, clip_l2=True)
    moved = sum(np.sum((array - before[key]) ** 2) for key, array in model.state_dict().items())
    np.testing.assert_allclose(np.sqrt(moved), 0.5 * 0.01, rtol=1e-9)
