"""Worker of native_targets.py: kernels on the rows of W2's large table, and what memory allows them.

python benchmarks/rows_ours.py IDS DIM BACKEND      IDS uniform or zipf

Rows hold D floats and the first-order weight, padded to whole cache lines: 16 floats for D = 15, 80 for D = 64.
Cases: "fm" and "deep", embedding_fm without and with concatenation; "read-WAY" and "write-WAY", their ceilings: the
rows read once, and beside it [B, F*D] written past the caches, in each of row_ceilings.WAYS. "update", Adagrad on all
columns with an FM's gradient and the plan given, and "limit-WAY", its ceiling (DIM 15 alone). "errors" of the three
kernels against NumPy in float64, relative to the largest value.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable

import numpy as np

import row_ceilings
from fastfm_core import backends
from fastfm_core.backends.memory import aligned_zeros
from fastfm_core.bench.workload import FIELDS, LARGE_BATCH, LARGE_BATCHES, LARGE_ROWS, large_log
from fastfm_core.contract import Entries, RowSource
from timing import serve, timed

CHECKED, RATE = 500, 0.05


class Rows:
    """The table, and batches taken in turn by each case, so that no case finds its rows in cache."""

    def __init__(self, kind: str, dim: int, backend: str) -> None:
        self.dim, self.kernels = dim, backends.get(backend)
        self.padded = aligned_zeros((LARGE_ROWS, -(-(dim + 1) // 16) * 16), np.float32)
        draw = np.random.default_rng(3)
        for block in np.array_split(self.padded, 100):
            draw.standard_normal(block.shape, dtype=np.float32, out=block)
        self.padded *= np.float32(0.1)
        self.table, self.linear = self.padded[:, :dim], self.padded[:, dim]
        ids = large_log(kind).ids.reshape(LARGE_BATCHES, -1)
        self.batches = [np.ascontiguousarray(batch) for batch in ids]
        self.output = aligned_zeros((LARGE_BATCH * FIELDS * dim,), np.float32)

    def in_turn(self, work: Callable[[np.ndarray], object]) -> Callable[[], object]:
        """``work`` on the next batch's ids [N]."""
        turn = itertools.cycle(self.batches)
        return lambda: work(next(turn))

    def lookup(self, ids: np.ndarray, deep: bool) -> tuple[np.ndarray, ...]:
        """embedding_fm's first order, pairs and deep input."""
        found = self.kernels.embedding_fm(self.table, self.linear, Entries(ids, FIELDS), None, deep=deep)
        return found.first, found.pair, *([found.deep] if deep else [])

    def read(self, ids: np.ndarray, floats: int, way: tuple[int, int]) -> object:
        """The ceiling; ``floats`` written per id."""
        return row_ceilings.read_rows(self.padded[:, : self.dim + 1], ids, self.output, floats, *way)

    def errors(self, calls: int) -> list[float]:
        """Of first order, pairs and deep input on a batch's first samples."""
        ids = self.batches[0][: CHECKED * FIELDS]
        rows = self.padded[ids].astype(np.float64).reshape(CHECKED, FIELDS, -1)
        e = rows[..., : self.dim]
        pairs = 0.5 * (e.sum(1) ** 2 - (e * e).sum(1)).sum(1)
        expected = rows[..., self.dim].sum(1), pairs, e.reshape(CHECKED, -1)
        return [error(found, truth) for found, truth in zip(self.lookup(ids, deep=True), expected, strict=True)]


class Update:
    """update_rows_adagrad_ on all 16 columns of W2's rows, plans made beforehand."""

    def __init__(self, rows: Rows) -> None:
        self.kernels, self.table = rows.kernels, rows.padded
        self.state = aligned_zeros(self.table.shape, np.float32, line=2)
        self.state += np.float32(0.1)
        self.plans = [rows.kernels.plan_rows(ids, LARGE_ROWS) for ids in rows.batches]
        self.plan = itertools.cycle(self.plans)
        draw = np.random.default_rng(4)
        self.sums = aligned_zeros((LARGE_BATCH, self.table.shape[1]), np.float32)
        self.sums[:] = draw.standard_normal(self.sums.shape, dtype=np.float32)
        self.pair_grad = draw.standard_normal(LARGE_BATCH, dtype=np.float32) / np.float32(LARGE_BATCH)

    def source(self, samples: int) -> RowSource:
        """An FM's gradient for the first so many samples."""
        return RowSource(FIELDS, pair_grad=self.pair_grad[:samples], sums=self.sums[:samples])

    def update(self) -> None:
        plan, source = next(self.plan), self.source(LARGE_BATCH)
        self.kernels.update_rows_adagrad_(self.table, self.state, plan, source, lr=RATE)

    def limit(self, ahead: int) -> None:
        row_ceilings.update_rows(self.table, self.state, next(self.plan), self.sums, self.pair_grad, ahead)

    def errors(self, ids: np.ndarray) -> list[float]:
        """Of weights and state after an update with the first ids: g = sum over entries of g_b (S_b - v)."""
        ids = ids[: CHECKED * FIELDS]
        plan = self.kernels.plan_rows(ids, LARGE_ROWS)
        weights, state = (array[plan.rows].astype(np.float64) for array in (self.table, self.state))
        scale = np.repeat(self.pair_grad[:CHECKED], FIELDS)[:, None].astype(np.float64)
        gradient = np.zeros_like(weights)
        place = np.searchsorted(plan.rows, ids)
        np.add.at(gradient, place, scale * (np.repeat(self.sums[:CHECKED], FIELDS, axis=0) - weights[place]))
        self.kernels.update_rows_adagrad_(self.table, self.state, plan, self.source(CHECKED), lr=RATE)
        state += gradient**2
        weights -= RATE * gradient / np.sqrt(state)
        return [error(self.table[plan.rows], weights), error(self.state[plan.rows], state)]


def error(found: np.ndarray, truth: np.ndarray) -> float:
    """The largest, relative to the largest true value."""
    return float(np.abs(found - truth).max() / np.abs(truth).max())


if __name__ == "__main__":
    kind, dim, backend = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    rows = Rows(kind, dim, backend)
    cases = {
        "errors": rows.errors,
        "fm": timed(rows.in_turn(lambda ids: rows.lookup(ids, deep=False))),
        "deep": timed(rows.in_turn(lambda ids: rows.lookup(ids, deep=True))),
    }
    for ceiling, floats in (("read", 0), ("write", dim)):
        for name, way in row_ceilings.WAYS[ceiling].items():
            read = rows.in_turn(lambda ids, floats=floats, way=way: rows.read(ids, floats, way))
            cases[f"{ceiling}-{name}"] = timed(read)
    if dim == 15:
        update = Update(rows)
        cases |= {
            "errors": lambda calls: [*rows.errors(calls), *update.errors(rows.batches[0])],
            "update": timed(update.update),
            **{
                f"limit-{name}": timed(lambda way=way: update.limit(*way))
                for name, way in row_ceilings.WAYS["limit"].items()
            },
        }
    serve(cases)
