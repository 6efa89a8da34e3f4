"""Arrays on the device that live long: tables and their states, whose rows start where vectors are loaded."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastfm_core.backends.cuda.device import xp

VECTOR = 16  # bytes that are loaded at once; CuPy's own allocations start at multiples of 512
_widths: dict[int, int] = {}  # of the matrices within those of ``rows_before_zeros``, by the ids of the latter


def aligned_zeros(shape: Sequence[int], dtype: Any, line: int = 0) -> Any:
    """Zeros, C-contiguous. ``line`` is for the caches of CPUs."""
    return xp.zeros(tuple(shape), dtype)


def aligned_rows(rows: int, width: int, dtype: Any, line: int = 0) -> Any:
    """Zeros [rows, width] whose every row starts at a multiple of VECTOR bytes."""
    return xp.zeros((rows, _whole_vectors(width, dtype)), dtype)[:, :width]


def aligned_like(array: Any, line: int = 0) -> Any:
    """Zeros of the shape, dtype and row spacing of a matrix whose rows are contiguous."""
    spacing = array.strides[0] // array.itemsize if array.size else array.shape[1]
    return xp.zeros((len(array), spacing), array.dtype)[:, : array.shape[1]]


def rows_before_zeros(rows: int, width: int, dtype: Any) -> Any:
    """Numbers of any value [rows, width]; every row starts at a multiple of VECTOR bytes.

    The caller writes them and the zeros between a row and the next, which ``with_zeros`` shows to products.
    """
    whole = xp.empty((rows, _whole_vectors(width, dtype)), dtype)
    _widths[id(whole)] = width
    weakref.finalize(whole, _widths.pop, id(whole)).atexit = False
    return whole[:, :width]


def with_zeros(matrix: Any) -> Any:
    """All of a matrix of ``rows_before_zeros``, its rows as long as they are apart; any other as it is."""
    whole = matrix.base
    if whole is None or _widths.get(id(whole)) != matrix.shape[1] or len(whole) != len(matrix):
        return matrix
    return whole if whole.strides == matrix.strides else matrix


def _whole_vectors(width: int, dtype: Any) -> int:
    lanes = VECTOR // np.dtype(dtype).itemsize
    return -(-width // lanes) * lanes
