"""Device arrays in host memory, as strict as CuPy's: nothing crosses to NumPy unasked, and every read is counted.

An array is not an np.ndarray but holds one, for NumPy would take a subclass for its own without a word. Its memory
starts at a multiple of 512 bytes, as CuPy's allocations do, and is never shared with an array of the host. A kernel is
given its address, ``array.data.ptr``; tests look at it with ``peek``.
"""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

import numpy as np

from emulated_cupy.capture import Reads, refuse
from emulated_cupy.guard import hide

ALIGNMENT = 512
reads = Reads()  # what has made the host wait for the device, by the name of the call
COUNTED = {"unique", "nonzero", "flatnonzero", "argwhere", "compress", "extract"}  # the host asks how long they are
_METHODS = """
all any argmax argmin argsort astype clip copy cumsum diagonal dot flatten max mean min nonzero prod ravel repeat
reshape squeeze std sum swapaxes take transpose var
"""


class Pointer(NamedTuple):
    """CuPy's MemoryPointer: where an array's first element is."""

    ptr: int


class ndarray(np.lib.mixins.NDArrayOperatorsMixin):  # noqa: N801
    """cupy.ndarray, as far as the package and its tests use it."""

    base: ndarray | None = None  # the array that this one is a view of, itself none

    def __init__(self, shape: Any, dtype: Any = float) -> None:
        self._memory = _allocate(shape, np.dtype(dtype))

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy array "
            "explicitly."
        )

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        refuse(ufunc.__name__)
        results = None if out is None else tuple(map(_device_or_none, out))
        memory = {} if results is None else {"out": tuple(None if x is None else x._memory for x in results)}
        made = getattr(ufunc, method)(*unwrapped(inputs), **memory, **unwrapped(options))
        if results is None:
            return wrapped(made)
        return results[0] if len(results) == 1 else results

    def __array_function__(self, function: Any, _types: Any, arguments: Any, options: Any) -> Any:
        return call(function, arguments, options)

    # ---- what costs a wait ----------------------------------------------------------------------------------------

    def get(
        self, stream: Any = None, order: str = "C", out: np.ndarray | None = None, blocking: bool = True
    ) -> np.ndarray:
        """A copy on the host; with blocking=False the event that is recorded behind it is waited for, and counted."""
        if blocking:
            reads["get"] += 1
        if out is None:
            return self._memory.copy(order)  # pyright: ignore[reportArgumentType]
        out[...] = self._memory
        return out

    def item(self) -> Any:
        """The only element as a number of Python's."""
        reads["item"] += 1
        return self._memory.item()

    def tolist(self) -> Any:
        """The elements as lists of Python's numbers."""
        reads["tolist"] += 1
        return self._memory.tolist()

    def __bool__(self) -> bool:
        reads["bool"] += 1
        return bool(self._memory)

    def __float__(self) -> float:
        reads["float"] += 1
        return float(self._memory)

    def __int__(self) -> int:
        reads["int"] += 1
        return int(self._memory)

    def __index__(self) -> int:
        reads["index"] += 1
        return operator.index(self._memory)

    # ---- what costs none --------------------------------------------------------------------------------------------

    def set(self, array: np.ndarray, stream: Any = None) -> None:
        """Copies an array of the host of the same shape and dtype in."""
        if not isinstance(array, np.ndarray) or array.shape != self.shape or array.dtype != self.dtype:
            raise ValueError("Shape mismatch, or not a NumPy array of the dtype")
        self._memory[...] = array

    def __getitem__(self, index: Any) -> ndarray:
        places = unwrapped(index if isinstance(index, tuple) else (index,))
        if any(isinstance(place, np.ndarray) and place.dtype == bool for place in places):
            reads["mask"] += 1
        if not any(place is Ellipsis for place in places):
            places = (*places, Ellipsis)  # a view even of one element
        return self._viewed(self._memory[places])

    def __setitem__(self, index: Any, value: Any) -> None:
        refuse("an assignment")
        self._memory[unwrapped(index)] = unwrapped(value)

    def __len__(self) -> int:
        return len(self._memory)

    def __iter__(self) -> Any:
        return (self[n] for n in range(len(self)))

    def __repr__(self) -> str:
        return repr(self._memory).replace("array", "device_array", 1)

    def fill(self, value: Any) -> None:
        """Every element becomes ``value``."""
        self._memory.fill(unwrapped(value))

    def sort(self, axis: int = -1) -> None:
        """In place."""
        self._memory.sort(axis)

    def view(self, dtype: Any = None) -> ndarray:
        """The same memory, of another dtype."""
        return self._viewed(self._memory.view(dtype or self.dtype))

    def _viewed(self, memory: np.ndarray) -> ndarray:
        made = wrapped(memory)
        if np.may_share_memory(memory, self._memory):
            made.base = self if self.base is None else self.base
        return made

    @property
    def data(self) -> Pointer:
        """Where the first element is."""
        return Pointer(self._memory.ctypes.data)

    @property
    def T(self) -> ndarray:  # noqa: N802
        """The transposed view."""
        return self._viewed(self._memory.T)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {**self._memory.__array_interface__, "version": 3, "stream": None}


def _attribute(name: str) -> property:
    return property(lambda self: getattr(self._memory, name))


def _method(name: str) -> Any:
    def method(self: ndarray, *arguments: Any, **options: Any) -> Any:
        if name in COUNTED:
            reads[name] += 1
        out = options.get("out")
        made = getattr(self._memory, name)(*unwrapped(arguments), **unwrapped(options))
        return wrapped(made) if out is None else out

    return method


for _name in ("shape", "dtype", "ndim", "size", "nbytes", "itemsize", "strides", "flags"):
    setattr(ndarray, _name, _attribute(_name))
for _name in _METHODS.split():
    setattr(ndarray, _name, _method(_name))


def call(function: Any, arguments: Any, options: Any) -> Any:
    """A function of NumPy's on device arrays."""
    if function is not np.broadcast_to:
        refuse(function.__name__)
    if function.__name__ in COUNTED:
        reads[function.__name__] += 1
    out = options.get("out")
    made = function(*unwrapped(arguments), **unwrapped(options))
    return wrapped(made) if out is None else out


def peek(array: ndarray) -> np.ndarray:
    """The memory itself, uncounted: for tests and for the emulator of kernels."""
    return array._memory


def unwrapped(value: Any) -> Any:
    """Arguments with device arrays replaced by their memory. TypeError for an array of the host, but 0-d ones pass."""
    if isinstance(value, ndarray):
        return value._memory
    if isinstance(value, np.ndarray) and value.ndim:
        raise TypeError(f"Unsupported type {type(value)}")
    if isinstance(value, (tuple, list)):
        return type(value)(map(unwrapped, value))
    return {key: unwrapped(x) for key, x in value.items()} if isinstance(value, dict) else value


def wrapped(value: Any) -> Any:
    """Results with arrays, scalars and truth values as device arrays; what is no view gets memory of the device."""
    if isinstance(value, (np.ndarray, np.generic, bool)):
        array = ndarray.__new__(ndarray)
        array._memory = value if isinstance(value, np.ndarray) and value.base is not None else on_device(value)
        return array
    return type(value)(map(wrapped, value)) if type(value) in (tuple, list) else value


def on_device(value: Any, order: str = "K") -> np.ndarray:
    """A copy at an aligned place."""
    value = np.asarray(value)
    memory = _allocate(value.shape, value.dtype)
    if value.ndim > 1 and order != "C" and value.flags.f_contiguous and not value.flags.c_contiguous:
        memory = _allocate(value.shape[::-1], value.dtype).T
    memory[...] = value
    return memory


def _allocate(shape: Any, dtype: np.dtype) -> np.ndarray:
    """Garbage that shows when it is read: NaN, and bytes 0xAB for what has none."""
    shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    raw = np.full(size + 2 * ALIGNMENT, 0xFF if dtype.kind == "f" else 0xAB, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    hide(raw.ctypes.data, start)
    hide(raw.ctypes.data + start + size, 2 * ALIGNMENT - start)
    return raw[start : start + size].view(dtype).reshape(shape)


def _device_or_none(out: Any) -> ndarray | None:
    if out is None or isinstance(out, ndarray):
        return out
    raise TypeError(f"Unsupported type {type(out)}")
