"""The backend ``cuda`` as one on the arrays of NumPy, so that it passes the contract's tests as all others do.

A call copies the memory behind its arrays to the device, once for all arrays of the same memory, and passes views with
the same strides; afterwards what was changed goes back. Results come with their strides, 0-d ones as Python's numbers.
No kernel may wait for the device but those of WAITING. To be imported while there is a module cupy.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import cupy
import numpy as np

from fastfm_core.backends import cuda
from fastfm_core.contract import RowPlan

ALIGNMENT = 512  # bytes; between multiples of these memory lies on the device as on the host, aligned or not
LARGE = 1 << 30  # bytes; memory that the stand-in for CuPy shares
PIECE = 1 << 26  # bytes compared at once
WAITING = {"merge_plans"}
OF_THE_HOST = {"rates"}  # arguments that are NumPy's arrays for every backend

as_strided = np.lib.stride_tricks.as_strided


class Memory:
    """What the arrays of one call are on the device."""

    def __init__(self) -> None:
        self.copies: dict[int, tuple[np.ndarray, Any]] = {}  # by address: bytes on the host and on the device

    def to_device(self, value: Any) -> Any:
        """Arguments with arrays replaced."""
        if isinstance(value, np.ndarray):
            return self._view(value)
        if isinstance(value, (list, tuple)):
            return _same_kind(value, map(self.to_device, value))
        return value

    def _view(self, array: np.ndarray) -> Any:
        if array.size == 0:
            return cupy.empty(array.shape, array.dtype)
        host = _bytes_behind(array)
        if host.nbytes > LARGE and hasattr(cupy, "reads"):
            return cupy.from_dlpack(array)
        address = host.ctypes.data
        if address not in self.copies:
            self.copies[address] = host, _copied(host)
        start = array.ctypes.data - address
        span = sum((n - 1) * stride for n, stride in zip(array.shape, array.strides, strict=True)) + array.itemsize
        flat = self.copies[address][1][start : start + span].view(array.dtype)
        return cupy.lib.stride_tricks.as_strided(flat, array.shape, array.strides)

    def take_back(self) -> None:
        """Changes go to the host; one of a read-only array raises."""
        for host, device in self.copies.values():
            for start in range(0, len(host), PIECE):
                before, after = host[start : start + PIECE], device[start : start + PIECE].get()
                if not np.array_equal(before, after):
                    before[...] = after


def _bytes_behind(array: np.ndarray) -> np.ndarray:
    """All the memory that the array is a view of."""
    owner, base = array, array.base
    while base is not None:
        owner = base if isinstance(base, np.ndarray) else owner  # as_strided has an object between
        base = getattr(base, "base", None)
    flat = owner.ravel(order="K")
    assert np.shares_memory(flat, owner)
    return flat.view(np.uint8)


def _copied(host: np.ndarray) -> Any:
    room = cupy.empty(len(host) + ALIGNMENT, np.uint8)
    start = (host.ctypes.data - room.data.ptr) % ALIGNMENT
    device = room[start : start + len(host)]
    device[...] = cupy.asarray(host)
    return device


def _same_kind(value: Any, items: Iterator[Any]) -> Any:
    """Of a list, a tuple, or a tuple with names."""
    return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)


def to_host(value: Any) -> Any:
    """Results with device arrays replaced, plans by plans of NumPy."""
    if isinstance(value, np.ndarray):
        raise TypeError("a kernel returned an array of the host")
    if isinstance(value, cupy.ndarray):
        return value.get().item() if value.ndim == 0 else _with_strides(value.get(), value.strides)
    if isinstance(value, (list, tuple)):
        return _same_kind(value, map(to_host, value))
    if hasattr(value, "order"):
        return RowPlan(to_host(value.rows), to_host(value.segments), to_host(value.order).astype(np.int32))
    return value


def _with_strides(array: np.ndarray, strides: tuple[int, ...]) -> np.ndarray:
    if array.strides == strides or array.size == 0:
        return array
    span = sum((n - 1) * stride for n, stride in zip(array.shape, strides, strict=True))
    view = as_strided(np.empty(span // array.itemsize + 1, array.dtype), array.shape, strides)
    view[...] = array
    return view


def on_numpy(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """The kernel with NumPy's arrays in and out."""

    @functools.wraps(kernel)
    def run(*arguments: Any, **options: Any) -> Any:
        memory, reads = Memory(), getattr(cupy, "reads", {})
        given = memory.to_device(arguments)
        named = {key: value if key in OF_THE_HOST else memory.to_device(value) for key, value in options.items()}
        reads.clear()
        result = kernel(*given, **named)
        assert not reads or kernel.__name__ in WAITING, f"{kernel.__name__} waits for the device: {reads}"
        result = to_host(result)
        memory.take_back()
        return result

    return run


name = cuda.name
for _name, _function in list(vars(cuda).items()):
    if inspect.isfunction(_function) and _name[0] != "_":
        globals()[_name] = on_numpy(_function)
