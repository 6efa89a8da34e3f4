"""Rows brought to the present: the bits do not depend on when, the numbers are those of updates without a gradient."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from fastfm_core.contract import RowSource, every_row

from .inputs import Scenario
from .sparse_cases import CONSTANTS, STATE, catch_up_cases

RULES = list(STATE)
DTYPES = [np.float32, np.float64]
ROWS, STEPS = 50, 60
RATES = 0.1 / (1 + np.arange(STEPS) / 10)


def arrays_of(rule: str, dtype: Any, dim: int) -> dict[str, Any]:
    """A table and its states as some steps may have left them, all rows current up to step 0."""
    draw = np.random.default_rng(dim)
    arrays = {"table": draw.normal(size=(ROWS, dim)).astype(dtype)}
    for name in STATE[rule]:
        arrays[name] = (1e-3 * draw.random((ROWS,) if rule == "rowwise_adagrad" else (ROWS, dim))).astype(dtype)
    return arrays | {"last": np.zeros(ROWS, np.int32)}


def catch_up(
    backend: ModuleType, rule: str, arrays: dict[str, Any], rows: Any, step: int, known: int, l2: float
) -> None:
    """Brings rows to ``step``, given the learning rates of the ``known`` latest steps."""
    rates = RATES[step - known : step].copy()
    getattr(backend, f"catch_up_rows_{rule}_")(**arrays, rows=rows, step=step, rates=rates, l2=l2, **CONSTANTS[rule])


def in_bytes(arrays: dict[str, Any]) -> list[bytes]:
    return [array.tobytes() for array in arrays.values()]


@pytest.mark.parametrize("l2", [0.0, 0.3])
@pytest.mark.parametrize("dim", [1, 7, 16, 17, 40])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rule", RULES)
def test_parts_make_the_bits_of_the_whole(backend: ModuleType, rule: str, dtype: Any, dim: int, l2: float) -> None:
    whole, parts = arrays_of(rule, dtype, dim), arrays_of(rule, dtype, dim)
    catch_up(backend, rule, whole, None, STEPS, STEPS, l2)
    catch_up(backend, rule, parts, np.arange(0, ROWS, 3), 1, 1, l2)
    catch_up(backend, rule, parts, np.arange(1, ROWS, 2, dtype=np.int32), 38, 38, l2)
    catch_up(backend, rule, parts, None, 39, 39, l2)
    catch_up(backend, rule, parts, np.arange(7), 59, 20, l2)
    catch_up(backend, rule, parts, None, STEPS, 30, l2)
    assert in_bytes(parts) == in_bytes(whole)
    assert (whole["last"] == STEPS).all()


@pytest.mark.parametrize("l2", [0.0, 0.3])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rule", RULES)
def test_equals_updates_without_a_gradient(backend: ModuleType, rule: str, dtype: Any, l2: float) -> None:
    caught, updated = arrays_of(rule, dtype, 17), arrays_of(rule, dtype, 17)
    catch_up(backend, rule, caught, None, STEPS, STEPS, l2)
    del updated["last"]
    for step, lr in enumerate(RATES.tolist(), 1):
        numbers = CONSTANTS[rule] | ({"step": step} if rule in ("adam", "adamw") else {})
        update = getattr(backend, f"update_rows_{rule}_")
        update(*updated.values(), every_row(ROWS), RowSource(1), lr=lr, l2=l2, **numbers)
    for name, array in updated.items():
        tolerance = 1e-5 if dtype == np.float32 else 1e-13
        np.testing.assert_allclose(caught[name], array, rtol=tolerance, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("rule", RULES)
def test_current_and_other_rows_keep_their_bits(backend: ModuleType, rule: str) -> None:
    arrays = arrays_of(rule, np.float32, 7)
    arrays["last"][::2] = 5
    before = {name: array.copy() for name, array in arrays.items()}
    catch_up(backend, rule, arrays, np.arange(0, 20), 5, 5, 0.3)
    kept = np.r_[0:20:2, 20:ROWS]
    for name, array in arrays.items():
        assert array[kept].tobytes() == before[name][kept].tobytes()
    assert (arrays["table"][1:20:2] != before["table"][1:20:2]).all()


@pytest.mark.parametrize("rule", ["adam", "adamw"])
def test_rows_never_moved_stay_and_faded_moments_do_no_harm(backend: ModuleType, rule: str) -> None:
    """The moments of row 0 are nothing, those of the others fade below the smallest number."""
    arrays = arrays_of(rule, np.float32, 16)
    arrays["moment1"][0] = arrays["moment2"][0] = 0
    start = arrays["table"].copy()
    arguments = {"rows": None, "step": 3000, "rates": np.full(3000, 1e-3), "beta1": 0.8, "beta2": 0.9}
    if rule == "adamw":
        arguments["weight_decay"] = 0.0
    getattr(backend, f"catch_up_rows_{rule}_")(**arrays, **arguments)
    assert arrays["table"][0].tobytes() == start[0].tobytes()
    assert np.isfinite(arrays["table"]).all()
    assert (arrays["table"][1:] != start[1:]).any(axis=1).all()
    assert max(arrays["moment1"].max(), arrays["moment2"].max()) < 1e-37


def test_ftrl_without_l2_moves_no_weight_whatever_the_learning_rate(backend: ModuleType) -> None:
    arrays = arrays_of("ftrl", np.float64, 16)
    start = arrays["table"].copy()
    catch_up(backend, "ftrl", arrays, None, STEPS, STEPS, 0.0)
    np.testing.assert_allclose(arrays["table"], start, rtol=1e-12)


@pytest.mark.parametrize("case", catch_up_cases(Scenario("nothing", rows=3)), ids=lambda case: case.kernel)
def test_no_rows_and_no_steps(backend: ModuleType, case: Any) -> None:
    inputs = case.inputs(np.float32, np.int32)
    before = [inputs[name].copy() for name in case.outputs]
    getattr(backend, case.kernel)(**inputs | {"rows": np.zeros(0, np.int64)})
    inputs["last"][:] = inputs["step"]
    getattr(backend, case.kernel)(**inputs | {"rates": np.zeros(0)})
    for name, array in zip(case.outputs[:-1], before, strict=False):
        assert inputs[name].tobytes() == array.tobytes()
