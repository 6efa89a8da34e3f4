"""fastfm_numba: the bits of fastfm_core.kernels inside @njit functions, its errors, prange, its callers' cache."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba import njit, prange
from numba.core.errors import TypingError

from fastfm_core import backends, kernels
from fastfm_core.contract import Entries, RowSource

if reason := backends.why_unavailable("native"):
    pytest.skip(reason, allow_module_level=True)

import fastfm_numba as fm

ROOT = Path(__file__).parents[2]
V, B, F, D = 200, 30, 4, 9
DRAWS = np.random.default_rng(0)
ROWS = DRAWS.normal(size=(V, D + 1)).astype(np.float32)
TABLE, LINEAR = ROWS[:, :D], ROWS[:, D]
IDS = DRAWS.integers(0, V, (B, F)).astype(np.int32)
DENSE = DRAWS.normal(size=(B, 2)).astype(np.float32)
GRADS = DRAWS.normal(size=(2, B)).astype(np.float32)
OFFSETS = np.cumsum(np.append(0, DRAWS.integers(0, 3, B * F)))
BAG_IDS = DRAWS.integers(0, V, OFFSETS[-1])
VALUES = DRAWS.normal(size=len(BAG_IDS)).astype(np.float32)


def outputs(deep: int) -> tuple[np.ndarray, ...]:
    return tuple(np.empty(shape, np.float32) for shape in (B, B, (B, D), (B, deep)))


def require_same(found: Any, expected: Any) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@njit
def single(table, linear, ids, dense, first, pair, sums, deep, rows):
    fm.embedding_fm(table, linear, ids, first, pair, sums, deep, dense)
    fm.embedding_gather(table, ids, rows)


def test_single_ids() -> None:
    found, rows = outputs(F * D + 2), np.empty((B * F, D), np.float32)
    single(TABLE, LINEAR, IDS, DENSE, *found, rows)
    require_same(found, kernels.embedding_fm(TABLE, LINEAR, Entries(IDS.reshape(-1), F), DENSE, deep=True)[:4])
    np.testing.assert_array_equal(rows, TABLE[IDS.reshape(-1)])


@njit
def bags(table, linear, ids, offsets, values, pooling, first, pair, sums, deep, slots, won, first_won, of, shares):
    fm.embedding_fm(
        table, linear, ids, first, pair, sums, deep, offsets=offsets, values=values, pooling=pooling, fields=4,
        winners=won, linear_winners=first_won,
    )  # fmt: skip
    fm.embedding_bag(table, ids, slots, offsets, values, pooling, won)
    fm.entry_slots(offsets, of)
    fm.pooling_coefficients(ids, shares, offsets, values, pooling)


@pytest.mark.parametrize(
    ("name", "pooling"), [("sum", fm.SUM), ("mean", fm.MEAN), ("sqrtn", fm.SQRTN), ("max", fm.MAX)]
)
def test_bags(name: Any, pooling: int) -> None:
    entries = Entries(BAG_IDS, F, OFFSETS, VALUES, name)
    found, slots, won = outputs(F * D), np.empty((B * F, D), np.float32), np.empty((B * F, D), np.int64)
    first_won, of = np.empty(B * F, np.int64), np.empty(len(BAG_IDS), np.int32)
    shares = np.empty_like(VALUES)
    bags(TABLE, LINEAR, BAG_IDS, OFFSETS, VALUES, pooling, *found, slots, won, first_won, of, shares)
    expected, native = kernels.embedding_fm(TABLE, LINEAR, entries, None, deep=True), backends.get("native")
    require_same(found, expected[:4])
    require_same([slots], kernels.embedding_bag(TABLE, entries)[:1])
    require_same([of, shares], [native.entry_slots(entries), native.pooling_coefficients(entries, np.float32)])
    if name == "max":
        require_same([won, first_won], [expected.winners, expected.linear_winners[:, 0]])


@njit
def interactions(fields, grad, grads, one, back, wide, wide_back):
    fm.fm_interaction(fields, one)
    fm.fm_interaction_backward(grad, fields, back)
    fm.bi_interaction(fields, wide)
    fm.bi_interaction_backward(grads, fields, wide_back)


def test_interactions() -> None:
    fields, grads = TABLE[IDS], DRAWS.normal(size=(B, D)).astype(np.float32)
    found = tuple(np.empty(shape, np.float32) for shape in (B, (B, F, D), (B, D), (B, F, D)))
    interactions(fields, GRADS[0], grads, *found)
    expected = (
        kernels.fm_interaction(fields), kernels.fm_interaction_backward(GRADS[0], fields),
        kernels.bi_interaction(fields), kernels.bi_interaction_backward(grads, fields),
    )  # fmt: skip
    require_same(found, expected)


@njit
def updates(ids, tables, states, wise, source, gradient):
    plan = fm.plan_rows(ids, len(tables[0]))
    fm.materialize_rows(tables[0], plan, source, gradient[: len(plan.rows)])
    norm2 = fm.row_gradient_norm2(tables[0], plan, source)
    fm.update_rows_sgd_(tables[0], plan, source, 0.1, 0.01)
    fm.update_rows_adagrad_(tables[1], states[0], plan, source, 0.1, 1e-8, 0.01, 0.5)
    fm.update_rows_rowwise_adagrad_(tables[2], wise, plan, source, 0.1)
    fm.update_rows_adam_(tables[3], states[1], states[2], plan, source, 3, 0.1, 0.8)
    fm.update_rows_adamw_(tables[4], states[3], states[4], plan, source, 3, 0.1)
    fm.update_rows_ftrl_(tables[5], states[5], states[6], plan, source, 0.1, 0.5, 0.01, 0.1)
    return plan, norm2


def test_rows() -> None:
    ids, slot_grad = IDS.reshape(-1), DRAWS.normal(size=(B, F, D)).astype(np.float32)
    arrays = {"pair_grad": GRADS[0], "sums": TABLE[IDS].sum(axis=1), "slot_grad": slot_grad, "first_grad": GRADS[1]}
    source = RowSource(F, **arrays)

    def fresh():
        return (
            [ROWS.copy() for _ in range(6)],
            [np.full_like(ROWS, 0.1) for _ in range(7)],
            np.ones(V, np.float32),
        )

    (tables, states, wise), (own_tables, own_states, own_wise) = fresh(), fresh()
    gradient = np.empty((len(ids), D + 1), np.float32)
    plan, norm2 = updates(ids, tuple(own_tables), tuple(own_states), own_wise, source, gradient)
    expected_plan = kernels.plan_rows(ids, V)
    require_same(plan, expected_plan)
    require_same([gradient[: len(plan.rows)]], [kernels.materialize_rows(tables[0], expected_plan, source)])
    assert norm2 == kernels.row_gradient_norm2(tables[0], expected_plan, source)
    kernels.update_rows_sgd_(tables[0], plan, source, lr=0.1, l2=0.01)
    kernels.update_rows_adagrad_(tables[1], states[0], plan, source, lr=0.1, eps=1e-8, l2=0.01, grad_scale=0.5)
    kernels.update_rows_rowwise_adagrad_(tables[2], wise, plan, source, lr=0.1)
    kernels.update_rows_adam_(tables[3], states[1], states[2], plan, source, step=3, lr=0.1, beta1=0.8)
    kernels.update_rows_adamw_(tables[4], states[3], states[4], plan, source, step=3, lr=0.1)
    kernels.update_rows_ftrl_(tables[5], states[5], states[6], plan, source, lr=0.1, beta=0.5, l1=0.01, ridge=0.1)
    require_same([*own_tables, *own_states, own_wise], [*tables, *states, wise])
    assert all((table != ROWS).any() for table in tables)


@njit
def catch_up(table, first, second, last, rows, rates):
    fm.catch_up_rows_adam_(table, first, second, last, rows, 6, rates, 0.9, 0.99, 1e-8, 0.01)
    fm.catch_up_rows_adamw_(table, first, second, last, None, 6, rates)


def test_catch_up() -> None:
    arrays = [ROWS.copy(), *DRAWS.random((2, V, D + 1), np.float32)]
    own, last, rates = [array.copy() for array in arrays], np.full(V, 4, np.int32), DRAWS.random(3)
    own_last, rows = last.copy(), np.arange(0, V, 3)
    catch_up(*own, own_last, rows, rates)
    kernels.catch_up_rows_adam_(*arrays, last, rows, step=6, rates=rates, beta2=0.99, l2=0.01)
    kernels.catch_up_rows_adamw_(*arrays, last, None, step=6, rates=rates)
    require_same([*own, own_last], [*arrays, last])


@njit
def loss_of(logits, labels, weights, grad):
    return fm.bce_with_logits(logits, labels, weights, grad)


def test_loss() -> None:
    grad, labels = np.empty(B, np.float32), (GRADS[1] > 0).astype(np.float32)
    for weights in (None, GRADS[1] ** 2):
        loss = loss_of(GRADS[0], labels, weights, grad)
        expected, expected_grad = kernels.bce_with_logits(GRADS[0], labels, weights)
        assert loss == expected
        require_same([grad], [expected_grad])


@njit
def gather(table, ids, out):
    fm.embedding_gather(table, ids, out)


def test_mistakes_are_value_errors_in_the_librarys_words() -> None:
    out = np.empty((2, D), np.float32)
    with pytest.raises(ValueError, match=r"^entries.ids\[1\] is 200, outside the table's rows 0..199$"):
        gather(TABLE, np.array([1, V]), out)
    with pytest.raises(ValueError, match=r"^out has another shape than the other arrays ask for$"):
        gather(TABLE, np.array([1, 2, 3]), out)
    with pytest.raises(ValueError, match=r"^ids must be C-contiguous; pass np.ascontiguousarray"):
        gather(TABLE, np.arange(8)[::4], out)
    with pytest.raises(ValueError, match=r"^table must have an inner stride of one element"):
        gather(np.asfortranarray(TABLE), np.arange(2), out)


def test_types_are_refused_when_they_are_compiled() -> None:
    frozen = np.empty((2, D), np.float32)
    frozen.flags.writeable = False
    with pytest.raises(TypingError, match="out is read-only"):
        gather(TABLE, np.arange(2), frozen)
    with pytest.raises(TypingError, match=r"table must be an array of float32, got array\(float64"):
        gather(TABLE.astype(float), np.arange(2), np.empty((2, D), np.float32))


def test_what_is_read_may_be_read_only_and_strided() -> None:
    frozen, wide, out = ROWS.copy(), np.repeat(ROWS, 2, axis=0)[::2], np.empty((2, D + 1), np.float32)
    frozen.flags.writeable = False
    for table in (frozen, wide):
        gather(table, np.array([5, 7]), out)
        np.testing.assert_array_equal(out, ROWS[[5, 7]])


@njit(parallel=True)
def in_parallel(table, ids, out):
    fm.check_ids(ids, len(table))
    for b in prange(len(ids)):
        fm.embedding_gather(table, ids[b], out[b], check=False)


def test_prange() -> None:
    ids, out = DRAWS.integers(0, V, (64, 50)), np.empty((64, 50, D), np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Numba warns where a loop cannot be parallel
        in_parallel(TABLE, ids, out)
    np.testing.assert_array_equal(out, TABLE[ids])
    ids[1, 49] = -1
    with pytest.raises(ValueError, match=r"^ids\[99\] is -1, outside the table's rows 0..199$"):
        in_parallel(TABLE, ids, out)


CALLER = """
import numpy as np
from numba import njit
import fastfm_numba as fm

@njit(cache=True)
def rows(table, ids, out):
    fm.embedding_gather(table, ids, out)

table = np.arange(12, dtype=np.float32).reshape(4, 3)
out = np.empty((2, 3), np.float32)
rows(table, np.array([3, 1]), out)
try:
    rows(table, np.array([3, 4]), out)
except ValueError as error:
    print(error)
print(out.sum(), sum(rows.stats.cache_hits.values()))
"""


def test_a_callers_cache_is_good_in_the_next_process(tmp_path: Path) -> None:
    (tmp_path / "caller.py").write_text(CALLER)
    shown = [run(tmp_path / "caller.py") for _ in range(2)]
    line = "entries.ids[1] is 4, outside the table's rows 0..3\n"
    assert shown == [f"{line}42.0 0\n", f"{line}42.0 1\n"]


def test_the_example_reproduces_the_curve(tmp_path: Path) -> None:
    run(ROOT / "python" / "examples" / "curve.py", tmp_path, "--steps", "40")
    assert "loss 0.69" in run(ROOT / "python" / "examples" / "deepfm_numba.py", tmp_path)


def test_without_the_library_there_is_one_line(tmp_path: Path) -> None:
    code = "from fastfm_core import linking\nlinking._PACKAGE = linking.Path('/none')\nimport fastfm_numba"
    (tmp_path / "program.py").write_text(code)
    done = subprocess.run([sys.executable, tmp_path / "program.py"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ImportError: fastfm_numba: there is no libfastfm: ")


def run(*command: Any) -> str:
    done = subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
