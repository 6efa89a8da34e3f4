"""Matrix products: NumPy's BLAS on one thread a call, cut on the package's own pool.

Two thread pools that take turns fight for the cores, so BLAS is held to one thread while we run, and restored after.
The cuts depend on the shape alone, so the bits of a product do not depend on the number of threads.
``matmul`` is NumPy's product on pieces of the Python pool. ``native_matmul`` calls NumPy's BLAS itself from the native
pool, where the extension is built and OpenBLAS was found; elsewhere it is ``matmul``. A BLAS whose thread count cannot
be set runs uncut on its own threads. ``description()`` says which it is.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from fastfm_core import threads
from fastfm_core.backends import openblas

_SMALL_PRODUCT = 1 << 22  # multiply-adds below which handing half to another thread costs more than it saves
_SMALL_NATIVE_PRODUCT = 1 << 20  # the same on the native pool, whose threads meet in less than a microsecond
_MOST_PIECES = 16
_ROWS_A_PIECE = 512  # each piece packs the right matrix anew
_MOST_PARTIALS = 4
_SHORTEST_PARTIAL = 128  # terms of a partial sum, so that adding up partial products stays cheap beside them


def matmul(left: np.ndarray, right: np.ndarray, out: np.ndarray) -> np.ndarray:
    """left [M, K] @ right [K, N] into out [M, N]; transposed views are passed to BLAS as they are."""
    rows = out.shape[0]
    pieces = row_pieces(rows, left.shape[1], out.shape[1]) if openblas.libraries() else 1
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


def native_matmul(left: np.ndarray, right: np.ndarray, out: np.ndarray) -> np.ndarray:
    """``matmul`` on the native pool. Arrays that BLAS cannot take as they lie go to NumPy, which copies them."""
    product = _native_product()
    if product is not None:
        inner, columns = right.shape
        if product(left, right, out, *native_cut(out.shape[0], inner, columns)):
            return out
    return matmul(left, right, out)


def row_pieces(rows: int, inner: int, columns: int, small: int = _SMALL_PRODUCT) -> int:
    """Into how many row blocks a product is cut: a power of two, of at least 96 rows each, by shape alone."""
    if rows < 192 or rows * inner * columns < small:
        return 1
    return min(max(2, 1 << (rows // _ROWS_A_PIECE).bit_length() >> 1), _MOST_PIECES)


def native_cut(rows: int, inner: int, columns: int) -> tuple[int, int]:
    """(row blocks, blocks of the summed index): rows where there are enough, else a long sum becomes partial sums.

    The gradient of a layer's weights, such as [400, 4096] @ [4096, 400], has few rows and a long sum. Products with
    more rows are cut there however long the sum is, for partial products take memory.
    """
    pieces = row_pieces(rows, inner, columns, _SMALL_NATIVE_PRODUCT)
    enough = pieces > 2 or (pieces == 2 and inner < 4 * rows)
    if enough or inner < 2 * _SHORTEST_PARTIAL or rows * inner * columns < _SMALL_NATIVE_PRODUCT:
        return pieces, 1
    return 1, min(1 << (inner // _SHORTEST_PARTIAL).bit_length() >> 1, _MOST_PARTIALS)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold every BLAS of this process that we can control to one thread. Nests; the outermost exit restores."""
    limit = _limit()
    limit.hold_blas()
    try:
        yield
    finally:
        limit.release_blas()


def description() -> str:
    """One line for ``fastfm-core info``: which BLAS was found and how products are cut on our own pool."""
    names = ", ".join(library.path.name for library in openblas.libraries())
    if _native_product() is not None:
        return f"{names}; one thread a call, from the native pool: cut over rows, or over long sums of few rows"
    if names:
        return f"{names}; one thread a call, products cut over rows on the package's pool"
    return "no OpenBLAS found; products run uncut in NumPy, on as many threads as its BLAS has of its own"


class _PythonLimit:
    """Counts who needs BLAS on one thread; the native extension has the same in C++ (``fastfm/blas_limit.hpp``)."""

    def __init__(self) -> None:
        self.depth = 0
        self.restore: list[int] = []
        self.lock = threading.Lock()

    def hold_blas(self) -> None:
        with self.lock:
            self.depth += 1
            if self.depth == 1:
                self.restore = [library.get_threads() for library in openblas.libraries()]
                for library in openblas.libraries():
                    library.set_threads(1)

    def release_blas(self) -> None:
        with self.lock:
            self.depth -= 1
            if self.depth == 0:
                self._put_back()

    def start_afresh(self) -> None:
        """In a forked child: another thread's limit ends here, for that thread does not live on."""
        self.lock = threading.Lock()
        if self.depth:
            self.depth = 0
            self._put_back()

    def _put_back(self) -> None:
        for library, count in zip(openblas.libraries(), self.restore, strict=True):
            library.set_threads(count)


@functools.cache
def _native() -> Any:
    """The native extension, told of every OpenBLAS; None where it is not built. One that is broken raises."""
    if importlib.util.find_spec("fastfm_core._native") is None:
        return None
    native = importlib.import_module("fastfm_core._native")
    product = openblas.product()
    native.set_blas(*(product or (0, 0, False)), [library.thread_functions for library in openblas.libraries()])
    return native


@functools.cache
def _native_product() -> Any:
    """The extension's ``matmul``, where it has a BLAS to call."""
    return _native().matmul if _native() is not None and openblas.product() is not None else None


@functools.cache
def _limit() -> Any:
    """Who holds BLAS to one thread: always the same one, for two that did not know of each other would undo it."""
    if _native() is not None:
        return _native()
    limit = _PythonLimit()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=limit.start_afresh)
    return limit
