"""cupy.RawModule on the CPU: the same text, compiled by g++ behind emulator.hpp, launched thread by thread.

Stricter than a device: the number, dtypes and element types of a launch's arguments are compared with the kernel's
parameters, where a device would misread them. Each launch has its own order of threads, which ``settings.seed`` starts.
"""

from __future__ import annotations

import ctypes
import os
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from emulated_cupy import capture, compiling

MODES = ("plain", "address", "thread")
_FILE = re.compile(r'^#line 1 "([^"]+\.cu)"$', re.MULTILINE)
_CODES = {"b1": "?7x", "i4": "i4x", "u4": "I4x", "f4": "f4x", "i8": "q", "u8": "Q", "f8": "d"}


class EmulationError(RuntimeError):
    """What a kernel did that a device would not allow, or not do twice the same."""


@dataclass
class Settings:
    """``mode``: plain; address (AddressSanitizer and undefined behaviour) or thread (ThreadSanitizer), whose library
    the process must have loaded first. ``seed``: of the next launch's order of threads; each launch adds one."""

    mode: str = field(default_factory=lambda: os.environ.get("FASTFM_EMULATOR", "plain"))
    seed: int = field(default_factory=lambda: int(os.environ.get("FASTFM_EMULATOR_SEED", "0")))


settings = Settings()


class RawModule:
    """CUDA C++ text and the instances wanted from it, compiled when the first is asked for.

    A text that names its file by ``#line 1 "<file>.cu"`` and is listed in the backend's ``INSTANCES`` is compiled with
    all that the list names, and has no others.
    """

    def __init__(self, code: str, options: Sequence[str] = (), name_expressions: Sequence[str] = ()) -> None:
        self.code, self.options, self.names = code, tuple(options), tuple(name_expressions)

    def get_function(self, name: str) -> Kernel:
        """The kernel of that name expression; ValueError where the module has none."""
        if name not in self.names:
            raise ValueError(f"{name} is none of the module's name expressions {self.names}")
        names = _listed(self.code) or self.names
        if name not in names:
            raise ValueError(f"{name} is not listed in fastfm_core.backends.cuda.instances")
        if settings.mode not in MODES:
            raise ValueError(f"FASTFM_EMULATOR is one of {', '.join(MODES)}, not {settings.mode!r}")
        library = compiling.library(self.code, self.options, names, settings.mode)
        return Kernel(name, library, names.index(name))


class Kernel:
    """A kernel that can be launched: ``kernel((blocks,), (threads,), arguments)``."""

    def __init__(self, name: str, library: ctypes.PyDLL, number: int) -> None:
        self.name = name
        describe, self._launch = library[f"signature_{number}"], library[f"launch_{number}"]
        describe.restype, self._launch.argtypes = ctypes.c_void_p, (ctypes.c_char_p,)
        self._error = compiling.runtime(settings.mode).emulator_error
        self._error.restype = ctypes.c_char_p
        parameters = _parameters(ctypes.string_at(describe()).decode())
        self._converters = [_Pointer(*rest) if role == "p" else _Number(*rest) for role, *rest in parameters]
        self._request = struct.Struct("=6IQ" + "".join(converter.code for converter in self._converters))

    def __call__(self, grid: Sequence[int], block: Sequence[int], args: Sequence[Any], *, shared_mem: int = 0) -> None:
        """Runs the kernel to its end; within a capture it is kept, to be run at each launch of the graph.

        TypeError: an argument is neither a NumPy scalar nor a device array, or not what the parameter is.
        EmulationError: the kernel is wrong.
        """
        if shared_mem:
            raise ValueError("kernels declare their shared memory with SHARED alone")
        if len(args) != len(self._converters):
            raise TypeError(f"{self.name} has {len(self._converters)} parameters, not {len(args)}")
        try:
            values = [convert(value) for convert, value in zip(self._converters, args, strict=True)]
        except TypeError as error:
            raise TypeError(f"{self.name}: {error}") from None
        if capture.launches:
            kept = tuple(args)  # their memory too
            capture.launches[-1].append(lambda: self._run(grid, block, values, kept))
            return
        self._run(grid, block, values)

    def _run(self, grid: Sequence[int], block: Sequence[int], values: list[Any], _kept: Any = None) -> None:
        request = self._request.pack(*_three(grid), *_three(block), settings.seed & (1 << 64) - 1, *values)
        settings.seed += 1
        if self._launch(request):
            raise EmulationError(f"{self.name}: {self._error().decode()}")


class _Number:
    """Accepts scalars of one dtype."""

    def __init__(self, kind: str, size: int) -> None:
        self.dtype = np.dtype("?" if kind == "b" else f"{kind}{size}")
        self.code = _CODES[self.dtype.str[1:]]

    def __call__(self, value: Any) -> Any:
        if isinstance(value, np.generic) and value.dtype == self.dtype:
            return value
        raise TypeError(f"a parameter of dtype {self.dtype} was given {_named(value)}")


class _Pointer:
    """Accepts the null pointer, and arrays whose elements are what the kernel takes them for, signs aside."""

    code = "Q"

    def __init__(self, kind: str, size: int) -> None:
        self.kind, self.size, self.known = kind, size, dict[np.dtype, bool]()

    def __call__(self, value: Any) -> int:
        if type(value) is np.uintp and value == 0:
            return 0
        try:
            pointer, dtype = value.data.ptr, value.dtype
        except AttributeError:
            raise TypeError(f"a pointer was given {_named(value)}") from None
        if dtype not in self.known:
            self.known[dtype] = self._fits(dtype)
        if not self.known[dtype]:
            raise TypeError(f"a pointer to {_KINDS[self.kind]} of {self.size} bytes was given {_named(value)}")
        return pointer

    def _fits(self, dtype: np.dtype) -> bool:
        if self.kind == "x":  # half numbers, vectors, bytes of any kind
            return self.size == 0 or self.size % dtype.itemsize == 0
        families = {"b": "b", "f": "f", "i": "iu", "u": "iu"}
        return dtype.kind in families[self.kind] and dtype.itemsize == self.size


_KINDS = {"b": "truth values", "f": "floats", "i": "integers", "u": "integers", "x": "elements"}


def _parameters(signature: str) -> list[tuple[str, str, int]]:
    groups = [signature[start : start + 3] for start in range(0, len(signature), 3)]
    return [(role, kind, ord(size) - ord("0")) for role, kind, size in groups]


def _listed(code: str) -> tuple[str, ...]:
    file = _FILE.search(code)
    if file is None:
        return ()
    from fastfm_core.backends.cuda.instances import INSTANCES

    return tuple(INSTANCES.get(file[1], ()))


def _three(sizes: Sequence[int]) -> tuple[int, ...]:
    return (*sizes, 1, 1)[:3]


def _named(value: Any) -> str:
    dtype = getattr(value, "dtype", None)
    return f"{type(value).__name__}" + ("" if dtype is None else f" of {dtype}")
