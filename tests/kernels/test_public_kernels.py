"""The raw API: what it refuses and in which words, what it passes on unchanged."""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import fastfm_core as ff
from fastfm_core.contract import KERNELS, Entries, Kernels, RowSource
from fastfm_core.errors import BackendUnavailable, InputError, MissingKernel

TABLE = np.arange(12, dtype=np.float32).reshape(4, 3)
IDS = np.array([0, 3, 3, 1], np.int32)
EVERY = pytest.mark.parametrize("backend", ["reference", "numba", "native"])


def test_every_kernel_is_public_with_the_contracts_signature_and_words() -> None:
    for name in KERNELS:
        expected = list(inspect.signature(getattr(Kernels, name)).parameters)[1:]
        assert list(inspect.signature(getattr(ff.kernels, name)).parameters) == expected
        assert getattr(ff.kernels, name).__doc__ == getattr(Kernels, name).__doc__


@EVERY
@pytest.mark.parametrize(("bad", "position"), [(-1, 2), (4, 2), (2**31 - 1, 2)])
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_ids_outside_the_table_are_named(backend: str, bad: int, position: int, dtype: Any) -> None:
    ids = np.array([0, 3, bad, 1], dtype)
    entries = Entries(ids, 2)
    calls: list[Any] = [
        lambda: ff.kernels.embedding_gather(TABLE, ids, backend=backend),
        lambda: ff.kernels.embedding_bag(TABLE, entries, backend=backend),
        lambda: ff.kernels.embedding_fm(TABLE, None, entries, None, deep=False, backend=backend),
        lambda: ff.kernels.plan_rows(ids, 4, backend=backend),
        lambda: ff.kernels.value_gradient(TABLE, entries, RowSource(2), backend=backend),
    ]
    for call in calls:
        with pytest.raises(InputError, match=rf"ids\[{position}\] is {bad}, outside the table's rows 0\.\.3"):
            call()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ff.kernels.embedding_gather(TABLE, IDS.astype(np.uint32)), "ids must be int32 or int64, got uint32"),
        (lambda: ff.kernels.embedding_gather(TABLE.astype(np.int64), IDS), "table must be float32 or float64"),
        (lambda: ff.kernels.embedding_gather(TABLE[0], IDS), r"table must have shape \[V, D\]"),
        (lambda: ff.kernels.embedding_gather(TABLE[:, ::2], IDS), "table must have an inner stride of one element"),
        (lambda: ff.kernels.embedding_gather(TABLE, IDS[::2]), "ids must be C-contiguous; pass np.ascontiguousarray"),
        (lambda: ff.kernels.embedding_gather(TABLE.tolist(), IDS), "table must be an array, got list"),
        (lambda: ff.kernels.embedding_bag(TABLE, Entries(IDS, 3)), "4 slots cannot be 3 fields of whole samples"),
        (lambda: ff.kernels.embedding_bag(TABLE, Entries(IDS, 0)), "entries.fields must be at least 1"),
        (lambda: ff.kernels.embedding_bag(TABLE, Entries(IDS, 1, pooling="median")), "unknown pooling 'median'"),
        (lambda: ff.kernels.embedding_bag(TABLE, Entries(IDS, 1, np.array([0, 3]))), "offsets must rise from 0 to"),
        (lambda: ff.kernels.embedding_bag(TABLE, Entries(IDS, 1, np.array([0, 3, 1, 4]))), "offsets must rise"),
        (lambda: ff.kernels.embedding_bag(TABLE, Entries(IDS, 1, values=np.ones(3, np.float32))), "values has N = 3"),
        (lambda: ff.kernels.embedding_bag(TABLE, Entries(IDS, 1, values=np.ones(4))), "one dtype"),
        (lambda: ff.kernels.embedding_bag(TABLE, Entries(IDS, 1, np.array([0, 4]), pooling="none")), "none"),
        (lambda: ff.kernels.embedding_fm(TABLE, np.ones(3, np.float32), Entries(IDS, 2), None, deep=False), "V = 3"),
        (lambda: ff.kernels.fm_interaction_backward(np.ones(2), np.ones((3, 2, 4))), "B is 2 elsewhere"),
        (lambda: lane(sums=np.ones((2, 3), np.float32)), "sums has D = 3, but D is 2 elsewhere"),
        (lambda: lane(winners=np.zeros((4, 2), np.int64)), r"winners has D \+ 1 = 2, but D \+ 1 is 3 elsewhere"),
        (lambda: lane(winners=np.zeros(4, np.int64)), r"winners must have shape \[M, D \+ 1\]"),
        (lambda: lane(first_grad=np.ones(3, np.float32)), "first_grad has B = 3"),
        (lambda: lane(first_grad=np.ones(2)), "one dtype"),
        (lambda: lane(table=TABLE[:, :0]), "the last column of table is the first-order weight; it has none"),
        (lambda: ff.kernels.matmul(np.ones((2, 3)), np.ones((2, 3))), "right has K = 2"),
        (lambda: ff.kernels.bpr(np.ones((2, 3)), np.ones(3)), "weights has B = 3"),
        (lambda: ff.kernels.softmax_cross_entropy(np.ones((2, 0)), None), "logits must have a column for the positive"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(call: Any, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


VECTORS = np.ones((5, 3, 4), np.float32)
PAIRS = np.array([[0, 1], [2, 0]], np.int32)


def interact(pairs: Any = PAIRS, vectors: Any = VECTORS, weights: Any = None) -> np.ndarray:
    return ff.kernels.pair_interaction(vectors, pairs, weights)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: interact(PAIRS + np.int32(1)), r"pairs\[1\] is \(3, 1\): the fields are 0..2"),
        (lambda: interact(PAIRS - np.int32(1)), r"pairs\[0\] is \(-1, 0\): the fields are 0..2"),
        (lambda: interact(PAIRS // 2), r"pairs\[0\] is \(0, 0\): a pair has two different fields"),
        (lambda: interact(PAIRS.astype(np.int64)), "pairs must be int32, got int64"),
        (lambda: interact(PAIRS[0]), r"pairs must have shape \[P, 2\], got \(2,\)"),
        (lambda: interact(PAIRS[:, :1].copy()), r"pairs must have shape \[P, 2\], got \(2, 1\)"),
        (lambda: interact(PAIRS[:, ::-1]), "pairs must be C-contiguous"),
        (lambda: interact(weights=np.ones(3, np.float32)), "weights has P = 3, but P is 2 elsewhere"),
        (lambda: interact(weights=np.ones(2)), "one dtype"),
        (lambda: interact(vectors=VECTORS[:, ::2]), "vectors must be C-contiguous"),
        (lambda: interact(vectors=VECTORS[::-1]), "vectors has its samples in descending order"),
        (lambda: interact(vectors=VECTORS[0]), r"vectors must have shape \[B, F, D\]"),
        (lambda: ff.kernels.pair_products(VECTORS, PAIRS, "cross"), "unknown product 'cross'; known: inner, elementw"),
        (lambda: ff.kernels.pair_products(VECTORS, PAIRS + np.int32(1), "inner"), r"pairs\[1\] is \(3, 1\)"),
        (lambda: ff.kernels.pair_products_backward(np.ones((5, 2, 4), np.float32), VECTORS, PAIRS, "outer"), "W is 16"),
        (lambda: ff.kernels.pair_products_backward(np.ones((5, 2, 4), np.float32), VECTORS, PAIRS, "inner"), "W is 1 "),
        (lambda: ff.kernels.pair_interaction_backward(np.ones(4, np.float32), VECTORS, PAIRS, None), "B is 4 elsewher"),
    ],
)
def test_pairs_that_are_none_are_refused_in_one_line(call: Any, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


@EVERY
def test_samples_may_lie_any_stride_apart(backend: str) -> None:
    wide = np.arange(40, dtype=np.float32).reshape(5, 8)
    step, size = wide.strides
    for stride in (step, 2 * size, 0):
        vectors = np.lib.stride_tricks.as_strided(wide, (5, 3, 2), (stride, 2 * size, size))
        expected = ff.kernels.pair_interaction(vectors.copy(), PAIRS, None, backend="reference")
        np.testing.assert_array_equal(ff.kernels.pair_interaction(vectors, PAIRS, None, backend=backend), expected)


HALF, SUM = TABLE.astype(np.float16), Entries(IDS, 2)
BRAIN = TABLE.astype(ml_dtypes.bfloat16)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: ff.kernels.embedding_bag(HALF, SUM._replace(pooling="max")),
            "max pooling needs a float32 or float64 ta",
        ),
        (
            lambda: ff.kernels.embedding_bag(BRAIN, SUM._replace(values=np.ones(4))),
            r"values float64, table \(bfloat16\) as float32",
        ),
        (
            lambda: ff.kernels.embedding_fm(HALF, TABLE[:, 0], SUM, None, deep=False),
            "linear must be float16 as table is",
        ),
        (lambda: ff.kernels.embedding_fm(TABLE, BRAIN[:, 0], SUM, None, deep=False), "got bfloat16"),
        (
            lambda: ff.kernels.value_gradient(HALF, SUM, RowSource(2)),
            "value_gradient: a float16 table can only be read",
        ),
        (lambda: lane(BRAIN), "materialize_rows: a bfloat16 table can only be read; train in float32 and convert"),
        (lambda: ff.kernels.fm_interaction(HALF.reshape(2, 2, 3)), "fields must be float32 or float64, got float16"),
        (lambda: ff.kernels.embedding_gather(HALF[:, ::2], IDS), "table must have an inner stride of one element"),
    ],
)
def test_halves_are_for_reading_tables_alone(call: Any, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("table", [HALF, BRAIN])
@pytest.mark.parametrize("backend", ["reference", "native"])
def test_tables_of_halves_are_read_as_float32(table: np.ndarray, backend: str) -> None:
    pair = ff.kernels.embedding_fm(table, table[:, 0], SUM, None, deep=False, backend=backend).pair
    assert pair.dtype == np.float32
    np.testing.assert_array_equal(pair, ff.kernels.embedding_fm(TABLE, None, SUM, None, deep=False).pair)


def lane(table: np.ndarray = TABLE, backend: str = "auto", **changes: Any) -> np.ndarray:
    """The row gradients of a source of two samples and two fields whose rows end with their first-order weight."""
    source: dict[str, Any] = {"pair_grad": np.ones(2, np.float32), "sums": np.ones((2, 2), np.float32)}
    source |= {"first_grad": np.array([1, 2], np.float32)} | changes
    plan = ff.kernels.plan_rows(IDS, 4)
    return ff.kernels.materialize_rows(table, plan, RowSource(2, **source), backend=backend)


@EVERY
def test_the_first_order_may_be_the_last_column(backend: str) -> None:
    gradient = lane(backend=backend)
    np.testing.assert_array_equal(gradient, [[1, 0, 1], [-2, -3, 2], [-16, -18, 3]])
    np.testing.assert_array_equal(lane(TABLE[:, 2:], backend, pair_grad=None, sums=None), [[1], [2], [3]])


@EVERY
def test_strided_tables_and_states_are_taken_as_they_are(backend: str) -> None:
    wide = np.ones((4, 8), np.float32)
    table, accumulator = wide[:, :3], wide[:, 4:7]
    plan = ff.kernels.plan_rows(IDS, 4, backend=backend)
    source = RowSource(2, slot_grad=np.ones((2, 2, 3), np.float32))
    ff.kernels.update_rows_adagrad_(table, accumulator, plan, source, lr=0.5, backend=backend)
    moved = 1 - 0.5 / np.sqrt(2)
    expected = np.array([[moved, 2], [moved, 2], [1, 1], [1 - 0.5 * 2 / np.sqrt(5), 5]], np.float32)
    np.testing.assert_allclose(wide[:, [0, 4]], expected, rtol=1e-6)
    assert (wide[:, [3, 7]] == 1).all()


@EVERY
def test_read_only_inputs_are_taken(backend: str) -> None:
    table, ids = TABLE.copy(), IDS.copy()
    table.flags.writeable = ids.flags.writeable = False
    np.testing.assert_array_equal(ff.kernels.embedding_gather(table, ids, backend=backend), TABLE[IDS])


def test_other_cpu_arrays_come_through_dlpack_without_a_copy() -> None:
    class Foreign:
        def __init__(self, array: np.ndarray) -> None:
            self.array = array

        def __dlpack__(self, **options: Any) -> Any:
            return self.array.__dlpack__(**options)

        def __dlpack_device__(self) -> Any:
            return self.array.__dlpack_device__()

    table = np.zeros((4, 3), np.float32)
    plan = ff.kernels.plan_rows(IDS, 4)
    source = RowSource(2, slot_grad=np.ones((2, 2, 3), np.float32))
    ff.kernels.update_rows_sgd_(Foreign(table), plan, source, lr=1.0)
    assert table[3, 0] == -2


def test_unchecked_calls_skip_the_checks_and_unknown_backends_are_refused() -> None:
    assert len(ff.kernels.embedding_gather(TABLE, IDS[::2], check=False)) == 2
    with pytest.raises(InputError, match="unknown backend 'tpu'; known: reference, numba, native, cuda"):
        ff.kernels.embedding_gather(TABLE, IDS, backend="tpu")


def test_a_backend_that_cannot_run_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("numba", "native"):
        monkeypatch.setitem(ff.backends._NEEDS, name, ("a_module_that_is_absent", lambda: "it is absent"))
    monkeypatch.setattr(ff.backends.driver, "why_absent", lambda: "it is absent")
    assert ff.backends.available() == ["reference"]
    for name in ("numba", "native", "cuda", "auto"):
        with pytest.raises(BackendUnavailable, match="it is absent"):
            ff.backends.get(name)


def test_a_missing_kernel_names_itself_its_backend_and_who_has_it() -> None:
    half = ff.backends.Backend("half", ModuleType("half"))
    with pytest.raises(MissingKernel, match="'half' has no kernel 'fm_interaction'; these have it: reference, numba"):
        half.fm_interaction(np.ones((2, 3, 4)))
