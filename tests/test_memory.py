"""Aligned arrays, and scratch buffers that are handed out again only when nobody holds them."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fastfm_core.backends.memory import LINE, Workspace, aligned_like, aligned_rows, aligned_zeros


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("shape", [(0,), (1,), (7, 3), (1000, 16), (5, 0)])
def test_arrays_start_on_a_line(shape: tuple[int, ...], dtype: Any) -> None:
    for line in (0, 1, 5, 64):
        array = aligned_zeros(shape, dtype, line=line)
        assert array.shape == shape and array.dtype == dtype and not array.any()
        assert array.flags.c_contiguous and array.flags.writeable
        if array.size:
            assert array.ctypes.data % 4096 == line * 64 % 4096
    scratch = Workspace().empty(shape, dtype)
    assert scratch.shape == shape and scratch.dtype == dtype and scratch.flags.c_contiguous
    assert scratch.ctypes.data % 64 == 0


@pytest.mark.parametrize(("dtype", "width"), [(np.float32, 1), (np.float32, 16), (np.float64, 13), (np.float32, 0)])
def test_every_row_starts_on_a_line(dtype: Any, width: int) -> None:
    rows = Workspace().empty_rows(9, width, dtype)
    assert rows.shape == (9, width)
    assert rows.strides[0] % 64 == 0 and rows.ctypes.data % 64 == 0
    assert rows.strides[1] == np.dtype(dtype).itemsize


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("width", [0, 1, 2, 3, 5, 8, 9, 15, 16, 17, 33])
def test_short_rows_straddle_no_line_and_long_ones_stand_side_by_side(width: int, dtype: Any) -> None:
    rows = aligned_rows(40, width, dtype, line=3)
    state = aligned_like(rows, line=5)
    size = width * rows.itemsize
    for array, line in ((rows, 3), (state, 5)):
        assert array.shape == (40, width) and array.dtype == dtype and not array.any()
        if width:
            assert array.ctypes.data % 4096 == line * LINE
            assert array.strides == rows.strides and array.strides[1] == array.itemsize
    if size > LINE:
        assert rows.flags.c_contiguous
    elif width:
        starts = rows.strides[0] * np.arange(40)
        assert (starts // LINE == (starts + size - 1) // LINE).all()


def test_a_dropped_buffer_is_handed_out_again() -> None:
    workspace = Workspace()
    first = workspace.empty((100, 16), np.float32)
    address = first.ctypes.data
    del first
    again = workspace.empty((100, 8), np.float64)  # as many bytes
    assert again.ctypes.data == address
    assert workspace.empty((100, 16), np.float32).ctypes.data != address


VIEWS: list[Callable[[np.ndarray], Any]] = [
    lambda array: array,
    lambda array: array[3:5],
    lambda array: array.T[1:].reshape(15, 10, 10)[2, 1:],
    lambda array: array.view(np.uint8)[::7],
    lambda array: np.broadcast_to(array[:1], (4, 16)),
    lambda array: [array[1]],
    lambda array: memoryview(array),  # pyright: ignore[reportArgumentType]
]


@pytest.mark.parametrize("view", VIEWS)
def test_a_buffer_that_is_referenced_in_any_way_is_not(view: Callable[[np.ndarray], Any]) -> None:
    workspace = Workspace()
    first = workspace.empty((100, 16), np.float32)
    address = first.ctypes.data
    held = view(first)
    del first
    assert workspace.empty((100, 16), np.float32).ctypes.data != address
    del held
    assert workspace.empty((100, 16), np.float32).ctypes.data == address


def test_arrays_in_use_never_overlap() -> None:
    """Random life times: what is written stays until it is dropped."""
    workspace, draw, held = Workspace(), random.Random(1), []
    for number in range(500):
        array = workspace.empty((draw.choice([1, 10, 1000]), draw.choice([1, 8, 9])), np.float64)
        array[...] = number
        held.append((number, array))
        if len(held) > 12:
            held.pop(draw.randrange(12))
        assert all((kept == written).all() for written, kept in held)


def test_threads_have_buffers_of_their_own() -> None:
    workspace = Workspace()
    mine = workspace.empty((1000,), np.float64)
    address = mine.ctypes.data
    del mine
    others: list[np.ndarray] = []
    thread = threading.Thread(target=lambda: others.append(workspace.empty((1000,), np.float64)))
    thread.start()
    thread.join()
    assert others[0].ctypes.data != address
    assert workspace.empty((1000,), np.float64).ctypes.data == address
