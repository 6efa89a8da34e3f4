"""How a trained model of fastfm_core answers a batch: the one place that says which way of scoring is timed."""

from __future__ import annotations

import numpy as np

from benchmarks.referee.problem import Problem
from fastfm_core.bench.workload import FIELDS
from fastfm_core.contract import Batch, Entries
from fastfm_core.models import Model


class Score:
    """Logits of a batch by the C++ scorer, on other backends by ``model.predict``; batches are made beforehand."""

    def __init__(self, model: Model, problem: Problem) -> None:
        self.score = model.scorer().score if model.backend.name == "native" else model.predict
        self.batches = [self._batch(problem, problem.samples(number)) for number in range(problem.batches)]

    @staticmethod
    def _batch(problem: Problem, samples: np.ndarray) -> Batch:
        ids = np.ascontiguousarray(problem.ids[samples].reshape(-1))
        numbers = problem.numbers[samples] if problem.numbers.shape[1] else None
        return Batch(Entries(ids, FIELDS), numbers)

    def __call__(self, number: int) -> np.ndarray:
        return self.score(self.batches[number % len(self.batches)])
