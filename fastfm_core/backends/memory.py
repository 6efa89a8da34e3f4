"""Arrays that start on a cache line, and scratch buffers that are used again instead of being mapped anew.

A row of 64 bytes that straddles two lines costs two reads, and NumPy's own arrays start at address 16 modulo 64.
Fresh large arrays cost a page fault per page: a training step reuses the buffers of the step before.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

LINE = 64
BLOCK = 4 << 20  # bytes


def aligned_zeros(shape: Sequence[int], dtype: Any, line: int = 0) -> np.ndarray:
    """Zeros whose first element lies on a 64-byte boundary, ``line`` lines past a multiple of 4096.

    Give a table and each of its optimizer states another ``line``: equal addresses modulo 4096 alias in the cache.
    """
    dtype = np.dtype(dtype)
    count = int(np.prod(shape, dtype=np.int64))
    raw = np.zeros(count * dtype.itemsize + 8192, np.uint8)
    start = (-raw.ctypes.data) % 4096 + (line * LINE) % 4096
    return raw[start : start + count * dtype.itemsize].view(dtype).reshape(shape)


def aligned_rows(rows: int, width: int, dtype: Any, line: int = 0) -> np.ndarray:
    """Zeros [rows, width] for rows that are read at random, placed as ``aligned_zeros`` places them.

    Rows up to a line long are spaced by a power of two, so that none straddles two lines. Longer ones stand side by
    side: space between them was measured to cost memory and gain nothing.
    """
    lanes = LINE // np.dtype(dtype).itemsize
    spacing = 1 << (width - 1).bit_length() if 0 < width <= lanes else width
    return aligned_zeros((rows, spacing), dtype, line)[:, :width]


def aligned_like(array: np.ndarray, line: int = 0) -> np.ndarray:
    """Zeros of the shape, dtype and row spacing of a matrix whose rows are contiguous."""
    spacing = array.strides[0] // array.itemsize if array.size else array.shape[1]
    return aligned_zeros((len(array), spacing), array.dtype, line)[:, : array.shape[1]]


class Workspace(threading.local):
    """Hands out aligned scratch arrays; a buffer that nobody references any more is handed out again.

    Each thread has shelves of its own, so two threads never find the same idle buffer. Buffers are kept as long as the
    thread lives: the memory held is what its largest step needed.
    """

    def __init__(self) -> None:
        self._shelves: dict[int, list[np.ndarray]] = {}

    def empty(self, shape: Sequence[int], dtype: Any) -> np.ndarray:
        """An uninitialised C-contiguous array that starts on a 64-byte boundary."""
        dtype = np.dtype(dtype)
        count = 1
        for size in shape:
            count *= size
        needed = count * dtype.itemsize
        return self._buffer(needed)[:needed].view(dtype).reshape(shape)

    def empty_rows(self, rows: int, width: int, dtype: Any) -> np.ndarray:
        """An uninitialised [rows, width] view whose every row starts on a 64-byte boundary."""
        lanes = LINE // np.dtype(dtype).itemsize
        return self.empty((rows, -(-max(width, 1) // lanes) * lanes), dtype)[:, :width]

    def _buffer(self, needed: int) -> np.ndarray:
        size = _size_class(needed)
        shelf = self._shelves.setdefault(size, [])
        for raw, holders in zip(shelf, _holders(shelf), strict=True):
            if holders == _IDLE:
                return _aligned(raw, size)
        shelf.append(np.empty(size + LINE, np.uint8))
        return _aligned(shelf[-1], size)


def to_host(array: Any) -> np.ndarray:
    """An array on a device copied to the host; NumPy's own as it is."""
    return array if isinstance(array, np.ndarray) else array.get()


def copy_in(array: Any, saved: Mapping[str, np.ndarray], name: str, to_device: Callable[[Any], Any]) -> None:
    """Copies saved[name] into a backend's array of its shape, a block of rows at a time; ``to_device``: the backend's.

    ``SavedArrays`` maps it anew for each block and gives the pages of the one before back, so that loading a table
    takes the memory of a block.
    """
    if array.nbytes <= BLOCK:
        array[...] = to_device(saved[name])
        return
    rows = max(1, BLOCK * len(array) // array.nbytes)
    for begin in range(0, len(array), rows):
        array[begin : begin + rows] = to_device(saved[name][begin : begin + rows])


def _aligned(raw: np.ndarray, size: int) -> np.ndarray:
    start = (-raw.ctypes.data) % LINE
    return raw[start : start + size]


def _size_class(needed: int) -> int:
    """Sizes grow by about eighths, so that batches of nearly the same size share buffers."""
    step = max(4096, 1 << max(needed.bit_length() - 3, 0))
    return -(-max(needed, 1) // step) * step


def _holders(shelf: list[np.ndarray]) -> list[int]:
    """Reference count of each buffer. A view of any depth holds its buffer, for NumPy flattens chains of bases."""
    return [sys.getrefcount(raw) for raw in shelf]


_IDLE = _holders([np.empty(0, np.uint8)])[0]
