"""xlearn: a factorization machine in C++ that reads text, updates per sample and, over several threads, without locks.

It trains from random weights of its own. Its seconds are those it prints for each epoch, in hundredths; reading,
starting and saving are not in them. It cannot score from memory, so it has no inference here.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("USER", "user")  # it aborts without one

import numpy as np
import xlearn

from benchmarks.referee.problem import EPOCH_ROWS, RATE, Problem
from benchmarks.referee.worker import THREADS, main

EPOCH = re.compile(r"%\s+\d+\s+([0-9.]+)\s+([0-9.]+)\s*$")
COLOUR = re.compile(r"\x1b\[[0-9]+m|[\[\]]")
TIMED_BATCHES, LEAST_EPOCHS = 8, 8


def write_text(path: Path, problem: Problem, samples: np.ndarray) -> None:
    """The samples in libsvm's format; numbers are left out, an FM has no use for them."""
    with open(path, "w") as file:
        for label, ids in zip(problem.labels[samples].astype(int), problem.ids[samples].tolist(), strict=True):
            file.write(f"{label} " + " ".join(f"{row}:1" for row in ids) + "\n")


@contextmanager
def printed_to(path: Path) -> Iterator[None]:
    """What C++ prints goes to a file, not to the answers."""
    sys.stdout.flush()
    answers = os.dup(1)
    with open(path, "wb") as file:
        os.dup2(file.fileno(), 1)
    try:
        yield
    finally:
        os.dup2(answers, 1)
        os.close(answers)


class Epochs:
    """Trains anew on every call, in a folder of its own."""

    judged = "own"
    note = "its own random initial weights; per sample and without locks; its own clock, from whole epochs"

    def __init__(self, problem: Problem) -> None:
        self.problem, quality = problem, problem.case.kind == "quality"
        samples = problem.order[: None if quality else TIMED_BATCHES * problem.batch]
        self.batches, self.files = len(samples) / problem.batch, tempfile.TemporaryDirectory()
        self.folder = Path(self.files.name)
        write_text(self.folder / "train.txt", problem, samples)

    def train(self, epochs: int) -> list[tuple[float, float]]:
        """(log-loss, seconds) of each epoch."""
        settings = {"task": "binary", "opt": "adagrad", "k": self.problem.dim, "lr": RATE, "lambda": 0.0}
        with printed_to(self.folder / "printed.txt"):
            self.model = xlearn.create_fm()
            self.model.setTrain(str(self.folder / "train.txt"))
            self.model.disableNorm()
            self.model.fit({**settings, "epoch": epochs, "nthread": THREADS}, str(self.folder / "model.out"))
        lines = [COLOUR.sub(" ", line) for line in (self.folder / "printed.txt").read_text().splitlines()]
        found = [(float(match[1]), float(match[2])) for match in map(EPOCH.search, lines) if match]
        if len(found) != epochs:
            raise RuntimeError(f"xlearn printed {len(found)} epochs instead of {epochs}: {json.dumps(lines)}")
        return found

    def seconds(self, calls: int) -> list[float]:
        """Per batch."""
        epochs = max(LEAST_EPOCHS, round(calls / self.batches))
        total = sum(seconds for _, seconds in self.train(epochs))
        if total == 0:
            raise RuntimeError("too short for xlearn's clock")
        return [total / epochs / self.batches]

    def losses(self, calls: int) -> list[float]:
        """Log-loss of each epoch."""
        return [loss for loss, _ in self.train(calls)]

    def epochs(self, epochs: int) -> float:
        """Seconds of a training whose model is kept."""
        return sum(seconds for _, seconds in self.train(epochs))

    def logits(self, samples: np.ndarray) -> np.ndarray:
        """Of the kept model, through its files."""
        write_text(self.folder / "test.txt", self.problem, samples)
        with printed_to(self.folder / "printed.txt"):
            self.model.setTest(str(self.folder / "test.txt"))
            self.model.predict(str(self.folder / "model.out"), str(self.folder / "output.txt"))
        return np.loadtxt(self.folder / "output.txt")


def build(problem: Problem, kind: str, settings: str) -> Any:
    """Training of the FM alone, on tables of moderate size."""
    offered = kind in ("update", "step") and not problem.hidden and problem.size <= EPOCH_ROWS
    return Epochs(problem) if offered else None


if __name__ == "__main__":
    main(build)
