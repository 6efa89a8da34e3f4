"""Optimizers against rules written by hand, over whole trainings in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import ml_dtypes
import numpy as np
import pytest
from drawing import draw_batch, loss_of, to_float64

from fastfm_core import backends, models, optim
from fastfm_core.autograd import RowGradient, Tensor
from fastfm_core.backends import Backend
from fastfm_core.contract import Batch
from fastfm_core.errors import InputError
from fastfm_core.nn import Module

from .rules import RULES, Rule

ROWS, LR = 12, 0.05
TABLES = ("embedding.table",)
NAMES = list(RULES)
Rows = Literal["exact", "lazy", "dense"]


def small_model(backend: Backend) -> Module:
    """A DeepFM in float64: tables, vectors, matrices and a scalar."""
    model = models.build("deepfm", rows=ROWS, fields=3, dense=2, backend=backend, dim=4, hidden=(3,), dropout=0.0)
    to_float64(model)
    return model


def batches(steps: int, seed: int = 0) -> list[Batch]:
    """Bags and single ids in turn, few enough ids that rows stay untouched, many repeats."""
    return [
        draw_batch(seed + n, samples=3, numbers=2, rows=ROWS, bags=n % 2 == 1, values=n % 3 == 0, dtype=np.float64)
        for n in range(steps)
    ]


def gradients(model: Module) -> dict[str, np.ndarray]:
    """Every parameter's gradient as an array."""
    return {
        name: tensor.grad.dense() if isinstance(tensor.grad, RowGradient) else tensor.grad
        for name, tensor in model.named_parameters()
    }


def rules_of(name: str, model: Module) -> dict[str, Rule]:
    return {path: RULES[name](tensor.data) for path, tensor in model.named_parameters()}


def assert_agree(model: Module, rules: dict[str, Rule]) -> None:
    for path, tensor in model.named_parameters():
        np.testing.assert_allclose(tensor.data, rules[path].weights, rtol=1e-9, atol=1e-12, err_msg=path)


def follow(
    backend: Backend, name: str, rows: Rows, l2: float = 0.0, scale: float = 1.0, restricted: bool | None = None
) -> Module:
    """Twenty steps of an optimizer beside its rule; with ``restricted`` rules move only the tables' looked-up rows."""
    model = small_model(backend)
    optimizer, rules = optim.build(name, model, lr=LR, embedding_l2=l2, rows=rows), rules_of(name, model)
    restricted = rows == "lazy" if restricted is None else restricted
    for step, batch in enumerate(batches(20)):
        optimizer.lr = lr = LR / (1 + step)
        optimizer.zero_grad()
        loss_of(model, batch).backward()
        for path, gradient in gradients(model).items():
            table = path in TABLES
            summed = scale * gradient + (l2 * rules[path].weights if table else 0)
            touched = np.unique(batch.entries.ids) if table and restricted else slice(None)
            rules[path].step(summed, lr, touched)
        optimizer.step(scale)
        if step % 5 == 4:
            optimizer.catch_up()
            assert_agree(model, rules)
    return model


@pytest.mark.parametrize("name", NAMES)
def test_dense_rows_follow_the_rule(backend: Backend, name: str) -> None:
    follow(backend, name, "dense")


@pytest.mark.parametrize("l2", [0.0, 0.1])
@pytest.mark.parametrize("name", NAMES)
def test_exact_rows_follow_the_rule_on_all_rows(backend: Backend, name: str, l2: float) -> None:
    follow(backend, name, "exact", l2=l2, scale=0.3)


@pytest.mark.parametrize("name", NAMES)
def test_lazy_rows_follow_the_rule_on_the_rows_of_the_batch(backend: Backend, name: str) -> None:
    follow(backend, name, "lazy")


@pytest.mark.parametrize("rows", ["lazy", "dense"])
@pytest.mark.parametrize("name", NAMES)
def test_l2_and_gradient_scale(backend: Backend, name: str, rows: Rows) -> None:
    """The gradient is scaled, the pull towards 0 is not; only tables feel it."""
    follow(backend, name, rows, l2=0.1, scale=0.3)


@pytest.mark.parametrize("name", ["sgd", "adagrad", "rowwise_adagrad", "ftrl"])
def test_lazy_is_dense_without_l2(backend: Backend, name: str) -> None:
    follow(backend, name, "lazy", restricted=False)


def test_lazy_adam_is_not_dense_adam(backend: Backend) -> None:
    with pytest.raises(AssertionError, match="embedding"):
        follow(backend, "adam", "lazy", restricted=False)


@pytest.mark.parametrize("name", NAMES)
def test_dense_l2_is_the_term_of_the_loss(backend: Backend, name: str) -> None:
    """(lambda/2) |tables|^2 added to the loss adds lambda w to the gradient of every row."""
    by_option, by_loss = small_model(backend), small_model(backend)
    steps = [
        (by_option, optim.build(name, by_option, lr=LR, embedding_l2=0.1, rows="dense")),
        (by_loss, optim.build(name, by_loss, lr=LR, rows="dense")),
    ]
    for batch in batches(5):
        for model, optimizer in steps:
            optimizer.zero_grad()
            loss_of(model, batch).backward()
            if model is by_loss:
                for path, tensor in model.named_parameters():
                    tensor.grad = tensor.grad + 0.1 * tensor.data if path in TABLES else tensor.grad
            optimizer.step()
    for one, other in zip(by_option.parameters(), by_loss.parameters(), strict=True):
        np.testing.assert_allclose(one.data, other.data, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_a_row_that_occurs_often_is_updated_once(backend: Backend, name: str) -> None:
    """One id everywhere: its gradients are summed first, and squares are taken of the sum."""
    model = small_model(backend)
    batch = draw_batch(samples=5, numbers=2, rows=1, dtype=np.float64)
    optimizer, rules = optim.build(name, model, lr=LR), rules_of(name, model)
    loss_of(model, batch).backward()
    for path, gradient in gradients(model).items():
        rules[path].step(gradient, LR)
    optimizer.step()
    optimizer.catch_up()
    assert_agree(model, rules)


@pytest.mark.parametrize("rows", ["exact", "lazy", "dense"])
@pytest.mark.parametrize("name", NAMES)
def test_two_lookups_in_a_step_update_each_row_once(backend: Backend, name: str, rows: Rows) -> None:
    model = small_model(backend)
    optimizer, rules = optim.build(name, model, lr=LR, rows=rows), rules_of(name, model)
    for n in range(4):
        optimizer.zero_grad()
        pair = batches(2, seed=10 * n)
        for batch in pair:
            loss_of(model, batch).backward()
        union = np.unique(np.concatenate([batch.entries.ids for batch in pair]))
        assert len(union) < ROWS or n
        for path, gradient in gradients(model).items():
            rules[path].step(gradient, LR, union if path in TABLES and rows == "lazy" else slice(None))
        optimizer.step()
        optimizer.catch_up()
        assert_agree(model, rules)


def test_parameters_without_gradient_stay(backend: Backend) -> None:
    model = small_model(backend)
    optimizer = optim.build("adam", model, lr=LR, embedding_l2=0.1, rows="dense")
    before = [tensor.data.copy() for tensor in model.parameters()]
    optimizer.zero_grad()
    optimizer.step()
    for tensor, data in zip(model.parameters(), before, strict=True):
        np.testing.assert_array_equal(tensor.data, data)
    assert [tensor.version for tensor in model.parameters()] == [0] * len(before)


@pytest.mark.parametrize("rows", ["exact", "lazy", "dense"])
@pytest.mark.parametrize("name", NAMES)
def test_a_resumed_training_is_the_uninterrupted_one(backend: Backend, name: str, rows: Rows) -> None:
    def run(model: Module, optimizer: optim.Optimizer, part: list[Batch]) -> None:
        for batch in part:
            optimizer.zero_grad()
            loss_of(model, batch).backward()
            optimizer.step()

    whole, resumed = small_model(backend), small_model(backend)
    optimizer = optim.build(name, whole, lr=LR, rows=rows)
    run(whole, optimizer, batches(6)[:3])
    weights = {path: array.copy() for path, array in whole.state_dict().items()}
    state = {key: array.copy() for key, array in optimizer.state_dict().items()}
    run(whole, optimizer, batches(6)[3:])

    resumed.load_state_dict(weights)
    second = optim.build(name, resumed, lr=LR, rows=rows)
    second.load_state_dict(state)
    run(resumed, second, batches(6)[3:])
    for path, array in whole.state_dict().items():
        assert array.tobytes() == resumed.state_dict()[path].tobytes()
    for key, array in optimizer.state_dict().items():
        np.testing.assert_array_equal(second.state_dict()[key], array)


def test_state_is_named_by_parameter(backend: Backend) -> None:
    model = small_model(backend)
    paths = [path for path, _ in model.named_parameters()]
    assert set(optim.build("sgd", model, lr=LR).state_dict()) == {"steps"}
    adagrad = optim.build("adagrad", model, lr=LR, initial_accumulator=0.1)
    assert set(adagrad.state_dict()) == {"steps", *(f"{path}/accumulator" for path in paths)}
    assert all((array == 0.1).all() for key, array in adagrad.state_dict().items() if key != "steps")
    rowwise = optim.build("rowwise_adagrad", model, lr=LR, initial_accumulator=0.1)
    assert rowwise.state_dict()["embedding.table/accumulator"].tolist() == [0.1] * ROWS
    adam = optim.build("adam", model, lr=LR)
    assert set(adam.state_dict()) == {"steps", *(f"{path}/moment{n}" for path in paths for n in (1, 2))}


@pytest.mark.parametrize("change", ["missing", "shape"])
def test_a_state_that_does_not_fit_changes_nothing(backend: Backend, change: str) -> None:
    optimizer = optim.build("adagrad", small_model(backend), lr=LR)
    saved: dict[str, Any] = {key: array + 1 for key, array in optimizer.state_dict().items()}
    if change == "missing":
        del saved["bias/accumulator"]
    else:
        saved["bias/accumulator"] = np.zeros(1)  # would broadcast to [1, 1]
    with pytest.raises(InputError, match="bias/accumulator"):
        optimizer.load_state_dict(saved)
    assert optimizer.steps == 0
    assert not any(array.any() for array in optimizer.state_dict().values())


def test_gradient_norm_is_that_of_all_gradients(backend: Backend) -> None:
    model = small_model(backend)
    parameters = model.parameters()
    assert optim.gradient_norm(parameters) == 0.0
    for batch in batches(3):
        loss_of(model, batch).backward()
        expected = np.sqrt(sum(np.sum(gradient**2) for gradient in gradients(model).values()))
        np.testing.assert_allclose(optim.gradient_norm(parameters), expected, rtol=1e-12)


def test_clipping_by_the_norm(backend: Backend) -> None:
    """grad_scale = max_norm / norm moves SGD by lr * max_norm."""
    model = small_model(backend)
    optimizer = optim.build("sgd", model, lr=LR)
    before = [tensor.data.copy() for tensor in model.parameters()]
    loss_of(model, batches(1)[0]).backward()
    optimizer.step(0.01 / optim.gradient_norm(model.parameters()))
    moved = sum(np.sum((x.data - old) ** 2) for x, old in zip(model.parameters(), before, strict=True))
    np.testing.assert_allclose(np.sqrt(moved), LR * 0.01, rtol=1e-9)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda model: optim.build("lion", model, lr=LR), "unknown optimizer 'lion'; known: sgd, adagrad"),
        (
            lambda model: optim.build("sgd", model, lr=LR, rows="sparse"),
            "rows must be 'exact', 'lazy' or 'dense', got 'sparse'",
        ),
        (lambda model: optim.build("ftrl", model, lr=LR, beta=0.0), "FTRL's beta must be above 0, got 0"),
        (lambda model: optim.build("sgd", model, lr=LR).loss_gradient_norm(), "needs rows=\"dense\", not 'exact'"),
    ],
)
def test_mistakes_are_named(build: Callable[[Module], Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        build(small_model(backends.get("reference")))


def test_tables_are_the_embeddings_alone(backend: Backend) -> None:
    assert optim.tables_of(small_model(backend)) == set(TABLES)
    x = Tensor(np.ones(3), backend, requires_grad=True)
    optimizer = optim.SGD({"x": x}, lr=0.5, embedding_l2=100.0)
    x.grad = np.array([1.0, 2.0, 3.0])
    optimizer.step()
    np.testing.assert_allclose(x.data, [0.5, 0.0, -0.5])


@pytest.mark.parametrize("half", [np.float16, ml_dtypes.bfloat16])
def test_halves_are_not_trained(half: Any) -> None:
    table = Tensor(np.ones((3, 2), half), backends.get("reference"), requires_grad=True)
    with pytest.raises(InputError, match=r"table is b?float16: train in float32 and convert for serving"):
        optim.SGD({"table": table}, lr=0.1)
