"""A stand-in for CuPy on a machine without a device: arrays in host memory, kernels compiled for the CPU.

``install()`` makes it the module cupy of this process. What CuPy refuses is refused here; what makes the host wait for
the device is counted in ``reads``, which tests read and clear. Its functions are those that the package uses.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np

from emulated_cupy import cuda
from emulated_cupy.array import call, ndarray, on_device, peek, reads, wrapped

__version__ = "14.0.0"
__all__ = ["asarray", "asnumpy", "cuda", "install", "installed", "lib", "ndarray", "peek", "reads"]

_FUNCTIONS = """
abs add all any append arange argmax argmin argsort array_equal atleast_2d bincount bitwise_and bitwise_or
broadcast_to clip concatenate count_nonzero cumsum diff divide einsum equal exp expand_dims eye flatnonzero
floor_divide full full_like greater greater_equal hstack identity isfinite isnan left_shift less less_equal lexsort
linspace log log1p logaddexp logical_and logical_not logical_or matmul max maximum may_share_memory mean min minimum
mod moveaxis multiply negative nonzero not_equal ones ones_like power prod ravel remainder repeat reshape right_shift
searchsorted shares_memory sign split sqrt square stack subtract sum swapaxes take take_along_axis tensordot tile
transpose tri tril triu unique vdot vstack where zeros zeros_like
"""
_CONSTANTS = """
bool_ dtype finfo float16 float32 float64 floating iinfo inf int16 int32 int64 int8 integer issubdtype nan newaxis pi
result_type uint16 uint32 uint64 uint8
"""


def __getattr__(name: str) -> Any:
    if name == "RawModule":
        from emulated_cupy.raw_module import RawModule

        return RawModule
    if name in _CONSTANTS.split():
        return getattr(np, name)
    if name not in _FUNCTIONS.split():
        raise AttributeError(f"module 'cupy' has no attribute {name!r}")
    function = getattr(np, name)
    return lambda *arguments, **options: call(function, arguments, options)


def empty(shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
    """Garbage: NaN, or bytes 0xAB."""
    return ndarray(shape, dtype)


def empty_like(array: ndarray, dtype: Any = None) -> ndarray:
    """Garbage of an array's shape."""
    return ndarray(array.shape, dtype or array.dtype)


def asarray(a: Any, dtype: Any = None, order: str = "K", blocking: bool = False) -> ndarray:
    """A device array as it is, another library's as the same memory, anything else copied to the device."""
    if not isinstance(a, ndarray) and hasattr(a, "__cuda_array_interface__"):
        owner = SimpleNamespace(__array_interface__=a.__cuda_array_interface__, owner=a)
        a = wrapped(np.asarray(owner))
    if isinstance(a, ndarray):
        return a if dtype is None or a.dtype == np.dtype(dtype) else a.astype(dtype)
    return array(a, dtype, order=order)


def array(a: Any, dtype: Any = None, copy: bool = True, order: str = "K") -> ndarray:
    """A copy on the device."""
    memory = peek(a) if isinstance(a, ndarray) else np.asarray(a)
    made = ndarray.__new__(ndarray)
    made._memory = on_device(memory if dtype is None else memory.astype(dtype), order)
    return made


def ascontiguousarray(a: Any, dtype: Any = None) -> ndarray:
    """In C order on the device; copied where it is not."""
    a = asarray(a, dtype, order="C")
    return a if a.flags.c_contiguous else array(a, order="C")


def asnumpy(a: Any, stream: Any = None, order: str = "C", out: np.ndarray | None = None) -> np.ndarray:
    """A copy on the host."""
    return a.get(stream, order, out) if isinstance(a, ndarray) else np.asarray(a)


def get_array_module(*arrays: Any) -> Any:
    """This module where one array is on the device, else NumPy."""
    return sys.modules[__name__] if any(isinstance(a, ndarray) for a in arrays) else np


def from_dlpack(array: Any) -> ndarray:
    """The same memory, which is the other library's."""
    return array if isinstance(array, ndarray) else wrapped(np.from_dlpack(array)[...])


def _as_strided(x: ndarray, shape: Any = None, strides: Any = None) -> ndarray:
    return wrapped(np.lib.stride_tricks.as_strided(peek(x), shape, strides))


lib = SimpleNamespace(stride_tricks=SimpleNamespace(as_strided=_as_strided))


def install() -> None:
    """From now on ``import cupy`` finds this package."""
    sys.modules["cupy"] = sys.modules[__name__]


@contextmanager
def installed() -> Iterator[None]:
    """Within this block ``import cupy`` finds this package, afterwards what it found before."""
    before = sys.modules.get("cupy")
    install()
    try:
        yield
    finally:
        sys.modules.pop("cupy")
        if before is not None:
            sys.modules["cupy"] = before
