"""Updates of rows in place: the dense rule on the plan's rows, once each, and nothing else touched."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from fastfm_core.contract import RowPlan, RowSource

from .inputs import Scenario, plan_of, sparse_inputs
from .sparse_cases import STATE

RULES = list(STATE)
DTYPES = [np.float32, np.float64]
SCENARIO = Scenario("updates", samples=20, fields=3, dim=7, rows=40, values=True)


def hyper_parameters(rule: str) -> dict[str, Any]:
    return {"lr": 0.1} | ({"step": 1} if rule in ("adam", "adamw") else {})


def state_of(rule: str, table: Any) -> dict[str, Any]:
    """State as an optimizer starts it: zeros."""
    shape = table.shape[:1] if rule == "rowwise_adagrad" else table.shape
    return {name: np.zeros(shape, table.dtype) for name in STATE[rule]}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rule", RULES)
def test_other_rows_and_columns_keep_their_bits(backend: ModuleType, rule: str, dtype: Any) -> None:
    drawn = sparse_inputs(SCENARIO, 1, dtype, np.int32)
    full = np.random.default_rng(2).normal(size=(40, 12)).astype(dtype)
    before, table = full.copy(), full[:, 3:10]
    state = state_of(rule, table)
    getattr(backend, f"update_rows_{rule}_")(
        table, *state.values(), drawn.plan, drawn.source, **hyper_parameters(rule), l2=0.01
    )
    others = np.setdiff1d(np.arange(40), drawn.plan.rows)
    assert len(others) > 0
    assert full[others].tobytes() == before[others].tobytes()
    assert np.delete(full, np.s_[3:10], 1).tobytes() == np.delete(before, np.s_[3:10], 1).tobytes()
    assert (table[drawn.plan.rows] != before[drawn.plan.rows, 3:10]).all()
    assert all(not array[others].any() for array in state.values())


@pytest.mark.parametrize("rule", RULES)
def test_equals_materialize_then_the_dense_rule(backend: ModuleType, rule: str) -> None:
    drawn = sparse_inputs(SCENARIO, 3, np.float64, np.int64)
    state = state_of(rule, drawn.table)
    rows, w = drawn.plan.rows, drawn.table[drawn.plan.rows]
    g = 0.5 * backend.materialize_rows(drawn.table, drawn.plan, drawn.source) + 0.01 * w
    expected = {
        "sgd": lambda: w - 0.1 * g,
        "adagrad": lambda: w - 0.1 * g / (np.sqrt(g**2) + 1e-10),
        "rowwise_adagrad": lambda: w - 0.1 * g / (np.sqrt((g**2).mean(axis=1, keepdims=True)) + 1e-10),
        "adam": lambda: w - 0.1 * g / (np.sqrt(g**2) + 1e-8),
        "adamw": lambda: 0.999 * w - 0.1 * g / (np.sqrt(g**2) + 1e-8),
        "ftrl": lambda: w - 0.1 * g / (np.sqrt(g**2) + 1),
    }[rule]()
    getattr(backend, f"update_rows_{rule}_")(
        drawn.table, *state.values(), drawn.plan, drawn.source, **hyper_parameters(rule), l2=0.01, grad_scale=0.5
    )
    np.testing.assert_allclose(drawn.table[rows], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("rule", ["adam", "adamw"])
def test_moments_take_their_share_of_the_gradient(backend: ModuleType, rule: str) -> None:
    """1 - beta in float32 would be less than 0.001 by a share of 1.3e-5, and the correction would not fit it."""
    drawn = sparse_inputs(SCENARIO, 4, np.float32, np.int32)
    state = state_of(rule, drawn.table)
    g = backend.materialize_rows(drawn.table, drawn.plan, drawn.source).astype(np.float64)
    getattr(backend, f"update_rows_{rule}_")(
        drawn.table, *state.values(), drawn.plan, drawn.source, **hyper_parameters(rule)
    )
    np.testing.assert_allclose(state["moment1"][drawn.plan.rows], 0.1 * g, rtol=1e-6, atol=1e-30)
    np.testing.assert_allclose(state["moment2"][drawn.plan.rows], 0.001 * g * g, rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize("rule", RULES)
def test_empty_plan_changes_nothing(backend: ModuleType, rule: str) -> None:
    table = np.ones((5, 3), np.float32)
    state = state_of(rule, table)
    source = RowSource(2, slot_grad=np.ones((0, 2, 3), np.float32))
    plan = plan_of(np.zeros(0, np.int32))
    getattr(backend, f"update_rows_{rule}_")(table, *state.values(), plan, source, **hyper_parameters(rule), l2=0.1)
    assert (table == 1).all()
    assert all(not array.any() for array in state.values())


@pytest.mark.parametrize("rule", RULES)
def test_a_row_without_gradient_still_decays(backend: ModuleType, rule: str) -> None:
    """A source that has no part at all is a gradient of 0; l2 acts on the plan's rows all the same."""
    table = np.ones((5, 3))
    plan = RowPlan(np.array([4]), np.array([0, 1]), np.array([0], np.int32))
    getattr(backend, f"update_rows_{rule}_")(
        table, *state_of(rule, table).values(), plan, RowSource(1), **hyper_parameters(rule), l2=0.5
    )
    assert (table[:4] == 1).all()
    assert (table[4] < 1).all()


def test_updates_use_the_sources_of_one_moment(backend: ModuleType) -> None:
    """With own terms c v the row is part of its gradient: all entries see the row as it was before the update."""
    table = np.full((1, 1), 2.0)
    plan = plan_of(np.zeros(2, np.int32))
    source = RowSource(2, pair_grad=np.array([1.0]), sums=np.array([[4.0]]))
    backend.update_rows_sgd_(table, plan, source, lr=0.25)
    assert table[0, 0] == 2.0 - 0.25 * 2 * (4.0 - 2.0)
