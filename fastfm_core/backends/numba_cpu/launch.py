"""What kernels share around their calls: scratch memory, cutting work into pieces, and absent arrays.

An absent optional array is passed as an empty one of the same type, so that a kernel is compiled once and not once for
each combination; kernels ask ``array.size``. Pieces are cut by the amount of work, so small calls run inline.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from fastfm_core import threads
from fastfm_core.backends.memory import Workspace

workspace = Workspace()
_PIECE_BYTES = 1 << 17  # work below this is done before another thread has woken up
_MOST_PIECES = 16


def ranges(kernel: Callable[..., Any], count: int, bytes_each: int, *arguments: Any) -> None:
    """Run ``kernel(low, high, *arguments)`` over pieces of ``range(count)``; each item moves about ``bytes_each``."""
    pieces = piece_count(count, bytes_each)
    if pieces == 1:
        kernel(0, count, *arguments)
        return
    threads.run(pieces, lambda p: kernel(count * p // pieces, count * (p + 1) // pieces, *arguments))


def piece_count(count: int, bytes_each: int) -> int:
    """How many pieces ``count`` items are cut into: by the amount of work alone, never by the number of threads."""
    return max(1, min(_MOST_PIECES, count, count * bytes_each // _PIECE_BYTES))


@functools.cache
def absent(dimensions: int, dtype: Any) -> np.ndarray:
    """The empty array that stands for an absent one."""
    return np.zeros((0,) * dimensions, dtype)


def given(array: np.ndarray | None, dimensions: int, dtype: Any) -> np.ndarray:
    """The array, or the empty one that stands for it."""
    return absent(dimensions, np.dtype(dtype)) if array is None else array
