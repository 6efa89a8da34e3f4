"""The capture of a stream: launches are kept instead of run, and what a device cannot capture is refused.

Kernels are all that is captured here. Work that CuPy's own kernels would do, such as a sum of arrays, is refused as
well, for it would be done at once and never again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

launches: list[list[Callable[[], None]]] = []  # of the capture under way, if there is one


class Reads(Counter[str]):
    """Counts what makes the host wait; within a capture there is nothing to wait for."""

    def __setitem__(self, name: str, count: int) -> None:
        if launches:
            raise RuntimeError(f"cudaErrorStreamCaptureUnsupported: {name} within a capture")
        super().__setitem__(name, count)


def refuse(name: str) -> None:
    """RuntimeError within a capture."""
    if launches:
        raise RuntimeError(f"{name} is not captured by the stand-in for CuPy: launch a kernel")


class Graph:
    """The launches of a capture, to be run again in their order."""

    def __init__(self, kept: list[Callable[[], None]]) -> None:
        self.kept = kept

    def launch(self, stream: Any = None) -> None:
        """Runs them."""
        for launch in self.kept:
            launch()
