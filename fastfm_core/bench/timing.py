"""Alternating timings in one process: whatever is compared takes turns, so that all of it sees the same machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

IDLE = 0.2  # seconds after which BLAS's own threads, which spin on when their work is done, are asleep
Call = Callable[[], object]


def interleave(
    sides: Mapping[str, Callable[[], Call]],
    rounds: int,
    warm_up: int = 2,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds of every side's call by name and round. A side makes the call, untimed, that is then timed once."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(-warm_up, rounds):
        for name, make_ready in sides.items():
            call = make_ready()
            start = clock()
            call()
            taken = clock() - start
            if number >= 0:
                seconds[name].append(taken)
    return seconds
