"""How many threads fastfm_core may use, and the one small pool that all its kernels in Python and Numba run on.

The caller is a member of the pool; helpers are daemon threads, started when first needed. Work comes in pieces whose
borders depend on shapes only, so any number of threads gives the same bits. A nested or concurrent call runs inline,
a forked child starts afresh, and an exception in a piece is raised in the caller. The native extension has a pool of
its own for its kernels (``csrc/include/fastfm/pool.hpp``), which follows the number set here.
"""

from __future__ import annotations

import itertools
import os
import queue
import threading
from collections.abc import Callable

from fastfm_core.errors import InputError

_MOST_THREADS = 256


class _Job:
    """Pieces of one call. Claims and finishes are counted by ``itertools.count``, which is atomic under the GIL."""

    def __init__(self, pieces: int, work: Callable[[int], object]) -> None:
        self.pieces = pieces
        self.work = work
        self.claims = itertools.count()
        self.finishes = itertools.count(1)
        self.finished = threading.Lock()
        self.finished.acquire()
        self.error: BaseException | None = None

    def drain(self) -> None:
        """Run pieces until none is left to claim; whoever finishes the last one wakes the caller."""
        for piece in self.claims:
            if piece >= self.pieces:
                return
            try:
                self.work(piece)
            except BaseException as error:
                self.error = error
            if next(self.finishes) == self.pieces:
                self.finished.release()


class Pool:
    """A caller and its helpers. A helper that wakes late finds nothing to claim, and nobody waits for it."""

    def __init__(self) -> None:
        self.busy = threading.Lock()
        self.inboxes: list[queue.SimpleQueue[_Job]] = []

    def run(self, pieces: int, work: Callable[[int], object]) -> None:
        """Call ``work(piece)`` once for each piece in 0..pieces-1, on up to ``get_num_threads()`` threads."""
        helpers = min(get_num_threads(), pieces) - 1
        if helpers < 1 or not self.busy.acquire(blocking=False):
            for piece in range(pieces):
                work(piece)
            return
        try:
            job = _Job(pieces, work)
            while len(self.inboxes) < helpers:
                self._start_helper()
            for inbox in self.inboxes[:helpers]:
                inbox.put(job)
            job.drain()
            job.finished.acquire()
        finally:
            self.busy.release()
        if job.error is not None:
            try:
                raise job.error
            finally:
                job.error = None  # else error, traceback and job hold each other

    def _start_helper(self) -> None:
        inbox: queue.SimpleQueue[_Job] = queue.SimpleQueue()

        def serve() -> None:
            while True:
                inbox.get().drain()

        threading.Thread(target=serve, name="fastfm-core", daemon=True).start()
        self.inboxes.append(inbox)


def set_num_threads(count: int) -> None:
    """Use at most ``count`` threads (1 to 256), the caller included. Results do not depend on it."""
    global _threads
    if not isinstance(count, int) or not 1 <= count <= _MOST_THREADS:
        raise InputError(f"threads must be a whole number from 1 to {_MOST_THREADS}, got {count!r}")
    _threads = count
    for tell in _followers:
        tell(count)


def follow(tell: Callable[[int], object]) -> None:
    """Have ``tell`` called with the number of threads, now and whenever it is set. The native pool does so."""
    _followers.append(tell)
    tell(_threads)


def get_num_threads() -> int:
    """The number of threads kernels may use: the CPUs this process may run on, unless set."""
    return _threads


def run(pieces: int, work: Callable[[int], object]) -> None:
    """``Pool.run`` on the package's pool."""
    _pool.run(pieces, work)


def _usable_cpus() -> int:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(usable, _MOST_THREADS)


def _start_afresh() -> None:
    global _pool
    _pool = Pool()


_followers: list[Callable[[int], object]] = []
_threads = _usable_cpus()
_pool = Pool()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_afresh)
