"""The OpenBLAS libraries of this process: how many threads they use, and where their matrix products are.

NumPy's wheels prefix and suffix the symbols: ``scipy_cblas_sgemm64_`` for ``cblas_sgemm`` with 64-bit integers.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

_PREFIXES = ("scipy_", "")
_SUFFIXES = ("64_", "", "_64")


@dataclass(frozen=True)
class Library:
    """One OpenBLAS; addresses are 0 where it has no such function."""

    path: Path
    get_threads: Callable[[], int]
    set_threads: Callable[[int], object]
    thread_functions: tuple[int, int]  # addresses of the two
    sgemm: int  # address of cblas_sgemm
    dgemm: int
    wide: bool  # integers of 64 bits


def product() -> tuple[int, int, bool] | None:
    """(address of cblas_sgemm, of cblas_dgemm, whether integers have 64 bits) of the first library that has them."""
    usable = (library for library in libraries() if library.sgemm and library.dgemm)
    return next(((library.sgemm, library.dgemm, library.wide) for library in usable), None)


@functools.cache
def libraries() -> list[Library]:
    """Every OpenBLAS loaded whose number of threads can be set."""
    found = (_open(path) for path in _paths())
    return [library for library in found if library is not None]


def _open(path: Path) -> Library | None:
    library = ctypes.CDLL(str(path))
    for prefix in _PREFIXES:
        for suffix in _SUFFIXES:
            get = getattr(library, f"{prefix}openblas_get_num_threads{suffix}", None)
            put = getattr(library, f"{prefix}openblas_set_num_threads{suffix}", None)
            if get and put:
                get.restype, put.argtypes, put.restype = ctypes.c_int, [ctypes.c_int], None
                config = getattr(library, f"{prefix}openblas_get_config{suffix}", None)
                sgemm, dgemm = (getattr(library, f"{prefix}cblas_{letter}gemm{suffix}", None) for letter in "sd")
                wide = _has_wide_integers(config)
                known = wide is not None and wide == bool(suffix)  # else the width of integers would be a guess
                addresses = [_address(function) if known else 0 for function in (sgemm, dgemm)]
                return Library(path, get, put, (_address(get), _address(put)), *addresses, wide=bool(wide))
    return None


def _has_wide_integers(get_config: Any) -> bool | None:
    """What the library says of itself; None where it does not say."""
    if get_config is None:
        return None
    get_config.restype = ctypes.c_char_p
    return b"USE64BITINT" in get_config()


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0 if function is not None else 0


def _paths() -> list[Path]:
    """OpenBLAS libraries mapped into this process (Linux), else the ones that NumPy's wheel carries.

    By the file's own name: Debian's openblas/libblas.so.3 only links to one, and limiting that one twice would keep it.
    """
    maps = Path("/proc/self/maps")
    if maps.exists():
        mapped = {Path(line.split(maxsplit=5)[-1].strip()) for line in maps.read_text().splitlines() if "/" in line}
        return sorted(path for path in mapped if "openblas" in path.name)
    package = Path(np.__file__).parent
    folders = (package.parent / "numpy.libs", package / ".dylibs")
    return sorted(path for folder in folders if folder.exists() for path in folder.glob("*openblas*"))
