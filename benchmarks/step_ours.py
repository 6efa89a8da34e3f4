"""Worker of step.py: W1's training step in fastfm_core, Adagrad on the rows, Adam on the rest; and its ceilings.

python benchmarks/step_ours.py HIDDEN BACKEND      HIDDEN such as 64-64, or fm for the FM alone

Cases: "step"; "gemm", the matrix products of that step alone; "gather", its rows read once and nothing else.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

import ceilings
from fastfm_core import backends, models, optim, train
from fastfm_core.backends.memory import aligned_zeros
from fastfm_core.contract import Batch
from fastfm_core.data import Batches, Encoded
from fastfm_core.models import Model
from fastfm_core.optim import Adagrad, Adam
from timing import serve
from workload import BATCH, DIM, FIELDS, NUMBERS, ROWS, ClickLog, click_log

GATHERED = 16


def endless_batches(log: ClickLog, plan: Any = None) -> Iterator[Batch]:
    """Shuffled batches of the encoded log, epoch after epoch; with their row plans where ``plan`` makes them."""
    unknown = np.full(FIELDS, -1, np.int64)
    encoded = Encoded(log.ids, ROWS, FIELDS, unknown, dense=log.numbers, labels=log.labels)
    batches = Batches(encoded, batch_size=BATCH, plan=plan)
    return itertools.chain.from_iterable(batches.epoch(epoch) for epoch in itertools.count(1))


class BothOptimizers:
    """Adagrad on the rows, Adam on the rest, as one optimizer."""

    def __init__(self, model: Model) -> None:
        tables = optim.tables_of(model)
        named = dict(model.named_parameters())
        rows = {name: tensor for name, tensor in named.items() if name in tables}
        rest = {name: tensor for name, tensor in named.items() if name not in tables}
        self.parts = (Adagrad(rows, lr=0.05, initial_accumulator=0.1, tables=tables), Adam(rest, lr=1e-3))

    def zero_grad(self) -> None:
        for part in self.parts:
            part.zero_grad()

    def step(self, grad_scale: float = 1.0) -> None:
        for part in self.parts:
            part.step(grad_scale)


class OurStep:
    """One call is one step: batch assembly, row plan, forward, backward, both optimizers; returns the loss."""

    def __init__(self, hidden: tuple[int, ...], backend: str, log: ClickLog) -> None:
        kernels = backends.get(backend)
        self.batches = endless_batches(log, kernels.plan_rows)
        shape = {"rows": ROWS, "fields": FIELDS, "dense": NUMBERS, "dim": DIM, "hidden": hidden}
        self.model = models.build("deepfm" if hidden else "fm", backend=kernels, dropout=0.0, **shape)
        self.optimizer = BothOptimizers(self.model)
        self.steps = itertools.count(1)
        self.model.train()

    def __call__(self) -> float:
        batch = next(self.batches)
        return train.train_step(self.model, self.optimizer, batch, task="binary", step=next(self.steps))


class Gather:
    """Reads every row of a shuffled batch of the log from a table of W1's size; the batches are made beforehand."""

    def __init__(self, log: ClickLog) -> None:
        batches = itertools.islice(endless_batches(log), GATHERED)
        self.ids = itertools.cycle([batch.entries.ids for batch in batches])
        self.table = aligned_zeros((ROWS, DIM), np.float32)
        self.table[:] = 0.01

    def __call__(self) -> None:
        ceilings.gather(self.table, next(self.ids))


if __name__ == "__main__":
    widths = () if sys.argv[1] == "fm" else tuple(int(width) for width in sys.argv[1].split("-"))
    click_data = click_log()
    cases = {"step": OurStep(widths, sys.argv[2], click_data), "gather": Gather(click_data)}
    if widths:
        cases["gemm"] = ceilings.Gemm(BATCH, FIELDS * DIM + NUMBERS, widths)
    serve(cases)
