"""The host's side of a backend on a device: the same bits as ``reference`` on the host, and one read a step."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import emulated_cupy as cupy
import numpy as np
import pytest
from devices import DEVICE, import_with_cupy

from fastfm_core import backends, models, optim, train

from . import toy_backend

pytestmark = pytest.mark.skipif(DEVICE, reason="the kernels of a real device are tested by the contract's tests")
steps: Any = import_with_cupy(f"{__package__}.steps")
batch, trained = steps.batch, steps.trained
TOY, REFERENCE = toy_backend.backend(), backends.get("reference")


def same(expected: dict[str, np.ndarray], found: dict[str, np.ndarray]) -> None:
    assert expected.keys() == found.keys()
    for name, array in expected.items():
        assert isinstance(found[name], np.ndarray)
        np.testing.assert_array_equal(array, found[name], err_msg=name)


@pytest.fixture
def toy_is_cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The name cuda means the toy."""
    monkeypatch.setitem(backends._MODULES, "cuda", toy_backend.__name__)
    backends._load.cache_clear()
    yield
    backends._load.cache_clear()


@pytest.mark.parametrize("bags", [False, True])
@pytest.mark.parametrize("name", models.MODELS)
def test_every_model_has_the_bits_of_reference_for_one_read_a_step(name: str, bags: bool) -> None:
    options = steps.OPTIONS.get(name, {})
    (model, optimizer, losses, _), (other, second, found, reads) = (
        trained(name, backend, bags=bags, **options) for backend in (REFERENCE, TOY)
    )
    assert losses == found
    assert reads == [{"synchronize": 1}] * 10
    np.testing.assert_array_equal(model.predict(batch(11, bags)), other.predict(batch(11, bags)))
    same(model.state_dict(), other.state_dict())
    same(optimizer.state_dict(), second.state_dict())


@pytest.mark.parametrize("rows", ["exact", "lazy", "dense"])
@pytest.mark.parametrize("rule", optim.OPTIMIZERS)
def test_every_rule_has_the_bits_of_reference_and_clipping_reads_once_more(rule: str, rows: str) -> None:
    """With fields of first order, pairs and deep part that differ, and with a dim of one field's own."""
    options: dict[str, Any]
    for options in ({"uses": steps.USES}, {"ranges": steps.RANGES}):
        (model, first, losses, _), (other, second, found, reads) = (
            trained("deepfm", backend, rule, clip=0.05, rows=rows, **options) for backend in (REFERENCE, TOY)
        )
        assert losses == found and reads == [{"synchronize": 1, "float": 1}] * 10
        same(model.state_dict(), other.state_dict())
        same(first.state_dict(), second.state_dict())


def test_a_loss_that_is_not_finite_updates_nothing() -> None:
    model, optimizer, _, _ = trained("deepfm", TOY)
    before = copy.deepcopy((model.state_dict(), optimizer.state_dict()))
    given = batch(11)
    assert given.dense is not None
    given.dense[2, 1] = np.nan
    assert np.isnan(train.train_step(model, optimizer, given, step=11))
    same(before[0], model.state_dict())
    same(before[1], optimizer.state_dict())


def test_several_batches_of_a_step_are_read_once() -> None:
    model, optimizer, _, _ = trained("fm", TOY)
    cupy.reads.clear()
    train.train_step(model, optimizer, batch(11), batch(12), batch(13), step=11)
    assert cupy.reads == {"synchronize": 1}


def test_states_move_between_backends() -> None:
    """What one backend trained goes on on the other as if it had always been there."""
    whole, *_ = trained("deepfm", REFERENCE, steps=6)
    for here, there in ((REFERENCE, TOY), (TOY, REFERENCE)):
        model, optimizer, _, _ = trained("deepfm", here, steps=3)
        other, second, _, _ = trained("deepfm", there, steps=1)
        other.load_state_dict(model.state_dict())
        second.load_state_dict(optimizer.state_dict())
        for step in range(4, 7):
            train.train_step(other, second, batch(step), step=step)
        same(whole.state_dict(), other.state_dict())


def test_rows_of_tables_start_at_multiples_of_16_bytes() -> None:
    for dim in (1, 3, 4, 16, 17):
        model, optimizer, _, _ = trained("fm", TOY, steps=1, dim=dim)
        table, states = model.embedding.table.data, optimizer.state["embedding.table"].values()
        for array in (table, *states):
            assert array.data.ptr % 16 == 0 and array.strides[0] % 16 == 0 and array.shape == (40, dim + 1)


def test_the_command_line_and_the_estimators(toy_is_cuda: None, tmp_path: Path) -> None:
    estimators, main = pytest.importorskip("fastfm_core.estimators"), pytest.importorskip("fastfm_core.cli").main
    rows = [f"{n % 3},{n % 5},{n % 7 / 7},{int(n % 3 == n % 2)}" for n in range(120)]
    data, folder = tmp_path / "data.csv", str(tmp_path / "model")
    data.write_text("\n".join(["a,b,c,label", *rows]))
    settings = ["--set", "epochs=2", "--set", "hidden=4", "--set", "batch_size=32"]
    assert main(["train", str(data), "--backend", "cuda", "--out", folder, *settings]) == 0
    predicted = []
    for backend in ("cuda", "numba"):
        assert main(["evaluate", folder, str(data), "--backend", backend]) == 0
        assert main(["inspect", folder, str(data), "--backend", backend]) == 0
        out = tmp_path / f"{backend}.csv"
        assert main(["predict", folder, str(data), "--backend", backend, "--out", str(out)]) == 0
        predicted.append(np.loadtxt(out, skiprows=1))
    np.testing.assert_allclose(*predicted, rtol=1e-5)
    table, labels = np.array([row.split(",")[:3] for row in rows], float), [row[-1] for row in rows]
    made = [
        estimators.DeepFMClassifier(hidden=(4,), epochs=2, backend=backend, random_state=0).fit(table, labels)
        for backend in ("cuda", "reference")
    ]
    np.testing.assert_array_equal(*(estimator.predict_proba(table) for estimator in made))
    made[0].save(folder + "-2")
    loaded = type(made[0]).load(folder + "-2", backend="numba")
    np.testing.assert_allclose(loaded.predict_proba(table), made[0].predict_proba(table), rtol=1e-5)
