"""Module: what is found among attributes, under which path, and how state travels."""

from __future__ import annotations

import numpy as np
import pytest

from fastfm_core.autograd import Tensor
from fastfm_core.backends import Backend
from fastfm_core.errors import InputError
from fastfm_core.nn import MLP, BatchNorm, Dropout, Linear, Module


class Nested(Module):
    """One of everything that a module may hold."""

    def __init__(self, backend: Backend) -> None:
        self.mlp = MLP(3, (4, 2), backend, seed=1, dropout=0.5, batch_norm=True)
        self.scale = Tensor(np.ones(2, np.float32), backend, requires_grad=True)
        self.constant = Tensor(np.ones(2, np.float32), backend)
        self.counts = np.zeros(3)
        self.name = "not a parameter"


def test_modules_have_paths_in_the_order_they_were_set(backend: Backend) -> None:
    paths = [path for path, _ in Nested(backend).modules()]
    assert paths == [
        "", "mlp", "mlp.layers.0", "mlp.layers.1", "mlp.norms.0", "mlp.norms.1", "mlp.drops.0", "mlp.drops.1",
        "mlp.head",
    ]  # fmt: skip


def test_parameters_and_buffers_have_paths(backend: Backend) -> None:
    module = Nested(backend)
    parameters = dict(module.named_parameters())
    affine = [f"mlp.{layer}.{name}" for layer in ("layers.0", "layers.1", "head") for name in ("weight", "bias")]
    norms = [f"mlp.norms.{n}.{name}" for n in (0, 1) for name in ("gamma", "beta")]
    assert set(parameters) == {"scale", *affine, *norms}
    assert module.parameters() == list(parameters.values())
    running = {f"mlp.norms.{n}.running_{name}" for n in (0, 1) for name in ("mean", "variance")}
    assert set(module.state_dict()) == {*parameters, *running, "counts"}


def test_training_and_step_reach_every_module(backend: Backend) -> None:
    module = Nested(backend)
    assert all(m.training and m.step == 0 for _, m in module.modules())
    module.eval()
    module.begin_step(7)
    assert all(not m.training and m.step == 7 for _, m in module.modules())
    module.train()
    assert all(m.training for _, m in module.modules())
    assert Nested(backend).step == 0


def test_state_goes_from_one_module_to_another(backend: Backend) -> None:
    source, target = Nested(backend), Nested(backend)
    random = np.random.default_rng(1)
    for array in source.state_dict().values():
        array[...] = random.standard_normal(array.shape)
    versions = [tensor.version for tensor in target.parameters()]
    own = {name: id(array) for name, array in target.state_dict().items()}
    target.load_state_dict(source.state_dict())
    for name, array in target.state_dict().items():
        np.testing.assert_array_equal(array, source.state_dict()[name])
        assert id(array) == own[name]
    assert [tensor.version for tensor in target.parameters()] == [version + 1 for version in versions]


@pytest.mark.parametrize("change", ["missing", "unknown", "shape"])
def test_a_state_that_does_not_fit_changes_nothing(backend: Backend, change: str) -> None:
    module = Nested(backend)
    state = {name: array + 1 for name, array in module.state_dict().items()}
    before = {name: array.copy() for name, array in module.state_dict().items()}
    if change == "missing":
        del state["counts"]
    elif change == "unknown":
        state["mlp.extra"] = np.zeros(2)
    else:
        state["mlp.head.weight"] = np.zeros((1, 1))
    words = {
        "missing": "counts on one side",
        "unknown": "mlp.extra on one",
        "shape": r"mlp.head.weight has shape \(1, 1\)",
    }
    with pytest.raises(InputError, match=words[change]):
        module.load_state_dict(state)
    for name, array in module.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_calling_a_module_runs_forward(backend: Backend) -> None:
    linear = Linear(3, 2, backend, seed=1, layer=0)
    x = Tensor(np.ones((4, 3), np.float32), backend)
    np.testing.assert_array_equal(linear(x).data, linear.forward(x).data)
    assert {type(m) for _, m in Nested(backend).modules()} == {Nested, MLP, Linear, BatchNorm, Dropout}
