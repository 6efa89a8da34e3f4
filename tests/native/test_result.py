"""Buffers of results: handed out again when nobody refers to them, and not hoarded when sizes keep changing."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

native = pytest.importorskip("fastfm_core._native")


@pytest.mark.parametrize("rows", [1, 1000, 30_000])  # of 256 bytes: below a page, on the heap, a mapping of its own
def test_a_dropped_buffer_is_handed_out_again(rows: int) -> None:
    first = native.empty(rows, 64, np.dtype(np.float32))
    first[...] = 1
    address = first.ctypes.data
    assert address % 64 == 0
    view = first[:, 3:]
    del first
    other = native.empty(rows, 64, np.dtype(np.float32))
    assert other.ctypes.data != address
    other[...] = 2
    assert (view == 1).all()
    del view
    assert native.empty(rows, 64, np.dtype(np.float32)).ctypes.data == address


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_changing_sizes_leave_no_heap_of_idle_buffers() -> None:
    """Arrays of 1 to 64 MiB, one at a time: idle ones of all sizes would take more than 500 MiB."""
    code = """
import numpy as np
from fastfm_core import _native
from fastfm_core.report import peak_memory_mb as peak
before = peak()
for round in range(2):
    for mebibytes in range(1, 65):
        _native.empty(mebibytes, 1 << 18, np.dtype(np.float32))[...] = 1
print(peak() - before)
"""
    grown = float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    assert 60 < grown < 200
