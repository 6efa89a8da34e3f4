"""What is computed: cases, and the data that all sides read from one folder. NumPy alone, for every interpreter.

A case is KIND/DATA/HIDDEN/BATCH, such as step/w1/64-64/4096:

kernel   lookup, first order and all pairs of an FM: logits [B]; the batch and the weights are given
update   one training step of an FM with Adagrad on the rows; the batch is given
step     the whole training step: gather the batch, forward, backward, Adagrad on the rows, Adam on the rest
score    logits of a batch, as a service would ask for them: nothing but the answer is kept
quality  training on the log's first part, then logits of its last samples

DATA is w1, uniform or zipf (see fastfm_core.bench.workload), ROWSxDIM for W2's fields at another size, or tiny.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastfm_core.bench.workload import (
    FIELDS,
    NUMBERS,
    ClickLog,
    Workload,
    hidden_widths,
    initial_layers,
    initial_rows,
    workload,
)

RATE, ACCUMULATOR, ADAM_RATE = 0.05, 0.1, 1e-3  # Adagrad's rate and start, Adam's rate
CHECKED, PROBED, TESTED = 3, 512, 32_768  # steps and rows that are checked, samples that judge the quality
MOST_BATCHES = 4096
EPOCH_ROWS = 2_000_000  # larger tables are not for peers that are timed by whole epochs
# Where quality is judged, rows start at N(0, 0.01), and Adagrad at nearly nothing, so that an epoch teaches something.
QUALITY_SCALE, QUALITY_ACCUMULATOR = 0.1, 1e-8


class Case(NamedTuple):
    """kind, data, hidden ("fm" or widths such as 64-64) and samples of a batch."""

    kind: str
    data: str
    hidden: str
    batch: int

    @property
    def name(self) -> str:
        """KIND/DATA/HIDDEN/BATCH."""
        return "/".join(map(str, self))

    @classmethod
    def parse(cls, name: str) -> Case:
        """Of its name."""
        kind, data, hidden, batch = name.split("/")
        return cls(kind, data, hidden, int(batch))


def made(data: str) -> Workload:
    """The log and its sizes."""
    if data == "tiny":
        return _uniform(FIELDS * 40, dim=4, samples=640, numbers=NUMBERS)
    if "x" in data:
        rows, dim = map(int, data.split("x"))
        return _uniform(rows, dim, samples=2 * 65_536, numbers=0)
    return workload(data)


def _uniform(rows: int, dim: int, samples: int, numbers: int) -> Workload:
    draw = np.random.default_rng(5)
    size = rows // FIELDS
    ids = (draw.integers(0, size, (samples, FIELDS)) + np.arange(FIELDS) * size).astype(np.int32)
    labels = (draw.random(samples) < 0.3).astype(np.float32)
    dense = draw.standard_normal((samples, numbers), dtype=np.float32)
    return Workload(ClickLog(ids, dense, labels, np.full(FIELDS, size)), size * FIELDS, dim, samples)


def write(folder: Path, data: str) -> None:
    """Makes the data once, as files that ``Problem`` reads."""
    path = folder / data
    if path.exists():
        return
    path.mkdir()
    work = made(data)
    arrays = work.log._asdict() | {"rows": initial_rows(work)}
    arrays["order"] = np.random.default_rng(0).permutation(len(work.log.labels))
    for name, array in arrays.items():
        np.save(path / f"{name}.npy", array)


class Problem:
    """A case with its data.

    ids [S, F] int32 rows of one table, numbers [S, I], labels [S] float32, sizes [F] rows per field, order [S] the
    samples as they are taken, rows [V, D + 1] float32 initial rows whose last column is the first order;
    accumulator: what Adagrad's state starts with
    """

    def __init__(self, folder: str | Path, case: Case) -> None:
        path = Path(folder) / case.data
        self.ids, self.numbers, self.labels, self.sizes, self.order = (
            np.load(path / f"{name}.npy") for name in ("ids", "numbers", "labels", "sizes", "order")
        )
        self.case, self.batch, self.hidden = case, case.batch, hidden_widths(case.hidden)
        self._rows = np.load(path / "rows.npy", mmap_mode="r")
        self.size, self.dim = self._rows.shape[0], self._rows.shape[1] - 1
        self.tested = np.sort(self.order[len(self.order) - min(TESTED, len(self.order) // 4) :])
        self.accumulator = QUALITY_ACCUMULATOR if case.kind == "quality" else ACCUMULATOR
        if case.kind == "quality":
            self.order = self.order[: len(self.order) - len(self.tested)]

    @property
    def rows(self) -> np.ndarray:
        """A copy of the initial rows."""
        rows = np.array(self._rows)
        if self.case.kind == "quality":
            rows *= np.float32(QUALITY_SCALE)
        return rows

    @property
    def widths(self) -> list[int]:
        """Of the MLP: inputs, hidden layers, 1."""
        return [FIELDS * self.dim + self.numbers.shape[1], *self.hidden, 1]

    @property
    def layers(self) -> list[np.ndarray]:
        """Initial weights [inputs, outputs] of the MLP, whose biases start at 0; [] of an FM."""
        return initial_layers(self.widths) if self.hidden else []

    @property
    def batches(self) -> int:
        """How many different batches there are, before they come again."""
        return min(len(self.order) // self.batch, MOST_BATCHES)

    def samples(self, number: int) -> np.ndarray:
        """[B] the samples of a batch."""
        start = number % self.batches * self.batch
        return self.order[start : start + self.batch]

    def batch_ids(self, number: int) -> np.ndarray:
        """[B, F] int32."""
        return self.ids[self.samples(number)]

    @property
    def probes(self) -> np.ndarray:
        """[k] rows of the first batch whose values after training are checked."""
        return np.unique(self.batch_ids(0))[:: max(1, self.batch * FIELDS // 4 // PROBED)][:PROBED]
