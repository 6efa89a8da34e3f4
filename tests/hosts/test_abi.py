"""The C ABI through ctypes gives the bits of fastfm_core.kernels: every function, and a whole training step."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import fastfm_core
from fastfm_core import contract, kernels
from fastfm_core.contract import RowPlan, RowSource

from . import abi
from .abi import call, entries, matrix, source

pytestmark = pytest.mark.skipif(
    fastfm_core.backends.why_unavailable("native") is not None, reason="libfastfm is not built here"
)
V, B, F, D = 300, 40, 5, 12
POOLED = ("sum", "mean", "sqrtn", "max")


def test_versions() -> None:
    assert abi.library().fastfm_version().decode() == fastfm_core.__version__
    assert abi.library().fastfm_abi() == 1
    assert abi.library().fastfm_isa().decode() in ("avx512", "avx2", "baseline")


def test_threads_are_those_of_the_package() -> None:
    before = fastfm_core.threads.get_num_threads()
    kernels.embedding_gather(np.zeros((1, 1), np.float32), np.zeros(1, np.int32), backend="native")  # has the pool
    try:
        fastfm_core.threads.set_num_threads(3)
        assert abi.library().fastfm_threads() == 3
    finally:
        fastfm_core.threads.set_num_threads(before)


class Inputs:
    """A batch of bags or of single ids, on a table whose rows end with their first order."""

    def __init__(self, pooling: str, bags: bool, ids: type = np.int32, fields: int = F) -> None:
        draws = np.random.default_rng(len(pooling) + bags)
        self.fields, self.pooling = (1 if pooling == "none" else fields), pooling
        slots = B * self.fields
        self.offsets = np.cumsum(np.append(0, draws.integers(0, 4, slots))) if bags else None
        count = int(self.offsets[-1]) if self.offsets is not None else slots
        self.ids = draws.integers(0, V, count).astype(ids)
        self.values = draws.normal(size=count).astype(np.float32)
        self.rows = draws.normal(size=(V, D + 1)).astype(np.float32)
        self.table, self.linear = self.rows[:, :D], self.rows[:, D]
        self.dense = draws.normal(size=(B, 3)).astype(np.float32)
        self.grads = draws.normal(size=(2, B)).astype(np.float32)
        self.deep_grad = draws.normal(size=(B, self.fields * D + 3)).astype(np.float32)

    def own(self) -> contract.Entries:
        return contract.Entries(self.ids, self.fields, self.offsets, self.values, self.pooling)  # type: ignore[arg-type]

    def structure(self) -> abi.Entries:
        return entries(self.ids, self.fields, self.offsets, self.values, self.pooling)


CASES = [(pooling, bags) for pooling in POOLED for bags in (False, True)] + [("none", True)]


@pytest.mark.parametrize("ids", [np.int32, np.int64])
@pytest.mark.parametrize(("pooling", "bags"), CASES)
def test_embedding_fm(pooling: str, bags: bool, ids: type) -> None:
    given = Inputs(pooling, bags, ids)
    deep = pooling != "none"
    expected = kernels.embedding_fm(given.table, given.linear, given.own(), given.dense if deep else None, deep=deep)
    found = embedding_fm(given, deep)
    for name in ("first", "pair", "sums", "deep", "winners"):
        if (array := getattr(expected, name)) is not None:
            np.testing.assert_array_equal(found[name], array, err_msg=name)
    if pooling == "max":
        np.testing.assert_array_equal(found["linear_winners"], expected.linear_winners[:, 0])


def embedding_fm(given: Inputs, deep: bool) -> dict[str, Any]:
    slots, width = B * given.fields, given.fields * D + 3
    found = {
        "first": np.empty(B, np.float32), "pair": np.empty(B, np.float32), "sums": np.empty((B, D), np.float32),
        "deep": np.empty((B, width), np.float32) if deep else None, "winners": np.empty((slots, D), np.int64),
        "linear_winners": np.empty(slots, np.int64),
    }  # fmt: skip
    out = abi.FM(**{name: abi.address(array) for name, array in found.items()})
    dense = matrix(given.dense) if deep else None
    call("embedding_fm", matrix(given.table), matrix(given.linear), given.structure(), dense, out)
    return found


@pytest.mark.parametrize(("pooling", "bags"), CASES[:-1])
def test_embedding_bag(pooling: str, bags: bool) -> None:
    given = Inputs(pooling, bags)
    expected, winners = kernels.embedding_bag(given.table, given.own())
    out, won = np.empty((B * F, D), np.float32), np.empty((B * F, D), np.int64)
    call("embedding_bag", matrix(given.table), given.structure(), out, won)
    np.testing.assert_array_equal(out, expected)
    if winners is not None:
        np.testing.assert_array_equal(won, winners)


def test_embedding_gather() -> None:
    given = Inputs("sum", False)
    out = np.empty((len(given.ids), D), np.float32)
    call("embedding_gather", matrix(given.table), given.structure(), out)
    np.testing.assert_array_equal(out, given.table[given.ids])


@pytest.mark.parametrize(("pooling", "bags"), CASES)
def test_what_a_source_has_of_entries(pooling: str, bags: bool) -> None:
    given, backend = Inputs(pooling, bags), fastfm_core.backends.get("native")
    slots, coefficients = np.empty(len(given.ids), np.int32), np.empty(len(given.ids), np.float32)
    call("entry_slots", given.structure(), slots)
    call("pooling_coefficients", given.structure(), coefficients)
    np.testing.assert_array_equal(coefficients, backend.pooling_coefficients(given.own(), np.float32))
    expected = backend.entry_slots(given.own())
    np.testing.assert_array_equal(slots, np.arange(len(given.ids)) if expected is None else expected)


@pytest.mark.parametrize("kind", ["fm", "bi"])
def test_interactions(kind: str) -> None:
    draws = np.random.default_rng(0)
    fields = draws.normal(size=(B, F, D)).astype(np.float32)
    shape = (B,) if kind == "fm" else (B, D)
    grad, out, back = draws.normal(size=shape).astype(np.float32), np.empty(shape, np.float32), np.empty_like(fields)
    call(f"{kind}_interaction", fields, B, F, D, out)
    call(f"{kind}_interaction_backward", grad, fields, B, F, D, back)
    np.testing.assert_array_equal(out, getattr(kernels, f"{kind}_interaction")(fields))
    np.testing.assert_array_equal(back, getattr(kernels, f"{kind}_interaction_backward")(grad, fields))


RULES: dict[str, tuple[tuple[str, ...], dict[str, float]]] = {
    "sgd": ((), {"lr": 0.1, "l2": 0.01, "grad_scale": 0.5}),
    "adagrad": (("accumulator",), {"lr": 0.1, "eps": 1e-8, "l2": 0.01, "grad_scale": 0.5}),
    "rowwise_adagrad": (("accumulator",), {"lr": 0.1, "eps": 1e-8, "l2": 0.01, "grad_scale": 0.5}),
    "adamw": (
        ("moment1", "moment2"),
        {"step": 3, "lr": 0.1, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8, "weight_decay": 0.02, "l2": 0.01,
         "grad_scale": 0.5},
    ),
    "ftrl": (
        ("dual", "accumulator"),
        {"lr": 0.1, "beta": 0.5, "l1": 0.01, "ridge": 0.1, "l2": 0.01, "grad_scale": 0.5},
    ),
}  # fmt: skip


@pytest.mark.parametrize("ids", [np.int32, np.int64])
@pytest.mark.parametrize("rule", RULES)
def test_a_training_step(rule: str, ids: type) -> None:
    """Lookup, plan, and the rows' update from a gradient of FM, of the concatenation and of the first order."""
    given = Inputs("sum", False, ids)
    names, options = RULES[rule]
    states, own_states = (states_of(rule, names) for _ in range(2))
    sums = embedding_fm(given, True)["sums"]
    plan = abi.OwnPlan(given.ids, V)
    arrays = {
        "pair_grad": given.grads[0], "sums": sums, "coefficients": given.values, "first_grad": given.grads[1],
        "slot_grad": given.deep_grad[:, : F * D].reshape(B, F, D),
    }  # fmt: skip
    mine = source(F, B, **arrays)

    expected_plan = kernels.plan_rows(given.ids, V)
    own_plan = RowPlan(plan.rows[: plan.plan.count], plan.segments[: plan.plan.count + 1], plan.order)
    for found, expected in zip(own_plan, expected_plan, strict=True):
        np.testing.assert_array_equal(found, expected)
    gradient, norm2 = np.empty((plan.plan.count, D + 1), np.float32), np.empty(1)
    call("materialize_rows", matrix(given.rows), plan.plan, mine, gradient)
    call("row_gradient_norm2", matrix(given.rows), plan.plan, mine, norm2)
    own_source = RowSource(F, **arrays)
    np.testing.assert_array_equal(gradient, kernels.materialize_rows(given.rows, expected_plan, own_source))
    assert norm2[0] == kernels.row_gradient_norm2(given.rows, expected_plan, own_source)

    trained = given.rows.copy()
    name = "adam" if rule == "adamw" else rule
    moved = [matrix(state) for state in own_states.values()]
    call(f"update_rows_{name}_", matrix(trained), *moved, plan.plan, mine, *options.values())
    getattr(kernels, f"update_rows_{rule}_")(given.rows, *states.values(), expected_plan, own_source, **options)
    assert (trained != Inputs("sum", False, ids).rows).any()
    np.testing.assert_array_equal(trained, given.rows)
    for state in names:
        np.testing.assert_array_equal(own_states[state], states[state], err_msg=state)


def states_of(rule: str, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    shape = V if rule == "rowwise_adagrad" else (V, D + 1)
    return {name: np.full(shape, 0.1, np.float32) for name in names}


@pytest.mark.parametrize("pooling", POOLED)
def test_the_update_of_bags(pooling: str) -> None:
    given = Inputs(pooling, True)
    found = embedding_fm(given, True)
    pooled, winners = kernels.embedding_bag(given.table, given.own())
    slots, coefficients = np.empty(len(given.ids), np.int32), np.empty(len(given.ids), np.float32)
    call("entry_slots", given.structure(), slots)
    call("pooling_coefficients", given.structure(), coefficients)
    arrays = {
        "entry_slots": slots, "coefficients": coefficients, "pair_grad": given.grads[0], "sums": found["sums"],
        "slot_values": pooled, "winners": winners,
    }  # fmt: skip
    plan, expected, trained = abi.OwnPlan(given.ids, V), given.table.copy(), given.table.copy()
    call("update_rows_sgd_", matrix(trained), plan.plan, source(F, B, **arrays), 0.1, 0.0, 1.0)
    kernels.update_rows_sgd_(expected, kernels.plan_rows(given.ids, V), RowSource(F, **arrays), lr=0.1)
    np.testing.assert_array_equal(trained, expected)
    assert (trained != given.table).any()


@pytest.mark.parametrize("weight_decay", [0.0, 0.02])
@pytest.mark.parametrize("every_row", [False, True])
def test_catch_up(every_row: bool, weight_decay: float) -> None:
    draws = np.random.default_rng(1)
    tables = [draws.normal(size=(V, D)).astype(np.float32), *(draws.random((2, V, D), np.float32))]
    last, rates = draws.integers(3, 9, V).astype(np.int32), draws.random(7)
    own, own_last = [array.copy() for array in tables], last.copy()
    rows = np.flatnonzero(draws.random(V) < 0.5).astype(np.int32)
    plan = None if every_row else abi.Plan(abi.address(rows), 32, None, None, len(rows))
    call("catch_up_rows_adam_", *map(matrix, own), own_last, plan, 10, rates, 7, 0.9, 0.99, 1e-8, weight_decay, 0.01)
    kernels.catch_up_rows_adamw_(
        *tables, last, None if every_row else rows, step=10, rates=rates, beta2=0.99, weight_decay=weight_decay, l2=0.01
    )
    for found, expected in zip([*own, own_last], [*tables, last], strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("weighted", [False, True])
def test_loss(weighted: bool) -> None:
    draws = np.random.default_rng(2)
    logits, labels = draws.normal(size=999).astype(np.float32), draws.integers(0, 2, 999).astype(np.float32)
    weights = draws.random(999, np.float32) if weighted else None
    loss, grad = np.empty(1), np.empty(999, np.float32)
    call("bce_with_logits", logits, labels, weights, 999, loss, grad)
    expected, expected_grad = kernels.bce_with_logits(logits, labels, weights)
    assert loss[0] == expected
    np.testing.assert_array_equal(grad, expected_grad)


def test_eight_threads_at_once() -> None:
    """Calls from eight threads give the bits of one, and each thread reads its own error."""
    given = Inputs("sum", True)
    expected, wrong = embedding_fm(given, True), []

    def work(number: int) -> None:
        bad = np.array([V + number])
        for _ in range(200):
            found = embedding_fm(given, True)
            if any((found[name] != expected[name]).any() for name in ("first", "pair", "sums", "deep")):
                wrong.append("bits")
            try:
                call("embedding_gather", matrix(given.table), entries(bad), np.empty((1, D), np.float32))
            except abi.Refused as error:
                if f"is {V + number}," not in str(error):
                    wrong.append(str(error))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
