"""Rows are addressed past 2^31 elements: a sparse file stands for a table that would not fit in memory."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from fastfm_core.contract import Array, Entries, RowSource

from .inputs import plan_of

ROWS, DIM = 40_000_000, 64
IDS = np.array([ROWS - 1, 0, 2**31 // DIM, ROWS - 1, 2**32 // (4 * DIM) + 1, ROWS - 3])


def sparse(path: Path) -> Array:
    """Zeros [40M, 64] float32, 10 GB of which no page exists."""
    return np.asarray(np.memmap(path, np.float32, "w+", shape=(ROWS, DIM)))


@pytest.fixture
def table(tmp_path: Path) -> Array:
    """Each row in use holds its own small numbers."""
    array = sparse(tmp_path / "table")
    for place, row in enumerate(np.unique(IDS)):
        array[row] = np.arange(DIM) % 7 + place
    return array


@pytest.mark.parametrize("ids_dtype", [np.int32, np.int64])
def test_lookup_past_int32(backend: ModuleType, table: Array, ids_dtype: Any) -> None:
    ids = IDS.astype(ids_dtype)
    rows = np.stack([table[row] for row in IDS.tolist()])
    assert (backend.embedding_gather(table, ids) == rows).all()
    out = backend.embedding_fm(table, table[:, 0], Entries(ids, 3), None, deep=True)
    assert (out.deep == rows.reshape(2, 3 * DIM)).all()
    assert (out.first == rows[:, 0].reshape(2, 3).sum(axis=1)).all()
    pooled, _ = backend.embedding_bag(table, Entries(ids, 1, np.array([0, 4, 6])))
    assert (pooled == [rows[:4].sum(axis=0), rows[4:].sum(axis=0)]).all()


@pytest.mark.parametrize("ids_dtype", [np.int32, np.int64])
def test_update_past_int32(backend: ModuleType, table: Array, ids_dtype: Any, tmp_path: Path) -> None:
    plan = plan_of(IDS.astype(ids_dtype))
    before = np.stack([table[row] for row in plan.rows.tolist()])
    source = RowSource(3, slot_grad=np.ones((2, 3, DIM), np.float32))
    backend.update_rows_sgd_(table, plan, source, lr=0.5)
    counts = np.diff(plan.segments)[:, None]
    assert (np.stack([table[row] for row in plan.rows.tolist()]) == before - 0.5 * counts).all()
    assert not table[ROWS - 2].any() and not table[1].any()
    accumulator = sparse(tmp_path / "state")[:, 5]
    backend.update_rows_rowwise_adagrad_(table, accumulator, plan, source, lr=0.0)
    assert (accumulator[plan.rows] == counts[:, 0] ** 2).all()
    assert accumulator[ROWS - 2] == 0
