"""Tables of float16 and bfloat16: lookups give the bits that they give on the table widened to float32 before."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from fastfm_core import threads
from fastfm_core.backends import numba_cpu
from fastfm_core.contract import Array, Entries
from fastfm_core.errors import InputError

from .checking import same
from .conftest import INSTRUCTION_SETS
from .inputs import Scenario, draw_entries

READERS = pytest.mark.parametrize(
    "backend", ["reference", *(f"native-{isa}" for isa in INSTRUCTION_SETS), "cuda"], indirect=True
)
HALVES = pytest.mark.parametrize("half", [np.float16, ml_dtypes.bfloat16], ids=["float16", "bfloat16"])
KINDS = {
    "single": Scenario("single"),
    "values": Scenario("values", values=True, ids="ends"),
    "sum": Scenario("sum", bags="mixed"),
    "mean": Scenario("mean", bags="mixed", pooling="mean", values=True),
    "sqrtn": Scenario("sqrtn", bags="long", pooling="sqrtn"),
    "none": Scenario("none", fields=1, bags="mixed", pooling="none", values=True),
    "empty": Scenario("empty", samples=0),
}


def draw_rows(rows: int, columns: int, half: Any) -> Array:
    """[V, columns] of all magnitudes that float16 has, subnormal ones and zeros of both signs too."""
    random = np.random.default_rng(columns)
    numbers = random.normal(size=(rows, columns)) * 2.0 ** random.integers(-24, 3, (rows, columns))
    return (numbers * (random.random((rows, columns)) < 0.9)).astype(half)


def lookups(backend: ModuleType, table: Array, linear: Array | None, entries: Entries, dense: Array) -> list[Array]:
    """All that the reading kernels return."""
    found = [
        backend.embedding_gather(table, entries.ids),
        *backend.embedding_fm(table, linear, entries, None, deep=False),
    ]
    if entries.pooling != "none":
        found += backend.embedding_bag(table, entries)
        found += backend.embedding_fm(table, linear, entries, dense, deep=True)
    return [array for array in found if array is not None]


def check(backend: ModuleType, rows: Array, dim: int, entries: Entries, first: Callable[[Array], Array | None]) -> None:
    """Lookups in the first ``dim`` columns of rows, and in the same rows as float32."""
    dense = np.random.default_rng(1).normal(size=(entries.samples, 3)).astype(np.float32)
    wide = rows.astype(np.float32)
    found = lookups(backend, rows[:, :dim], first(rows), entries, dense)
    expected = lookups(backend, wide[:, :dim], first(wide), entries, dense)
    for array, right in zip(found, expected, strict=True):
        assert array.dtype == right.dtype
        assert same(array, right)


@READERS
@HALVES
@pytest.mark.parametrize("columns", [4, 7, 16, 64])
def test_every_number_is_widened_exactly(backend: ModuleType, half: Any, columns: int) -> None:
    every = np.resize(np.arange(2**16, dtype=np.uint16), (-(-(2**16) // columns), columns)).view(half)
    found = backend.embedding_gather(every, np.arange(len(every)))
    wide = every.astype(np.float32)
    assert found.dtype == np.float32
    nan = np.isnan(wide)
    assert (np.isnan(found) == nan).all()
    assert same(found[~nan], wide[~nan])


@READERS
@HALVES
@pytest.mark.parametrize("dim", [0, 1, 7, 15, 16, 33, 63, 64, 65, 100, 128])
@pytest.mark.parametrize("kind", KINDS)
def test_lookups_give_float32s_bits(backend: ModuleType, half: Any, dim: int, kind: str) -> None:
    rows = draw_rows(KINDS[kind].rows, dim + 3, half)
    firsts: list[Callable[[Array], Array | None]] = [
        lambda _: None,
        lambda r: r[:, dim],
        lambda r: r[:, dim + 1].copy(),
    ]
    for ids_dtype in (np.int32, np.int64):
        entries = draw_entries(KINDS[kind], np.random.default_rng(dim), np.float32, ids_dtype)
        for first in firsts:
            check(backend, rows, dim, entries, first)


@READERS
@HALVES
def test_bits_do_not_depend_on_threads(backend: ModuleType, half: Any) -> None:
    random, rows = np.random.default_rng(2), draw_rows(500, 67, half)
    before = threads.get_num_threads()
    try:
        for scenario in (Scenario("single", samples=600), Scenario("bags", samples=300, bags="mixed", pooling="mean")):
            entries = draw_entries(scenario._replace(rows=500, fields=8), random, np.float32, np.int32)
            found = []
            for count in (1, 2):
                threads.set_num_threads(count)
                check(backend, rows, 64, entries, lambda r: r[:, 64])
                found.append(backend.embedding_fm(rows[:, :64], rows[:, 64], entries, None, deep=False))
            assert all(same(alone, shared) for alone, shared in zip(found[0][:3], found[1][:3], strict=True))
    finally:
        threads.set_num_threads(before)


@HALVES
def test_numba_refuses_them_by_name(half: Any) -> None:
    table, entries = np.zeros((4, 3), half), Entries(np.zeros(4, np.int32), 2)
    calls: list[Callable[[], Any]] = [
        lambda: numba_cpu.embedding_gather(table, entries.ids),
        lambda: numba_cpu.embedding_bag(table, entries),
        lambda: numba_cpu.embedding_fm(table, None, entries, None, deep=False),
    ]
    for call in calls:
        with pytest.raises(InputError, match=r"backend 'numba' reads no b?float16 tables; native or reference does"):
            call()
