"""Work of many kernels launched as one: a captured CUDA graph.

    lr, step = xp.full(1, 0.1), xp.zeros(1, "int64")             # read anew at each replay
    def work():
        out = cuda.embedding_fm(table, linear, entries, None, deep=False)
        ...
        cuda.update_rows_adam_(table, m, v, cuda.plan_rows(entries.ids, rows), source, lr=lr, step=step)
    graph = Graph(work)
    entries.ids[...] = next_ids; step += 1; graph.replay()

Whatever a replay shall see anew lies in arrays that stay: ids, gradients, the learning rate, the step, a dropout's seed
and step. Numbers of the host are captured as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastfm_core.backends.cuda.device import xp


class Graph:
    """Captures ``work``, a function that queues kernels of this backend and reads nothing.

    It is called twice: once for real, which compiles what it needs, and once to be captured. ``outputs`` is what the
    second call returned, arrays that every replay writes anew.
    """

    def __init__(self, work: Callable[[], Any]) -> None:
        self._pool = xp.cuda.MemoryPool()  # nobody else is given what the captured kernels write to
        stream = xp.cuda.Stream(non_blocking=True)
        stream.wait_event(xp.cuda.get_current_stream().record())
        with stream, xp.cuda.using_allocator(self._pool.malloc):
            work()
            stream.synchronize()
            stream.begin_capture()
            try:
                self.outputs = work()
            finally:
                self._graph = stream.end_capture()

    def replay(self) -> None:
        """Queues all of it on the current stream."""
        self._graph.launch(xp.cuda.get_current_stream())
