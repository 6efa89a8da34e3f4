"""Matrix products: NumPy's BLAS on one thread a call, cut over rows on the package's own pool.

Two thread pools that take turns fight for the cores, so BLAS is held to one thread while we run, and restored after.
The cuts depend on the shape alone, so the bits of a product do not depend on the number of threads.
A BLAS whose thread count cannot be set runs uncut on its own threads; ``description()`` says so.
"""

from __future__ import annotations

import ctypes
import functools
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from fastfm_core import threads

_SMALL_PRODUCT = 1 << 22  # multiply-adds below which handing half to another thread costs more than it saves
_MOST_PIECES = 16


def matmul(left: np.ndarray, right: np.ndarray, out: np.ndarray) -> np.ndarray:
    """left [M, K] @ right [K, N] into out [M, N]; transposed views are passed to BLAS as they are."""
    rows = out.shape[0]
    pieces = row_pieces(rows, left.shape[1], out.shape[1]) if _controls() else 1
    if pieces == 1:
        with one_blas_thread():
            return np.matmul(left, right, out=out)
    size = -(-rows // pieces)

    def piece(p: int) -> None:
        cut = slice(p * size, (p + 1) * size)
        np.matmul(left[cut], right, out=out[cut])

    with one_blas_thread():
        threads.run(pieces, piece)
    return out


def row_pieces(rows: int, inner: int, columns: int) -> int:
    """Into how many row blocks a product is cut: a power of two, of at least 96 rows each, by shape alone."""
    if rows < 192 or rows * inner * columns < _SMALL_PRODUCT:
        return 1
    return min(max(2, 1 << (rows // 256).bit_length() >> 1), _MOST_PIECES)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold every BLAS of this process that we can control to one thread. Nests; the outermost exit restores."""
    global _depth, _restore
    with _lock:
        _depth += 1
        if _depth == 1:
            _restore = [get() for get, _ in _controls()]
            for _, put in _controls():
                put(1)
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0:
                for (_, put), count in zip(_controls(), _restore, strict=True):
                    put(count)


def description() -> str:
    """One line for ``fastfm-core info``: which BLAS was found and whether products are cut on our own pool."""
    names = ", ".join(path.name for path in _libraries()) or "none found"
    if _controls():
        return f"{names}; one thread a call, products cut over rows on the package's pool"
    return f"{names}; its thread count cannot be set, so products run uncut on its own threads"


def _start_afresh() -> None:
    """In a forked child: another thread's limit ends here, for that thread does not live on."""
    global _depth, _lock
    _lock = threading.Lock()
    if _depth:
        _depth = 0
        for (_, put), count in zip(_controls(), _restore, strict=True):
            put(count)


_depth = 0
_restore: list[int] = []
_lock = threading.Lock()


@functools.cache
def _controls() -> list[tuple[Callable[[], int], Callable[[int], object]]]:
    """(get, set) of the thread count of each OpenBLAS loaded; NumPy's wheels prefix and suffix the symbols."""
    found = []
    for path in _libraries():
        library = ctypes.CDLL(str(path))
        for prefix in ("scipy_openblas", "openblas"):
            for suffix in ("64_", "", "_64"):
                get = getattr(library, f"{prefix}_get_num_threads{suffix}", None)
                put = getattr(library, f"{prefix}_set_num_threads{suffix}", None)
                if get and put and (get, put) not in found:
                    get.restype, put.argtypes, put.restype = ctypes.c_int, [ctypes.c_int], None
                    found.append((get, put))
    return found


@functools.cache
def _libraries() -> list[Path]:
    """OpenBLAS libraries mapped into this process (Linux), else the ones that NumPy's wheel carries."""
    maps = Path("/proc/self/maps")
    if maps.exists():
        mapped = {line.split(maxsplit=5)[-1].strip() for line in maps.read_text().splitlines() if "openblas" in line}
        return sorted(Path(name) for name in mapped if name.startswith("/"))
    package = Path(np.__file__).parent
    folders = (package.parent / "numpy.libs", package / ".dylibs")
    return sorted(path for folder in folders if folder.exists() for path in folder.glob("*openblas*"))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_afresh)
