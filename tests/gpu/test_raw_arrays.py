"""The raw API with arrays of a device: CuPy's and other libraries', where they are refused, and what a check reads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from devices import DEVICE, import_with_cupy

from fastfm_core import kernels
from fastfm_core.contract import Entries, RowPlan, RowSource, every_row
from fastfm_core.errors import BackendUnavailable, InputError

cupy: Any = import_with_cupy("cupy")
READS: Any = getattr(cupy, "reads", {})  # nobody counts on a real device
TABLE = np.arange(12, dtype=np.float32).reshape(4, 3)
IDS = np.array([0, 3, 3, 1], np.int32)
PAIRS = np.array([[0, 1], [2, 0]], np.int32)
put: Any = cupy.asarray


class OfDLPack:
    """Another library's array, which offers DLPack alone."""

    def __init__(self, array: Any, device: int = 2) -> None:
        self.array, self.device = array, device

    def __dlpack__(self, **options: Any) -> Any:
        return (self.array if DEVICE else cupy.peek(self.array)).__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device, 0


class OfInterface:
    """Another library's array, which offers the CUDA array interface alone."""

    def __init__(self, array: Any) -> None:
        self.__cuda_array_interface__ = array.__cuda_array_interface__
        self.array = array


EVERY = pytest.mark.parametrize("owner", [lambda array: array, OfDLPack, OfInterface])


def source(of: Any = put, first: Any = None) -> RowSource:
    return RowSource(2, slot_grad=of(np.ones((2, 2, 3), np.float32)), first_grad=first)


def read(call: Any) -> dict[str, int]:
    READS.clear()
    call()
    return dict(READS)


@EVERY
def test_arrays_of_a_device_go_to_cuda_and_keep_their_memory(owner: Any) -> None:
    table, accumulator, ids = put(TABLE), put(np.ones((4, 3), np.float32)), put(IDS)
    entries = Entries(owner(ids), 2, owner(put(np.array([0, 1, 2, 3, 4]))), owner(put(np.ones(4, np.float32))))
    out = kernels.embedding_fm(owner(table), None, entries, None, deep=True)
    expected = kernels.embedding_fm(TABLE, None, Entries(IDS, 2), None, deep=True)
    assert isinstance(out.pair, cupy.ndarray) and out.deep is not None and expected.deep is not None
    np.testing.assert_allclose(cupy.asnumpy(out.pair), expected.pair, rtol=1e-6)
    np.testing.assert_array_equal(cupy.asnumpy(out.deep), expected.deep)
    plan = kernels.plan_rows(owner(ids), 4)
    given = RowSource(2, slot_grad=owner(put(np.ones((2, 2, 3), np.float32))))
    kernels.update_rows_adagrad_(owner(table), owner(accumulator), plan, given, lr=0.5)
    np.testing.assert_array_equal(cupy.asnumpy(accumulator)[:, 0], [2, 2, 1, 5])
    assert cupy.asnumpy(table)[0, 0] == np.float32(-0.5 / np.sqrt(2))


@EVERY
def test_a_given_output_is_written_to(owner: Any) -> None:
    left, out = put(TABLE), put(np.zeros((4, 4), np.float32))
    kernels.matmul(owner(left), owner(left.T), owner(out))
    np.testing.assert_array_equal(cupy.asnumpy(out), TABLE @ TABLE.T)


@EVERY
def test_a_plan_may_be_the_devices_own_a_row_plan_or_every_row(owner: Any) -> None:
    own = kernels.plan_rows(put(IDS), 4)
    made = RowPlan(*map(owner, (own.rows, own.segments, own.order)))
    expected = kernels.materialize_rows(TABLE, kernels.plan_rows(IDS, 4), source(np.asarray))
    for plan in (own, made):
        found = kernels.materialize_rows(owner(put(TABLE)), plan, source(put))
        np.testing.assert_array_equal(cupy.asnumpy(found), expected)
    union, places = kernels.merge_plans([own, made])
    np.testing.assert_array_equal(cupy.asnumpy(union), [0, 1, 3])
    assert [cupy.asnumpy(place).tolist() for place in places] == [[0, 1, 2]] * 2
    table = put(TABLE)
    kernels.update_rows_sgd_(owner(table), every_row(4), source(put), lr=1.0)
    np.testing.assert_array_equal(cupy.asnumpy(table), TABLE - 1)


@EVERY
def test_rows_catch_up_whether_they_repeat_or_not(owner: Any) -> None:
    rates, plan = np.array([0.5, 0.5]), kernels.plan_rows(put(IDS), 4)
    for rows in (plan.touched, plan.rows, put(np.array([0, 1, 3]))):
        table, last = put(TABLE), put(np.zeros(4, np.int32))
        kernels.catch_up_rows_sgd_(owner(table), owner(last), owner(rows), step=2, rates=rates, l2=1.0)
        assert cupy.asnumpy(last).tolist() == [2, 2, 0, 2]
        np.testing.assert_array_equal(cupy.asnumpy(table), TABLE * np.array([[0.25], [0.25], [1], [0.25]], np.float32))


def gather(ids: Any, table: Any = None, **options: Any) -> Any:
    return kernels.embedding_gather(put(TABLE) if table is None else table, ids, **options)


def bag(**parts: Any) -> Any:
    return kernels.embedding_bag(put(TABLE), Entries(put(IDS), 1, **{key: put(part) for key, part in parts.items()}))


def catch_up(rows: list[int], last: int = 0) -> None:
    states = put(np.full(4, last, np.int32)), put(np.array(rows))
    kernels.catch_up_rows_sgd_(put(TABLE), *states, step=2, rates=np.ones(2))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: gather(IDS), "embedding_gather: ids is on the host, table on a device; move one of them"),
        (lambda: gather(put(IDS), TABLE), "embedding_gather: table is on the host, ids on a device; move one of them"),
        (lambda: gather(OfDLPack(put(IDS)), TABLE), "table is on the host, ids on a device"),
        (
            lambda: gather(put(IDS), backend="reference"),
            "table is on a device, backend 'reference' reads arrays of the host",
        ),
        (lambda: gather(IDS, TABLE, backend="cuda"), "table is on the host, backend 'cuda' reads arrays of a device"),
        (lambda: kernels.embedding_bag(put(TABLE), Entries(IDS, 1)), "entries.ids is on the host, table on a device"),
        (
            lambda: kernels.materialize_rows(put(TABLE), kernels.plan_rows(IDS, 4), source()),
            "plan.rows is on the host, table on a device",
        ),
        (
            lambda: kernels.materialize_rows(TABLE, kernels.plan_rows(put(IDS), 4), source(np.asarray)),
            "table is on the host, plan.order on a device",
        ),
        (
            lambda: kernels.merge_plans([kernels.plan_rows(put(IDS), 4), kernels.plan_rows(IDS, 4)]),
            r"plans\[1\].rows is on the host, plans\[0\].order on a device",
        ),
        (lambda: gather(put(np.array([0, 4, -1]))), r"ids\[1\] is 4, outside the table's rows 0\.\.3"),
        (lambda: gather(put(np.array([0, -7, 4]))), r"ids\[1\] is -7, outside the table's rows 0\.\.3"),
        (lambda: gather(put(np.arange(8))[::2]), r"ids must be C-contiguous; pass cupy.ascontiguousarray\(ids\)"),
        (lambda: gather(put(IDS.astype(np.uint32))), "ids must be int32 or int64, got uint32"),
        (lambda: gather(put(IDS), put(TABLE)[:, ::2]), r"inner stride of one element; pass cupy.ascontiguousarray"),
        (lambda: bag(offsets=np.array([0, 3, 1, 4])), "offsets must rise from 0 to the number of ids, 4"),
        (lambda: bag(offsets=np.array([0, 3])), "offsets must rise from 0 to the number of ids, 4"),
        (lambda: bag(values=np.ones(4)), "one dtype"),
        (
            lambda: kernels.update_rows_sgd_(put(TABLE[:2]), kernels.plan_rows(put(IDS), 4), source(), lr=1.0),
            r"plan.rows\[2\] is 3, outside the table's rows 0\.\.1",
        ),
        (lambda: catch_up([0, 2, 1]), r"rows\[2\] falls; rows must be ascending"),
        (lambda: catch_up([0, 4]), r"rows\[1\] is 4, outside the table's rows 0\.\.3"),
        (lambda: catch_up([0], last=3), "the rows have missed -1 to -1 steps, rates has 2 of them"),
        (
            lambda: kernels.pair_interaction(put(np.ones((5, 2, 4))), put(PAIRS), None),
            r"pairs\[1\] is \(2, 0\): the fields are 0..1",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(call: Any, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_an_array_that_its_library_does_not_give_is_refused_by_name() -> None:
    class Taped(OfDLPack):
        def __dlpack__(self, **options: Any) -> Any:
            raise BufferError("Can't export tensors\nthat require gradient")

    with pytest.raises(InputError, match=r"^ids cannot be taken: Can't export tensors that require gradient$"):
        gather(Taped(put(IDS)))
    with pytest.raises(InputError, match=r"^ids cannot be taken: "):
        kernels.embedding_gather(TABLE, Taped(IDS, device=1))


def test_arrays_of_a_device_are_refused_where_there_is_no_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastfm_core.backends.driver.why_absent", lambda: "CuPy is not installed")
    with pytest.raises(BackendUnavailable, match="backend 'cuda' cannot run: CuPy is not installed"):
        gather(OfDLPack(put(IDS)), OfDLPack(put(TABLE)))


@pytest.mark.skipif(DEVICE, reason="nobody counts what is read of a real device")
def test_a_check_reads_each_array_once_and_no_check_reads_none() -> None:
    table, ids, vectors = put(TABLE), put(IDS), put(np.ones((5, 3, 4), np.float32))
    entries, plan = Entries(ids, 2, put(np.arange(5))), kernels.plan_rows(ids, 4)
    last, rows, rates = put(np.zeros(4, np.int32)), put(np.array([0, 3])), np.ones(2)
    calls: list[tuple[int, Any]] = [
        (1, lambda **options: gather(ids, **options)),
        (2, lambda **options: kernels.embedding_bag(table, entries, **options)),
        (1, lambda **options: kernels.update_rows_sgd_(table, plan, source(), lr=1.0, **options)),
        (2, lambda **options: kernels.catch_up_rows_sgd_(table, last, rows, step=2, rates=rates, **options)),
        (1, lambda **options: kernels.pair_interaction(vectors, put(PAIRS), None, **options)),
        (0, lambda **options: kernels.fm_interaction(vectors, **options)),
    ]
    for count, call in calls:
        assert read(call) == ({"get": count} if count else {})
        last.fill(0)
        assert read(lambda call=call: call(check=False)) == {}
        last.fill(0)
