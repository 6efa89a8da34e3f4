"""What every worker does with a peer: offer cases, have them checked, time them. Runs in the peer's interpreter.

    PYTHON -m benchmarks.referee.workers.NAME FOLDER SETTINGS [THREADS]

A peer's file has ``build(problem, kind, settings)``, which returns None where the peer does not offer the kind, else a
callable of the batch's number:

kernel, score  -> logits [B], as anything NumPy can read
update, step   -> the loss before the step; also ``rows(ids)``, rows [k, D + 1] as they are now, and
                  ``logits(samples)`` of a trained model

Attributes of the callable, all optional:

judged   "exact" (the default): losses and rows must be the reference's; "first": the first loss must be, for it has
         another update rule; "own": it starts from random weights of its own, and its loss must fall
note     what a reader must know to judge the figure
answers  "probabilities", where it gives those instead of logits
losses   ``losses(calls)``, a list: of as many epochs, where it has no steps
epochs   ``epochs(count)`` trains and returns the seconds, by its own measure
seconds  ``seconds(calls)``, a list: seconds per batch by the peer's own measure, where it has no steps to be timed
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.referee.problem import Case, Problem
from benchmarks.timing import serve

THREADS = int(os.environ.get("FASTFM_REFEREE_THREADS", os.cpu_count() or 1))
Build = Callable[[Problem, str, str], Any]


class Requests:
    """Answers "VERB:CASE"; holds the state of one case at a time."""

    def __init__(self, build: Build, folder: str, settings: str) -> None:
        self.build, self.folder, self.settings = build, folder, settings
        self.name, self.work, self.number = "", None, 0

    def __getitem__(self, request: str) -> Callable[[int], list[Any]]:
        verb, _, name = request.partition(":")
        return lambda calls: getattr(self, f"_{verb}")(name, calls)

    def _prepare(self, name: str) -> Any:
        if name != self.name:
            self.drop()
            case = Case.parse(name)
            self.problem = Problem(self.folder, case)
            kind = "step" if case.kind == "quality" else case.kind
            self.work, self.name, self.number = self.build(self.problem, kind, self.settings), name, 0
        return self.work

    def _offers(self, name: str, calls: int) -> list[Any]:
        """[] or [judged, note]."""
        work = self._prepare(name)
        return [] if work is None else [getattr(work, "judged", "exact"), getattr(work, "note", "")]

    def _check(self, name: str, calls: int) -> list[Any]:
        """Logits of the first batch; of training the losses of its first steps, and probed rows after them."""
        work = self._prepare(name)
        if name.startswith(("kernel", "score")):
            found = np.array(work(0), np.float64).reshape(-1)
            return (np.log(found / (1 - found)) if hasattr(work, "answers") else found).tolist()
        if hasattr(work, "losses"):
            return work.losses(calls)
        losses = [float(work(number)) for number in range(calls)]
        self.number = calls
        if getattr(work, "judged", "exact") != "exact":
            return losses
        return [*losses, *np.asarray(work.rows(self.problem.probes), np.float64).reshape(-1).tolist()]

    def _time(self, name: str, calls: int) -> list[float]:
        work = self._prepare(name)
        if hasattr(work, "seconds"):
            return work.seconds(calls)
        taken = []
        for number in range(self.number, self.number + calls):
            start = time.perf_counter()
            work(number)
            taken.append(time.perf_counter() - start)
        self.number += calls
        return taken

    def _quality(self, name: str, epochs: int) -> list[float]:
        """Seconds of the training, then the logits of the tested samples."""
        work = self._prepare(name)
        if hasattr(work, "epochs"):
            seconds = work.epochs(epochs)
        else:
            start = time.perf_counter()
            for number in range(epochs * self.problem.batches):
                work(number)
            seconds = time.perf_counter() - start
        return [seconds, *np.asarray(work.logits(self.problem.tested), np.float64).reshape(-1).tolist()]

    def _drop(self, name: str, calls: int) -> list[float]:
        self.drop()
        return []

    def drop(self) -> None:
        """Lets go of the case."""
        self.name, self.work = "", None
        gc.collect()

    def _peak(self, name: str, calls: int) -> list[float]:
        """MiB of memory this process has had at most."""
        import resource  # here, for not every system has it

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return [peak / (2**20 if sys.platform == "darwin" else 2**10)]


def main(build: Build) -> None:
    """Serves the requests of the referee until its end."""
    folder, settings = sys.argv[1:]
    requests = Requests(build, folder, settings)
    serve(requests)
    requests.drop()
    os._exit(0)  # some peers take seconds to tidy up at an ordinary exit
