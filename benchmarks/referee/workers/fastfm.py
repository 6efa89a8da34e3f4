"""fastfm_core with one of its backends; settings name it. The weights lie as the library's own models keep them."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from benchmarks.referee.problem import Problem
from benchmarks.referee.worker import THREADS, main
from benchmarks.referee.workers.inference_ours import Score
from fastfm_core import backends, models, optim, threads, train
from fastfm_core.bench.step import BothOptimizers
from fastfm_core.bench.workload import FIELDS
from fastfm_core.contract import Batch, Entries
from fastfm_core.data import Batches, Encoded
from fastfm_core.models import Model


def model_of(problem: Problem, backend: str) -> Model:
    """FM or DeepFM with the initial weights that all sides share."""
    dense = problem.numbers.shape[1]
    shape = {"rows": problem.size, "fields": FIELDS, "dense": dense, "dim": problem.dim, "hidden": problem.hidden}
    name = "deepfm" if problem.hidden else "fm"
    model = models.build(name, backend=backends.get(backend), dropout=0.0, init_std=0, **shape)
    layers = iter(problem.layers)
    for key, tensor in model.named_parameters():
        if key in optim.tables_of(model):
            tensor.data[...] = problem.rows
        elif tensor.data.ndim == 2:
            tensor.data[...] = next(layers)
    return model


class Kernel:
    """embedding_fm on the model's table."""

    def __init__(self, problem: Problem, backend: str) -> None:
        self.kernels, self.dim = backends.get(backend), problem.dim
        self.table = self.kernels.aligned_rows(problem.size, problem.dim + 1, np.float32)
        self.table[...] = problem.rows
        self.entries = [
            Entries(np.ascontiguousarray(problem.batch_ids(number).reshape(-1)), FIELDS)
            for number in range(problem.batches)
        ]

    def __call__(self, number: int) -> np.ndarray:
        entries = self.entries[number % len(self.entries)]
        table, linear = self.table[:, : self.dim], self.table[:, self.dim]
        found = self.kernels.embedding_fm(table, linear, entries, None, deep=False)
        return found.first + found.pair


class Step:
    """One training step; ``given`` batches are made beforehand, the row plan never is."""

    def __init__(self, problem: Problem, backend: str, given: bool) -> None:
        self.model = model_of(problem, backend)
        self.model.train()
        self.optimizer, self.steps = BothOptimizers(self.model, problem.accumulator), itertools.count(1)
        numbers = problem.numbers if problem.numbers.shape[1] else None
        self.encoded = Encoded(
            problem.ids, problem.size, FIELDS, np.full(FIELDS, -1), dense=numbers, labels=problem.labels
        )
        plan = None if given else backends.get(backend).plan_rows
        order = problem.order[: problem.batches * problem.batch]
        source = Batches(self.encoded, order, problem.batch, shuffle=False, plan=plan)
        made = itertools.cycle(list(source.epoch(0))) if given else self._endless(source)
        self.batches = made

    @staticmethod
    def _endless(source: Batches) -> Any:
        return itertools.chain.from_iterable(source.epoch(epoch) for epoch in itertools.count(1))

    def __call__(self, number: int) -> float:
        return train.train_step(self.model, self.optimizer, next(self.batches), task="binary", step=next(self.steps))

    def rows(self, ids: np.ndarray) -> np.ndarray:
        """[k, D + 1]."""
        (table,) = optim.tables_of(self.model)
        return dict(self.model.named_parameters())[table].data[ids]

    def logits(self, samples: np.ndarray) -> np.ndarray:
        """Of the trained model."""
        batches: list[Batch] = list(Batches(self.encoded, samples, 4096, shuffle=False).epoch(0))
        return np.concatenate([self.model.predict(batch) for batch in batches])


def build(problem: Problem, kind: str, settings: str) -> Any:
    """Every kind."""
    threads.set_num_threads(THREADS)
    if kind == "kernel":
        return Kernel(problem, settings)
    if kind == "score":
        return Score(model_of(problem, settings), problem)
    return Step(problem, settings, given=kind == "update")


if __name__ == "__main__":
    main(build)
