"""Alternating timings: two or more sides take turns, one computes at a time, with idle time between the turns.

A side is a process that reads lines "CASE CALLS" and answers each with a JSON list, one number per call: seconds of a
timed case, else what is to be checked, such as losses. Separate processes keep the thread pools apart: OpenBLAS's and
OpenMP's workers spin for up to 110 ms after their last job, and in one process they would also share environment
variables and allocator. IDLE seconds pass between turns, so that the pools of the side that has just finished are
asleep. A turn lasts about TURN seconds on every side, so that each is warm for most of it. A peer's side may run in
another interpreter, and imports nothing of this package then.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Protocol

IDLE, TURN = 0.2, 0.5
READY = '"ready"'
ROOT = Path(__file__).parents[1]  # where a peer's interpreter finds fastfm_core.bench.workload, which needs NumPy alone
Case = Callable[[int], list[float]]


class Answers(Protocol):
    """Cases by name, such as a dict."""

    def __getitem__(self, case: str, /) -> Case: ...


class Side:
    """A worker process: ``PYTHON SCRIPT ARGUMENTS`` with additional environment variables.

    script  a file beside this one, or the name of a module that is run by -m
    stderr  where the worker's complaints go; None: to ours
    """

    def __init__(
        self,
        script: str,
        arguments: Sequence[str],
        environment: dict[str, str] | None = None,
        python: str = sys.executable,
        stderr: IO[str] | None = None,
    ) -> None:
        program = [str(Path(__file__).with_name(script))] if script.endswith(".py") else ["-m", script]
        command = [python, *program, *arguments]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
        )
        while self.line() != READY:  # what peers print while they are imported is no answer
            pass

    def read(self) -> object:
        """The worker's next answer."""
        return json.loads(self.line())

    def line(self) -> str:
        """What the worker prints next; RuntimeError where it has ended."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the worker ended: {self.process.args}")
        return line.strip()

    def ask(self, case: str, calls: int) -> list[float]:
        """One number per call of the case."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{case} {calls}\n")
        self.process.stdin.flush()
        numbers = self.read()
        assert isinstance(numbers, list)
        return numbers

    def turn(self, case: str, calls: int) -> float:
        """Median seconds per call of one turn, after IDLE seconds of silence."""
        time.sleep(IDLE)
        return statistics.median(self.ask(case, calls))

    def calls_of_a_turn(self, case: str) -> int:
        """How many calls take about TURN seconds, at least 2; measured, which warms the side up."""
        return max(2, round(TURN / self.turn(case, 2)))

    def close(self) -> None:
        """Ends the worker."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def timed(work: Callable[[], object]) -> Case:
    """The case whose numbers are the seconds of each call."""

    def seconds(calls: int) -> list[float]:
        taken = []
        for _ in range(calls):
            start = time.perf_counter()
            work()
            taken.append(time.perf_counter() - start)
        return taken

    return seconds


def serve(cases: Answers) -> None:
    """The worker's half: answers READY, then every line "CASE CALLS" until the input ends.

    What anything else prints from now on goes where complaints go, and is not taken for an answer.
    """
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        print(READY, file=answers, flush=True)
        for line in sys.stdin:
            case, calls = line.split()
            print(json.dumps(cases[case](int(calls))), file=answers, flush=True)


def spread(values: Sequence[float], scale: float = 1.0, digits: int = 2) -> str:
    """ "median (min-max)" of the values times scale."""
    median, low, high = (scale * f(values) for f in (statistics.median, min, max))
    return f"{median:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def ratios(over: Sequence[float], under: Sequence[float]) -> list[float]:
    """Ratio within each round."""
    return [a / b for a, b in zip(over, under, strict=True)]


def interleave(sides: dict[str, tuple[Side, str, int]], rounds: int) -> dict[str, list[float]]:
    """Seconds per call, by name and round, of every (side, case, calls): in turns, after a warm-up turn each."""
    for side, case, calls in sides.values():
        side.turn(case, calls)
    turns: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, (side, case, calls) in sides.items():
            turns[name].append(side.turn(case, calls))
    return turns
