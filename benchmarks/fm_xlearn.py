"""Worker of native_targets.py: xlearn's FM on W1 with Adagrad, lock-free over two threads, a sample at a time.

python benchmarks/fm_xlearn.py THREADS

xlearn reads text files and prints each epoch's log-loss and seconds, in hundredths; reading, starting and saving are
not in them. Cases: "epoch", one number: the mean seconds of so many epochs; "losses", the log-loss of each epoch.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("USER", "user")  # xlearn aborts without it

import xlearn

from benchmarks.referee.workers.xlearn_text import COLOUR, EPOCH, printed_to
from fastfm_core.bench.workload import DIM, ClickLog, click_log
from timing import serve


def write_text(path: Path, log: ClickLog) -> None:
    """The log in libsvm's format; numbers are left out, an FM has no use for them."""
    with open(path, "w") as file:
        for label, ids in zip(log.labels.astype(int), log.ids.tolist(), strict=True):
            file.write(f"{label} " + " ".join(f"{row}:1" for row in ids) + "\n")


class Xlearn:
    """Trains anew on every call, in a folder of its own."""

    def __init__(self, folder: Path, threads: int) -> None:
        self.folder, self.threads = folder, threads
        write_text(folder / "train.txt", click_log())

    def train(self, epochs: int) -> list[tuple[float, float]]:
        """(log-loss, seconds) of each epoch."""
        settings = {"task": "binary", "opt": "adagrad", "k": DIM, "lr": 0.05, "lambda": 0.0}
        with printed_to(self.folder / "printed.txt"):
            model = xlearn.create_fm()
            model.setTrain(str(self.folder / "train.txt"))
            model.disableNorm()
            model.fit({**settings, "epoch": epochs, "nthread": self.threads}, str(self.folder / "model.out"))
        lines = [COLOUR.sub(" ", line) for line in (self.folder / "printed.txt").read_text().splitlines()]
        found = [(float(match[1]), float(match[2])) for match in map(EPOCH.search, lines) if match]
        if len(found) != epochs:
            raise RuntimeError(f"xlearn printed {len(found)} epochs instead of {epochs}: {json.dumps(lines)}")
        return found

    def epoch(self, calls: int) -> list[float]:
        return [sum(seconds for _, seconds in self.train(calls)) / calls]

    def losses(self, calls: int) -> list[float]:
        return [loss for loss, _ in self.train(calls)]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        xlearn_side = Xlearn(Path(folder), int(sys.argv[1]))
        serve({"epoch": xlearn_side.epoch, "losses": xlearn_side.losses})
