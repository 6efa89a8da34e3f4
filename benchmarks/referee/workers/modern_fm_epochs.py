"""modern_fm: a factorization machine in Rust on SciPy's sparse matrices, minibatch Adagrad.

It trains from random weights of its own. Seconds per batch are the difference between fits of many epochs and of one,
so that its set-up drops out. Its logits are checked with the shared weights put into a fitted model.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from modern_fm import FMClassifier
from scipy.sparse import csr_matrix

from benchmarks.referee.problem import EPOCH_ROWS, RATE, Problem
from benchmarks.referee.worker import THREADS, main
from fastfm_core.bench.workload import FIELDS

TIMED_BATCHES = 8


def matrix(problem: Problem, samples: np.ndarray) -> Any:
    """One-hot rows [n, V]."""
    ids = problem.ids[samples].reshape(-1)
    starts = np.arange(0, len(ids) + 1, FIELDS, dtype=np.int32)
    return csr_matrix((np.ones(len(ids), np.float32), ids, starts), shape=(len(samples), problem.size))


class Epochs:
    """Fits anew on every call."""

    judged = "own"
    note = "its own random initial weights; per batch, from whole epochs"

    def __init__(self, problem: Problem) -> None:
        self.problem, quality = problem, problem.case.kind == "quality"
        samples = problem.order[: None if quality else TIMED_BATCHES * problem.batch]
        self.x, self.y = matrix(problem, samples), problem.labels[samples].astype(np.int64)

    def fit(self, epochs: int) -> Any:
        """A model after so many epochs."""
        options = {"n_factors": self.problem.dim, "optimizer": "adagrad", "learning_rate": RATE}
        options |= {"batch_size": self.problem.batch, "l2_linear": 0.0, "l2_factors": 0.0, "random_state": 0}
        return FMClassifier(max_iter=epochs, n_jobs=THREADS, **options).fit(self.x, self.y)

    def seconds(self, calls: int) -> list[float]:
        """Per batch."""
        batches = len(self.y) / self.problem.batch
        more = max(2, round(calls / batches))
        taken = []
        for epochs in (1, 1 + more):
            start = time.perf_counter()
            self.fit(epochs)
            taken.append(time.perf_counter() - start)
        if taken[1] <= taken[0]:
            raise RuntimeError("too short beside the set-up of a fit")
        return [(taken[1] - taken[0]) / more / batches]

    def losses(self, calls: int) -> list[float]:
        """Log-loss on training samples after one epoch, two and so on."""
        x, y = self.x[:4096], self.y[:4096]
        found = (self.fit(epochs).decision_function(x) for epochs in range(1, calls + 1))
        return [float(np.mean(np.logaddexp(0, logits) - y * logits)) for logits in found]

    def epochs(self, epochs: int) -> float:
        """Seconds of a fit, which is kept."""
        start = time.perf_counter()
        self.model = self.fit(epochs)
        return time.perf_counter() - start

    def logits(self, samples: np.ndarray) -> np.ndarray:
        """Of the kept model."""
        return self.model.decision_function(matrix(self.problem, samples))


class Score:
    """Logits of batches that are given, as matrices."""

    def __init__(self, problem: Problem) -> None:
        first = matrix(problem, problem.order[:64])
        labels = np.arange(64) % 2
        self.model = FMClassifier(n_factors=problem.dim, max_iter=1, n_jobs=THREADS, random_state=0).fit(first, labels)
        rows = problem.rows
        self.model.w0_ = 0.0
        self.model.w_, self.model.V_ = (
            np.ascontiguousarray(part, like.dtype)
            for part, like in ((rows[:, problem.dim], self.model.w_), (rows[:, : problem.dim], self.model.V_))
        )
        self.batches = [matrix(problem, problem.samples(number)) for number in range(problem.batches)]

    def __call__(self, number: int) -> np.ndarray:
        return self.model.decision_function(self.batches[number % len(self.batches)])


def build(problem: Problem, kind: str, settings: str) -> Any:
    """The FM alone; training on tables of moderate size."""
    if problem.hidden:
        return None
    if kind in ("kernel", "score"):
        return Score(problem)
    return Epochs(problem) if problem.size <= EPOCH_ROWS else None


if __name__ == "__main__":
    main(build)
