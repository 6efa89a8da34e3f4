"""A training step of the workloads, Adagrad on the rows, Adam on the rest, and the least work that it cannot avoid."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator

import numpy as np

from fastfm_core import backends, models, optim, train
from fastfm_core.backends.memory import aligned_zeros
from fastfm_core.bench.timing import IDLE
from fastfm_core.bench.workload import FIELDS, Workload, initial_layers, initial_rows
from fastfm_core.contract import Batch
from fastfm_core.data import Batches, Encoded
from fastfm_core.models import Model
from fastfm_core.optim import Adagrad, Adam

GATHERED, CHECKED, AWAKE, TOLERANCE = 16, 3, 3, 1e-4
MODELS = {"fm": (), "deepfm-64-64": (64, 64), "deepfm-400-400-400": (400, 400, 400)}  # hidden layers by name
FIRST = "deepfm-64-64"


def batches(work: Workload, backend: str | None = None, shuffle: bool = True) -> Batches:
    """The encoded log, cut into batches; they bring their row plans along where a backend makes them."""
    log = work.log
    numbers = log.numbers if log.numbers.shape[1] else None
    encoded = Encoded(log.ids, work.rows, FIELDS, np.full(FIELDS, -1), dense=numbers, labels=log.labels)
    plan = backends.get(backend).plan_rows if backend else None
    return Batches(encoded, batch_size=work.batch, shuffle=shuffle, plan=plan)


def endless(source: Batches) -> Iterator[Batch]:
    """Shuffled batches, epoch after epoch."""
    return itertools.chain.from_iterable(source.epoch(epoch) for epoch in itertools.count(1))


def build_model(work: Workload, hidden: tuple[int, ...], backend: str) -> Model:
    """FM, or DeepFM with these hidden layers, with the initial weights that all sides share."""
    shape = {"rows": work.rows, "fields": FIELDS, "dense": work.log.numbers.shape[1], "dim": work.dim, "hidden": hidden}
    model = models.build("deepfm" if hidden else "fm", backend=backends.get(backend), dropout=0.0, init_std=0, **shape)
    columns, layers = initial_rows(work), iter(initial_layers(work.widths(hidden)))
    tables = optim.tables_of(model)
    for name, tensor in model.named_parameters():
        if name in tables:  # [V, D] and [V], or [V, D + 1]
            width = tensor.data[:1].size
            tensor.data[...] = columns[:, :width].reshape(tensor.data.shape)
            columns = columns[:, width:]
        elif tensor.data.ndim == 2:
            tensor.data[...] = next(layers)
    model.train()
    return model


class BothOptimizers:
    """Adagrad on the rows, Adam on the rest, as one optimizer."""

    def __init__(self, model: Model, accumulator: float = 0.1) -> None:
        tables = optim.tables_of(model)
        named = dict(model.named_parameters())
        rows = {name: tensor for name, tensor in named.items() if name in tables}
        rest = {name: tensor for name, tensor in named.items() if name not in tables}
        self.parts = (Adagrad(rows, lr=0.05, initial_accumulator=accumulator, tables=tables), Adam(rest, lr=1e-3))

    def zero_grad(self) -> None:
        for part in self.parts:
            part.zero_grad()

    def step(self, grad_scale: float = 1.0, l2_scale: float = 1.0) -> None:
        for part in self.parts:
            part.step(grad_scale, l2_scale)


class TrainingStep:
    """One call is one step: batch assembly, row plan, forward, backward, both optimizers; returns the loss."""

    def __init__(self, work: Workload, hidden: tuple[int, ...], backend: str) -> None:
        self.ordered = batches(work, backend, shuffle=False).epoch(0)
        self.shuffled = endless(batches(work, backend))
        self.model = build_model(work, hidden, backend)
        self.optimizer = BothOptimizers(self.model)
        self.steps = itertools.count(1)

    def __call__(self) -> float:
        return self.train(next(self.shuffled))

    def train(self, batch: Batch) -> float:
        return train.train_step(self.model, self.optimizer, batch, task="binary", step=next(self.steps))

    def awake(self) -> TrainingStep:
        """Itself, after steps that wake the threads; before them BLAS's own threads are let sleep."""
        time.sleep(IDLE)
        for _ in range(AWAKE):
            self()
        return self

    def losses(self, calls: int) -> list[float]:
        """Of steps on the log's first batches, in order."""
        return [self.train(batch) for batch in itertools.islice(self.ordered, calls)]


class Gather:
    """Reads every row of a shuffled batch of the log from a table of its size; the batches are made beforehand."""

    def __init__(self, work: Workload) -> None:
        from fastfm_core.bench.ceilings import gather  # loads Numba, which has no place in a measurement of memory

        self.gather = gather
        source = itertools.islice(endless(batches(work)), GATHERED)
        self.ids = itertools.cycle([batch.entries.ids for batch in source])
        self.table = aligned_zeros((work.rows, 16), np.float32)
        self.table[:] = 0.01

    def __call__(self) -> None:
        self.gather(self.table, next(self.ids))


def floor(work: Workload, hidden: tuple[int, ...]) -> Callable[[], None]:
    """The looked-up rows read once and, with an MLP, its matrix products through NumPy."""
    from fastfm_core.bench.ceilings import Gemm

    parts = [Gather(work), *([Gemm(work.batch, work.widths(hidden))] if hidden else [])]

    def run() -> None:
        for part in parts:
            part()

    return run


def mistake(step: TrainingStep, expected: list[float]) -> str | None:
    """What is wrong with the losses of a new step's first CHECKED calls on the log in order; None: nothing."""
    found = step.losses(CHECKED)
    error = float(np.abs(np.subtract(found, expected)).max())
    return None if error <= TOLERANCE else f"its losses differ by {error:.2g} from the reference's"
