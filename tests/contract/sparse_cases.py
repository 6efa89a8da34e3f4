"""Cases of the lookup kernels on SCENARIOS of ``inputs``, and of the row kernels on LANES too."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import truth, truth_dense
from .inputs import LANES, SCENARIOS, SINGLE_IDS, Scenario, plan_of, sparse_inputs
from .op_case import Build, OpCase, Truth, one
from .truth import Expected

FM_OUTPUTS = ("first", "pair", "sums", "deep", "winners", "linear_winners")
HYPER = {"lr": 0.1, "l2": 0.01, "grad_scale": 0.5}
STATE = {
    "sgd": (), "adagrad": ("accumulator",), "rowwise_adagrad": ("accumulator",), "adam": ("moment1", "moment2"),
    "adamw": ("moment1", "moment2"), "ftrl": ("dual", "accumulator"),
}  # fmt: skip
CONSTANTS = {
    "sgd": {}, "adagrad": {"eps": 1e-3}, "rowwise_adagrad": {"eps": 1e-3},
    "adam": {"beta1": 0.8, "beta2": 0.99, "eps": 1e-3},
    "adamw": {"beta1": 0.8, "beta2": 0.99, "eps": 1e-3, "weight_decay": 0.2},
    "ftrl": {"beta": 0.5, "l1": 0.3, "ridge": 0.1},
}  # fmt: skip


def _bag_truth(table: Any, entries: Any) -> dict[str, Expected]:
    value, magnitude, winners = truth.pooled(table, entries)
    return {"pooled": Expected(value, magnitude), "winners": Expected(winners if entries.pooling == "max" else None)}


def _coefficients_truth(entries: Any, dtype: Any) -> dict[str, Expected]:
    if truth.given_coefficients(entries, dtype) is None:
        return one(Expected(None))
    return one(truth.coefficients(entries), np.abs(truth.coefficients(entries)))


def _norm2_truth(**inputs: Any) -> dict[str, Expected]:
    gradient = truth.row_gradient(**inputs)
    return one((gradient.value**2).sum(), (gradient.magnitude**2).sum())


def _plan_truth(rows: Any, segments: Any, order: Any) -> dict[str, Expected]:
    return {"rows": Expected(rows), "segments": Expected(segments), "order": Expected(order)}


def _sparse_build(scenario: Scenario, *names: str) -> Build:
    def build(seed: int, dtype: Any, ids_dtype: Any) -> dict[str, Any]:
        drawn = sparse_inputs(scenario, seed, dtype, ids_dtype)
        return {name: getattr(drawn, name) for name in names}

    return build


def _fm_build(scenario: Scenario, deep: bool) -> Build:
    """With deep the first order is left out in one-entry inputs, without it the raw numbers are."""

    def build(seed: int, dtype: Any, ids_dtype: Any) -> dict[str, Any]:
        drawn = sparse_inputs(scenario, seed, dtype, ids_dtype)
        linear = None if deep and scenario.bags is None else drawn.linear
        dense = drawn.dense if deep and scenario.values else None
        return {"table": drawn.table, "linear": linear, "entries": drawn.entries, "dense": dense, "deep": deep}

    return build


def _update_build(scenario: Scenario, rule: str) -> Build:
    """State starts positive, so that no step is the sign of a rounding error; it comes as row views with the table."""

    def build(seed: int, dtype: Any, ids_dtype: Any) -> dict[str, Any]:
        drawn = sparse_inputs(scenario, seed, dtype, ids_dtype)
        (rows, dim), random = drawn.table.shape, np.random.default_rng(seed + 1)
        inputs = {"table": drawn.table, "plan": drawn.plan, "source": drawn.source, **HYPER}
        inputs |= _states(scenario, rule, random, rows, dim, dtype) | CONSTANTS[rule]
        return inputs | ({"step": 3} if rule in ("adam", "adamw") else {})

    return build


def _states(
    scenario: Scenario, rule: str, random: np.random.Generator, rows: int, dim: int, dtype: Any
) -> dict[str, Any]:
    states = {}
    for name in STATE[rule]:
        state = (0.1 + random.random((rows, dim + 2))).astype(dtype)
        state = state[:, dim] if rule == "rowwise_adagrad" else state[:, :dim]
        states[name] = state if scenario.row_views else state.copy()
    return states


def _catch_up_build(scenario: Scenario, rule: str) -> Build:
    """Rows that have missed 0 to 5 of the latest steps; all rows in scenarios without values, else the batch's."""

    def build(seed: int, dtype: Any, ids_dtype: Any) -> dict[str, Any]:
        drawn = sparse_inputs(scenario, seed, dtype, ids_dtype)
        (rows, dim), random = drawn.table.shape, np.random.default_rng(seed + 1)
        inputs = {"table": drawn.table, **_states(scenario, rule, random, rows, dim, dtype)}
        inputs["last"] = random.integers(4, 10, rows).astype(np.int32)
        inputs |= {"rows": drawn.plan.rows if scenario.values else None, "step": 9, "rates": random.random(5) / 5}
        return inputs | CONSTANTS[rule] | {"l2": 0.3}

    return build


def _update_truth(rule: str) -> Truth:
    names = ("table", *STATE[rule])
    return lambda **inputs: truth_dense.update(
        rule, {name: inputs.pop(name) for name in names}, inputs.pop("plan"), inputs.pop("source"), **inputs
    )


def _catch_up_truth(rule: str) -> Truth:
    names = ("table", *STATE[rule])
    return lambda **inputs: truth_dense.catch_up(rule, {name: inputs.pop(name) for name in names}, **inputs)


def lookup_cases(s: Scenario) -> list[OpCase]:
    """Every lookup kernel on one scenario."""
    cases = [
        OpCase("embedding_fm", "embedding_fm", _fm_build(s, False), truth.embedding_fm, FM_OUTPUTS),
        OpCase("entry_slots", "entry_slots", _sparse_build(s, "entries"), lambda entries: one(truth.slots_of(entries))),
        OpCase(
            "pooling_coefficients",
            "pooling_coefficients",
            lambda seed, dtype, ids: {**_sparse_build(s, "entries")(seed, dtype, ids), "dtype": dtype},
            _coefficients_truth,
        ),
        OpCase(
            "plan_rows",
            "plan_rows",
            lambda *key: {"ids": sparse_inputs(s, *key).entries.ids, "table_rows": s.rows},
            lambda ids, table_rows: _plan_truth(*plan_of(ids)),
            ("rows", "segments", "order"),
        ),
    ]
    if s.pooling != "none":
        bag = _sparse_build(s, "table", "entries")
        cases.append(OpCase("embedding_bag", "embedding_bag", bag, _bag_truth, ("pooled", "winners")))
        cases.append(OpCase("embedding_fm_deep", "embedding_fm", _fm_build(s, True), truth.embedding_fm, FM_OUTPUTS))
    return [case._replace(name=f"{case.name}-{s.name}") for case in cases]


def row_cases(s: Scenario) -> list[OpCase]:
    """Every kernel that takes a row source on one scenario."""
    cases = [
        OpCase(
            "value_gradient",
            "value_gradient",
            _sparse_build(s, "table", "entries", "source"),
            lambda **inputs: one(truth.value_gradient(**inputs)),
        ),
        OpCase(
            "materialize_rows",
            "materialize_rows",
            _sparse_build(s, "table", "plan", "source"),
            lambda **inputs: one(truth.row_gradient(**inputs)),
        ),
        OpCase("row_gradient_norm2", "row_gradient_norm2", _sparse_build(s, "table", "plan", "source"), _norm2_truth),
    ]
    for rule, state in STATE.items():
        kernel, outputs = f"update_rows_{rule}_", ("table", *state)
        cases.append(OpCase(kernel, kernel, _update_build(s, rule), _update_truth(rule), outputs, in_place=True))
    return [case._replace(name=f"{case.name}-{s.name}") for case in cases]


def catch_up_cases(s: Scenario) -> list[OpCase]:
    """Every kernel that brings rows to the present on the table and the rows of one scenario."""
    cases = []
    for rule, state in STATE.items():
        kernel, outputs = f"catch_up_rows_{rule}_", ("table", *state, "last")
        build = _catch_up_build(s, rule)
        cases.append(OpCase(f"{kernel}-{s.name}", kernel, build, _catch_up_truth(rule), outputs, in_place=True))
    return cases


def sparse_cases(s: Scenario) -> list[OpCase]:
    """Every lookup and row kernel on one scenario."""
    return lookup_cases(s) + row_cases(s)


SPARSE_CASES = [case for scenario in SCENARIOS for case in sparse_cases(scenario)]
SPARSE_CASES += [case for scenario in LANES for case in row_cases(scenario)]
SPARSE_CASES += [case for scenario in SINGLE_IDS for case in catch_up_cases(scenario)]
