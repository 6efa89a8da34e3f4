"""Alternating timings: two or more sides take turns, one computes at a time, with idle time between the turns.

A side is a process that reads lines "CASE CALLS" and answers each with a JSON list of seconds, one per call. Separate
processes keep the thread pools apart: OpenBLAS's and OpenMP's workers spin for up to 110 ms after their last job,
and in one process they would also share environment variables and allocator. IDLE seconds pass between turns, so that
the pools of the side that has just finished are asleep.
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

IDLE = 0.2


class Side:
    """A worker process: ``python SCRIPT ARGUMENTS`` with additional environment variables."""

    def __init__(self, script: str, arguments: Sequence[str], environment: dict[str, str] | None = None) -> None:
        command = [sys.executable, str(Path(__file__).with_name(script)), *arguments]
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

    def turn(self, case: str, calls: int) -> float:
        """Median seconds per call of one turn, after IDLE seconds of silence."""
        assert self.process.stdin is not None
        time.sleep(IDLE)
        self.process.stdin.write(f"{case} {calls}\n")
        self.process.stdin.flush()
        seconds = self.read()
        assert isinstance(seconds, list)
        return statistics.median(seconds)

    def close(self) -> None:
        """Ends the worker."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def serve(cases: dict[str, Callable[[], object]]) -> None:
    """The worker's half: answers "ready", then every line "CASE CALLS" until the input ends."""
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        case, calls = line.split()
        seconds = []
        for _ in range(int(calls)):
            start = time.perf_counter()
            cases[case]()
            seconds.append(time.perf_counter() - start)
        print(json.dumps(seconds), flush=True)


def spread(values: Sequence[float], scale: float = 1.0, digits: int = 2) -> str:
    """ "median (min-max)" of the values times scale."""
    median, low, high = (scale * f(values) for f in (statistics.median, min, max))
    return f"{median:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"
