"""Models train on the device as they do on the host, and the host waits once a step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from devices import DEVICE, import_with_cupy

from fastfm_core import backends, models, optim
from fastfm_core.backends import Backend
from fastfm_core.contract import RowPlan, RowSource, every_row

steps: Any = import_with_cupy(f"{__package__}.steps")


@pytest.fixture
def cuda() -> Backend:
    return backends.get("cuda")


def agree(expected: Any, found: Any, bags: bool = False, tolerance: float = 1e-5) -> None:
    (model, _, losses, _), (other, _, close, _) = expected, found
    np.testing.assert_allclose(close, losses, rtol=tolerance)
    here, there = (each.predict(steps.batch(11, bags)) for each in (model, other))
    np.testing.assert_allclose(there, here, rtol=100 * tolerance, atol=tolerance)


@pytest.mark.parametrize("bags", [False, True])
@pytest.mark.parametrize("name", models.MODELS)
def test_every_model_learns_the_same(cuda: Backend, name: str, bags: bool) -> None:
    options = steps.OPTIONS.get(name, {}) | {"batch_norm": False}
    on_host, on_device = (
        steps.trained(name, backend, "adagrad", steps=10, bags=bags, **options)
        for backend in (backends.get("reference"), cuda)
    )
    agree(on_host, on_device, bags)
    assert on_device[3] == [{} if DEVICE else {"synchronize": 1}] * 10


@pytest.mark.parametrize("rows", ["exact", "lazy", "dense"])
@pytest.mark.parametrize("rule", optim.OPTIMIZERS)
def test_every_rule_learns_the_same(cuda: Backend, rule: str, rows: str) -> None:
    for options in ({"uses": steps.USES}, {"ranges": steps.RANGES}):
        on_host, on_device = (
            steps.trained("deepfm", backend, rule, steps=10, clip=0.05, rows=rows, **options)
            for backend in (backends.get("reference"), cuda)
        )
        agree(on_host, on_device)
        rest = {"flatnonzero", "unique"} if rows == "dense" else set()  # which asks for the distinct rows
        reads = [{key: count for key, count in read.items() if key not in rest} for read in on_device[3]]
        assert reads == [{} if DEVICE else {"synchronize": 1, "float": 1}] * 10


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradients_of_several_lookups_are_combined_without_a_wait(cuda: Backend, dtype: Any) -> None:
    draw, put = np.random.default_rng(1), cuda.to_device
    table, rows, expected = put(draw.random((40, 5)).astype(dtype)), [], np.zeros((40, 5))
    for count, host in ((60, False), (3, True), (1, False), (0, False), (40, None)):
        ids = np.arange(40) if host is None else draw.integers(0, 40, count)
        by_row, by_first = draw.random((count, 1, 4)).astype(dtype), draw.random(count).astype(dtype)
        plan = every_row(40) if host is None else cuda.plan_rows(put(ids), 40)
        plan = RowPlan(plan.rows, plan.segments, plan.order) if host else plan
        rows.append((plan, RowSource(1, slot_grad=put(by_row), first_grad=put(by_first))))
        np.add.at(expected, ids, np.concatenate([by_row[:, 0], by_first[:, None]], axis=1))
    steps.READS.clear()
    plan, source = cuda.combine_rows(table, rows)
    assert steps.READS == {}
    found = cuda.materialize_rows(table, plan, source)
    np.testing.assert_array_equal(cuda.to_host(plan.rows), np.arange(40))
    np.testing.assert_allclose(cuda.to_host(found), expected, rtol=1e-5 if dtype == np.float32 else 1e-13)


def test_a_run_on_the_device_repeats_its_bits(cuda: Backend) -> None:
    options = steps.OPTIONS["deepfm"]
    (model, optimizer, losses, _), (other, second, again, _) = (
        steps.trained("deepfm", cuda, bags=True, **options) for _ in range(2)
    )
    assert losses == again
    for one, two in ((model, other), (optimizer, second)):
        states = one.state_dict(), two.state_dict()
        assert all(np.array_equal(states[0][name], states[1][name]) for name in states[0])
