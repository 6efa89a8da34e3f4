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

IDLE, TURN = 0.2, 0.5
Case = Callable[[int], list[float]]


class Side:
    """A worker process: ``PYTHON SCRIPT ARGUMENTS`` with additional environment variables."""

    def __init__(
        self,
        script: str,
        arguments: Sequence[str],
        environment: dict[str, str] | None = None,
        python: str = sys.executable,
    ) -> None:
        command = [python, str(Path(__file__).with_name(script)), *arguments]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
        )
        self.read()

    def read(self) -> object:
        """The worker's next answer."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the worker ended: {self.process.args}")
        return json.loads(line)

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


def serve(cases: dict[str, Case]) -> None:
    """The worker's half: answers "ready", then every line "CASE CALLS" until the input ends."""
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        case, calls = line.split()
        print(json.dumps(cases[case](int(calls))), flush=True)


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
