"""Worker of native_targets.py: W1 trained by train.fit, for its speed beside the bare step and for its memory.

python benchmarks/fit_ours.py HIDDEN BACKEND [FOLDER]

Without a folder, cases "fit": one number per epoch, the seconds of its steps as the history has them; and "bare": one
number per epoch of bare steps on the same batches with the same optimizer. Adagrad is on all parameters.
With a folder that has ids.npy, numbers.npy, labels.npy of W1, case "peak": the peak memory of this process in MiB after
two epochs of fit with best-weights snapshots on the disk.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from fastfm_core import backends, models, optim, train
from fastfm_core.bench.step import batches, build_model
from fastfm_core.bench.workload import BATCH, DIM, FIELDS, NUMBERS, ROWS, ClickLog, Workload, hidden_widths, workload
from fastfm_core.config import TrainConfig
from fastfm_core.data import Batches
from fastfm_core.models import Model
from fastfm_core.report import peak_memory_mb
from timing import Case, serve

VALID = 4096


def validation(source: Batches) -> Batches:
    """A few of the training rows; their evaluation is not timed."""
    return Batches(source.encoded, np.arange(VALID), BATCH, shuffle=False)


def adagrad(model: Model) -> optim.Optimizer:
    """On rows and the rest alike."""
    return optim.build("adagrad", model, lr=0.05, initial_accumulator=0.1)


class Epochs:
    """Epochs of W1 through fit, and of bare steps, each on a model of its own."""

    def __init__(self, hidden: tuple[int, ...], backend: str) -> None:
        work = workload("w1")
        self.source = batches(work, backend)
        self.fitted, self.stepped = (build_model(work, hidden, backend) for _ in range(2))
        self.fit_optimizer, self.step_optimizer = adagrad(self.fitted), adagrad(self.stepped)
        self.numbers = itertools.count(1)

    def fit(self, calls: int) -> list[float]:
        """Seconds of the steps of each epoch, validation and snapshots left out."""
        config = TrainConfig(epochs=calls, patience=calls + 1, lr=0.05, batch_size=BATCH)
        with tempfile.TemporaryDirectory() as folder:
            valid = validation(self.source)
            done = train.fit(self.fitted, self.fit_optimizer, self.source, valid, config, snapshot_dir=folder)
        return [record["seconds"] for record in done.history]

    def bare(self, calls: int) -> list[float]:
        """Seconds of epochs of steps, from batch assembly to update."""
        taken = []
        self.stepped.train()
        for _ in range(calls):
            start = time.perf_counter()
            for step, batch in enumerate(self.source.epoch(next(self.numbers)), 1):
                train.train_step(self.stepped, self.step_optimizer, batch, task="binary", step=step)
            taken.append(time.perf_counter() - start)
        return taken


def peak(hidden: tuple[int, ...], backend: str, folder: Path) -> Case:
    """The case that trains once and tells the process's peak memory."""

    def measure(calls: int) -> list[float]:
        ids, numbers, labels = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("ids", "numbers", "labels"))
        source = batches(Workload(ClickLog(ids, numbers, labels, np.zeros(0)), ROWS, DIM, BATCH), backend)
        shape = {"rows": ROWS, "fields": FIELDS, "dense": NUMBERS, "dim": DIM, "hidden": hidden}
        model = models.build("deepfm", backend=backends.get(backend), dropout=0.0, **shape)
        config = TrainConfig(epochs=2, batch_size=BATCH, lr=0.05)
        train.fit(model, adagrad(model), source, validation(source), config, snapshot_dir=folder)
        return [peak_memory_mb() or float("nan")]

    return measure


if __name__ == "__main__":
    hidden, backend = hidden_widths(sys.argv[1]), sys.argv[2]
    if len(sys.argv) > 3:
        serve({"peak": peak(hidden, backend, Path(sys.argv[3]))})
    else:
        epochs = Epochs(hidden, backend)
        serve({"fit": epochs.fit, "bare": epochs.bare})
