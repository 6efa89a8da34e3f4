"""NumPy arrays of every kind and other libraries' through DLPack: taken where they lie, or refused by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow
import pytest

from fastfm_core import kernels
from fastfm_core.backends import Backend
from fastfm_core.contract import Entries, RowSource
from fastfm_core.errors import InputError

V, D, B, F = 10, 4, 2, 3
IDS = np.arange(B * F)


class Foreign:
    """An array of a library that is not NumPy: all that it offers is DLPack."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.array.__dlpack_device__()


class OlderForeign(Foreign):
    """One that speaks DLPack as it was before version 1, which cannot say whether memory may be written to."""

    def __dlpack__(self, *, stream: Any = None) -> Any:
        return self.array.__dlpack__()


def table() -> np.ndarray:
    return np.arange(V * D, dtype=np.float32).reshape(V, D)


def frozen(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.flags.writeable = False
    return array


def source() -> RowSource:
    return RowSource(F, pair_grad=np.ones(B, np.float32), sums=np.ones((B, D), np.float32))


def foreign(value: Any, kind: Callable[[np.ndarray], Any]) -> Any:
    """A tuple of arrays with each of them as another library's."""
    return type(value)(*[kind(part) if isinstance(part, np.ndarray) else part for part in value])


@pytest.mark.parametrize("kind", [Foreign, OlderForeign])
def test_arrays_of_other_libraries_give_the_same_bits(backend: Backend, kind: Any) -> None:
    name, entries = backend.name, Entries(IDS, F, None, np.ones(B * F, np.float32))
    dense, linear = np.ones((B, 2), np.float32), np.ones(V, np.float32)
    expected = kernels.embedding_fm(table(), linear, entries, dense, deep=True, backend=name)
    found = kernels.embedding_fm(
        kind(table()), kind(linear), foreign(entries, kind), kind(dense), deep=True, backend=name
    )
    for one, other in zip(found[:4], expected[:4], strict=True):
        np.testing.assert_array_equal(one, other)
    plan = kernels.plan_rows(kind(IDS), V, backend=name)
    found = kernels.materialize_rows(kind(table()), plan, foreign(source(), kind), backend=name)
    np.testing.assert_array_equal(found, kernels.materialize_rows(table(), plan, source(), backend=name))


def test_an_update_writes_to_the_other_librarys_memory(backend: Backend) -> None:
    mine, theirs, state, their_state = table(), table(), table(), table()
    plan = kernels.plan_rows(IDS, V, backend=backend.name)
    kernels.update_rows_adagrad_(mine, state, plan, source(), lr=0.1, backend=backend.name)
    kernels.update_rows_adagrad_(
        Foreign(theirs), Foreign(their_state), plan, foreign(source(), Foreign), lr=0.1, backend=backend.name
    )
    np.testing.assert_array_equal(theirs, mine)
    np.testing.assert_array_equal(their_state, state)
    assert (theirs != table()).any()


def test_a_look_up_reads_the_other_librarys_memory(backend: Backend) -> None:
    """What the other library writes between two calls is seen by the second: nothing was copied."""
    memory = table()
    theirs = Foreign(memory)
    before = kernels.embedding_gather(theirs, IDS, backend=backend.name)
    memory[0] = -1
    after = kernels.embedding_gather(theirs, IDS, backend=backend.name)
    assert (before[0] != -1).all() and (after[0] == -1).all()


def test_arrow_arrays(backend: Backend) -> None:
    ids = pyarrow.array(IDS)
    np.testing.assert_array_equal(kernels.embedding_gather(table(), ids, backend=backend.name), table()[IDS])
    with pytest.raises(InputError, match=r"^ids cannot be taken: .*null"):
        kernels.embedding_gather(table(), pyarrow.array([1, None]), backend=backend.name)


def test_what_is_only_read_may_be_read_only(backend: Backend) -> None:
    name, ids, rows = backend.name, frozen(IDS), frozen(table())
    np.testing.assert_array_equal(kernels.embedding_gather(rows, ids, backend=name), table()[IDS])
    entries = Entries(ids, F, frozen(np.arange(B * F + 1)), frozen(np.ones(B * F, np.float32)))
    kernels.embedding_fm(rows, rows[:, 0], entries, frozen(np.ones((B, 2), np.float32)), deep=True, backend=name)
    kernels.embedding_bag(rows, entries, backend=name)
    kernels.fm_interaction(frozen(np.ones((B, F, D), np.float32)), backend=name)
    plan = kernels.plan_rows(ids, V, backend=name)
    fixed = foreign(source(), frozen)
    kernels.materialize_rows(rows, plan, fixed, backend=name)
    kernels.update_rows_sgd_(table(), foreign(plan, frozen), fixed, lr=0.1, backend=name)


ONE = {"step": 1, "rates": np.ones(1)}
# kernel, its arrays that are changed, its other arguments
CHANGING: dict[str, tuple[dict[str, np.ndarray], dict[str, Any]]] = {
    "update_rows_sgd_": ({"table": table()}, {"lr": 0.1}),
    "update_rows_adagrad_": ({"table": table(), "accumulator": table()}, {"lr": 0.1}),
    "update_rows_rowwise_adagrad_": ({"table": table(), "accumulator": table()[:, 0].copy()}, {"lr": 0.1}),
    "update_rows_adam_": ({"table": table(), "moment1": table(), "moment2": table()}, {"lr": 0.1, "step": 1}),
    "update_rows_adamw_": ({"table": table(), "moment1": table(), "moment2": table()}, {"lr": 0.1, "step": 1}),
    "update_rows_ftrl_": ({"table": table(), "dual": table(), "accumulator": table()}, {"lr": 0.1}),
    "catch_up_rows_sgd_": ({"table": table(), "last": np.zeros(V, np.int32)}, {"rows": None, **ONE}),
    "catch_up_rows_adagrad_": (
        {"table": table(), "accumulator": table(), "last": np.zeros(V, np.int32)}, {"rows": None, **ONE},
    ),
    "catch_up_rows_rowwise_adagrad_": (
        {"table": table(), "accumulator": table()[:, 0].copy(), "last": np.zeros(V, np.int32)}, {"rows": None, **ONE},
    ),
    "catch_up_rows_adam_": (
        {"table": table(), "moment1": table(), "moment2": table(), "last": np.zeros(V, np.int32)},
        {"rows": None, **ONE},
    ),
    "catch_up_rows_adamw_": (
        {"table": table(), "moment1": table(), "moment2": table(), "last": np.zeros(V, np.int32)},
        {"rows": None, **ONE},
    ),
    "catch_up_rows_ftrl_": (
        {"table": table(), "dual": table(), "accumulator": table(), "last": np.zeros(V, np.int32)},
        {"rows": None, **ONE},
    ),
    "bias_relu_dropout_": ({"x": table()}, {"bias": np.ones(D, np.float32), "rate": 0.0, "key": None}),
    "matmul": ({"out": np.ones((V, V), np.float32)}, {"left": table(), "right": table().T}),
}  # fmt: skip


def test_every_kernel_that_changes_its_arrays_is_tried() -> None:
    assert {name for name in kernels.__all__ if name.endswith("_")} == CHANGING.keys() - {"matmul"}


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("kernel", CHANGING)
def test_what_is_changed_must_not_be_read_only(backend: Backend, kernel: str, check: bool) -> None:
    arrays, others = CHANGING[kernel]
    if kernel.startswith("update"):
        others = {**others, "plan": kernels.plan_rows(IDS, V, backend=backend.name), "source": source()}
    call = getattr(kernels, kernel)
    for name in arrays:
        given = {key: array.copy() for key, array in arrays.items()}
        given[name] = frozen(given[name])
        with pytest.raises(InputError, match=rf"^{name} is read-only, and {kernel} changes it in place; pass "):
            call(**given, **others, backend=backend.name, check=check)
        for key, array in given.items():
            np.testing.assert_array_equal(array, arrays[key])
    call(**{key: array.copy() for key, array in arrays.items()}, **others, backend=backend.name)


def test_memory_of_older_dlpack_is_read_only(backend: Backend) -> None:
    plan = kernels.plan_rows(IDS, V, backend=backend.name)
    with pytest.raises(InputError, match=r"^table is read-only"):
        kernels.update_rows_sgd_(OlderForeign(table()), plan, source(), lr=0.1, backend=backend.name)
    with pytest.raises(InputError, match=r"^table cannot be taken: .*readonly"):
        kernels.embedding_gather(OlderForeign(frozen(table())), IDS, backend=backend.name)


@pytest.mark.parametrize("wrap", [np.asarray, Foreign])
def test_tables_and_states_may_have_any_outer_stride(backend: Backend, wrap: Any) -> None:
    wide, apart = np.repeat(table(), 2, axis=0), np.zeros((V, 3 * D), np.float32)
    rows, state = wide[::2], apart[:, D : 2 * D]
    plan = kernels.plan_rows(IDS, V, backend=backend.name)
    expected, expected_state = table(), np.zeros((V, D), np.float32)
    kernels.update_rows_adagrad_(wrap(rows), wrap(state), plan, source(), lr=0.1, backend=backend.name)
    kernels.update_rows_adagrad_(expected, expected_state, plan, source(), lr=0.1, backend=backend.name)
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_array_equal(state, expected_state)
    np.testing.assert_array_equal(wide[1::2], table())
    backwards = table()[::-1]
    np.testing.assert_array_equal(kernels.embedding_gather(backwards, IDS, backend=backend.name), backwards[IDS])


@pytest.mark.parametrize("wrap", [np.asarray, Foreign])
@pytest.mark.parametrize("rows", [np.asfortranarray(table()), np.repeat(table(), 2, axis=1)[:, ::2]])
def test_a_row_must_be_in_one_piece(backend: Backend, rows: np.ndarray, wrap: Any) -> None:
    plan = kernels.plan_rows(IDS, V, backend=backend.name)
    line = r"^table must have an inner stride of one element; pass np.ascontiguousarray\(table\)$"
    with pytest.raises(InputError, match=line):
        kernels.embedding_gather(wrap(rows), IDS, backend=backend.name)
    with pytest.raises(InputError, match=line):
        kernels.update_rows_sgd_(wrap(rows), plan, source(), lr=0.1, backend=backend.name)


def test_all_else_must_be_contiguous(backend: Backend) -> None:
    name, twice = backend.name, np.repeat(IDS, 2)[::2]
    floats = np.ones(2 * B * F, np.float32)[::2]
    square = np.asfortranarray(np.ones((B, F, D), np.float32))
    calls: dict[str, Callable[[], Any]] = {
        "ids": lambda: kernels.embedding_gather(table(), twice, backend=name),
        "values": lambda: kernels.embedding_bag(table(), Entries(IDS, F, None, floats), backend=name),
        "dense": lambda: kernels.embedding_fm(table(), None, Entries(IDS, F), square[:, 0], deep=True, backend=name),
        "fields": lambda: kernels.fm_interaction(square, backend=name),
    }
    for array, call in calls.items():
        with pytest.raises(InputError, match=rf"^{array} must be C-contiguous; pass np.ascontiguousarray\({array}\)$"):
            call()
    for call in (
        lambda: kernels.plan_rows(twice, V, backend=name),
        lambda: kernels.embedding_fm(table(), None, Entries(twice, F), None, deep=False, backend=name),
    ):
        with pytest.raises(InputError, match=r"^ids must be C-contiguous"):
            call()
