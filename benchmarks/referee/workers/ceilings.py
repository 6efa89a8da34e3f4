"""What the machine allows, as a side of its own that takes turns with the others.

Settings:
rows WAY   the batch's rows [round((D + 1) / 16) cache lines] are read once, in one of row_ceilings.WAYS
state WAY  each distinct row's weights and optimizer state are read and written, the gradients' sources read
gemm WAY   the matrix products of the case's MLP: all three of each layer in training, one in scoring; WAY numpy (BLAS's
           own threads) or pool (fastfm_core's)
copy, gather, product   of the kind "machine": 256 MB copied; rows of one cache line read at random from 640 MB;
                        a product of two 2048 x 2048 matrices
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from benchmarks import row_ceilings
from benchmarks.referee.problem import Problem
from benchmarks.referee.worker import THREADS, main
from fastfm_core import backends, threads
from fastfm_core.backends.memory import aligned_zeros
from fastfm_core.bench import ceilings

LINE, LARGE_ROWS, RANDOM_IDS, COPIED, SIDE = 16, 10_000_000, 65_536 * 26, 64_000_000, 2048


def filled(rows: int, floats: int, line: int = 0) -> np.ndarray:
    """[rows, floats] whose pages exist."""
    table = aligned_zeros((rows, floats), np.float32, line=line)
    table[:] = 0.01
    return table


def rows_read(problem: Problem, way: str) -> Any:
    """Reads a batch's rows."""
    table = filled(problem.size, LINE * max(1, round((problem.dim + 1) / LINE)))
    ids = [np.ascontiguousarray(problem.batch_ids(number).reshape(-1)) for number in range(problem.batches)]
    output, (ahead, together) = aligned_zeros((LINE,), np.float32), row_ceilings.WAYS["read"][way]
    return lambda number: row_ceilings.read_rows(table, ids[number % len(ids)], output, 0, ahead, together)


def state_moved(problem: Problem, way: str) -> Any:
    """Reads and writes a batch's distinct rows and their state."""
    table, state = filled(problem.size, LINE), filled(problem.size, LINE, line=2)
    plan_rows = backends.get().plan_rows
    plans = [
        plan_rows(np.ascontiguousarray(problem.batch_ids(number).reshape(-1)), problem.size)
        for number in range(min(problem.batches, 16))
    ]
    sums, scalars, (ahead,) = (
        filled(problem.batch, LINE),
        np.zeros(problem.batch, np.float32),
        row_ceilings.WAYS["limit"][way],
    )
    return lambda number: row_ceilings.update_rows(table, state, plans[number % len(plans)], sums, scalars, ahead)


def products(problem: Problem, kind: str, way: str) -> Any:
    """The MLP's matrix products: forward, in training both gradients as well."""
    arrays = ceilings.Gemm(problem.batch, problem.widths)
    multiply = np.matmul if way == "numpy" else backends.get().matmul
    layers = range(len(arrays.weights))

    def run(number: int) -> None:
        for layer in layers:
            multiply(arrays.activations[layer], arrays.weights[layer], out=arrays.outputs[layer + 1])
        for layer in reversed(layers) if kind != "score" else ():
            upper = arrays.activations[layer + 1]
            multiply(arrays.activations[layer].T, upper, out=arrays.weight_gradients[layer])
            multiply(upper, arrays.weights[layer].T, out=arrays.gradients[layer])

    return run


def machine(which: str) -> Any:
    """One of the machine's own ceilings."""
    if which == "copy":
        source, target = filled(COPIED // 400, 400), filled(COPIED // 400, 400)
        return lambda number: ceilings.stream(source, target)
    if which == "gather":
        table, draw = filled(LARGE_ROWS, LINE), np.random.default_rng(0)
        turn = itertools.cycle([draw.integers(0, LARGE_ROWS, RANDOM_IDS).astype(np.int32) for _ in range(3)])
        output = aligned_zeros((LINE,), np.float32)
        return lambda number: row_ceilings.read_rows(table, next(turn), output, 0, 64, 4)
    left, right, out = (np.ones((SIDE, SIDE), np.float32) for _ in range(3))
    return lambda number: np.matmul(left, right, out=out)


def build(problem: Problem, kind: str, settings: str) -> Any:
    """The ceiling that the settings name."""
    threads.set_num_threads(THREADS)
    which, _, way = settings.partition(" ")
    if kind == "machine":
        return machine(which)
    if which == "gemm":
        return products(problem, kind, way) if problem.hidden else None
    return {"rows": rows_read, "state": state_moved}[which](problem, way)


if __name__ == "__main__":
    main(build)
