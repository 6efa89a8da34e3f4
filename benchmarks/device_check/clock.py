"""Times on a device: work is captured in a CUDA graph and replayed, so that no launch waits for the host."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import cupy
import numpy as np

REPLAYS = 20


class Clock:
    """Microseconds of work on a stream of its own. Emulated, the seconds are the host's and work is done once."""

    def __init__(self, *, emulated: bool) -> None:
        self.emulated = emulated
        self.stream = cupy.cuda.Stream(non_blocking=True)
        self.stream.use()

    def graph(self, works: Sequence[Callable[[], Any]]) -> float:
        """Median time of one of ``works``, the same work on other inputs; all are captured in one graph.

        What they allocate while they are captured comes from a pool of the graph's own.
        """
        if self.emulated:
            return self.eager(works)
        pool = cupy.cuda.MemoryPool()
        with cupy.cuda.using_allocator(pool.malloc):
            for work in works:
                work()  # compiles, and fills the pool
            self.stream.synchronize()
            self.stream.begin_capture()
            for work in works:
                work()
            graph = self.stream.end_capture()
            return self._replayed(lambda: graph.launch(self.stream)) / len(works)

    def eager(self, works: Sequence[Callable[[], Any]]) -> float:
        """Median time of one of ``works`` as the host launches them, the host's time included where it is longer."""
        for work in works:
            work()
        if self.emulated:
            start = time.perf_counter()
            works[0]()
            return (time.perf_counter() - start) * 1e6
        return self._replayed(lambda: [work() for work in works]) / len(works)

    def _replayed(self, work: Callable[[], Any]) -> float:
        times = []
        for _ in range(3):
            work()
        for _ in range(REPLAYS):
            start, end = cupy.cuda.Event(), cupy.cuda.Event()
            start.record(self.stream)
            work()
            end.record(self.stream)
            end.synchronize()
            times.append(cupy.cuda.get_elapsed_time(start, end) * 1e3)
        return statistics.median(times)


def normal(*shape: int) -> Any:
    """Standard normal float32 on the device, drawn there where CuPy can."""
    drawn = getattr(cupy, "random", None)
    if drawn is not None:
        return drawn.standard_normal(shape, "float32")
    return cupy.asarray(np.random.default_rng(0).standard_normal(shape, np.float32))


def table(title: str, head: Sequence[str], lines: Sequence[Sequence[Any]]) -> None:
    """Prints a Markdown table."""
    print(f"\n{title}\n\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for line in lines:
        print(f"| {' | '.join(f'{cell:.1f}' if isinstance(cell, float) else str(cell) for cell in line)} |")
    print(flush=True)
