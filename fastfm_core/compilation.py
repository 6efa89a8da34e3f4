"""How kernels are compiled: once per machine, version and source text, and never behind the user's back.

Two rooms compile: the numba backend, and ``data.text``, which turns text into ids. Numba's own cache notices a change
of the file a kernel stands in, but not of the helpers it calls; so the cache's path carries the package's version and
a hash of every source file of both. No fast-math: sums keep their order.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numba.extending
from numba.core import event

from fastfm_core import __version__
from fastfm_core.folders import user_cache

ROOMS = ("backends/numba_cpu", "data/text", "data/text/numba_cpu")


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile for nopython mode on first call, with the GIL released and the result cached on disk."""
    users = numba.config.CACHE_DIR  # type: ignore[attr-defined]
    numba.config.CACHE_DIR = str(compilation.folder)  # type: ignore[attr-defined]
    try:
        return numba.njit(nogil=True, cache=True, error_model="numpy", boundscheck=False)(function)
    finally:
        numba.config.CACHE_DIR = users  # type: ignore[attr-defined]


def helper(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that kernels call and that is inlined into them; it is cached with its callers."""
    return numba.njit(nogil=True, error_model="numpy", boundscheck=False, forceinline=True)(function)


def intrinsic(function: Any) -> Any:
    """Numba's decorator, whose product is called without the typing context that the function takes first."""
    return numba.extending.intrinsic(function)


class Compilation(event.Listener):
    """What this process has compiled: ``kernels`` specialisations in ``seconds``; 0 when all came from ``folder``.

    Adds up the outermost of each thread's nested compile events that concern this package's functions.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.kernels = 0
        self.folder = _cache_folder()
        self._started: dict[int, list[float]] = {}

    def on_start(self, event: Any) -> None:
        self._started.setdefault(threading.get_ident(), []).append(time.perf_counter())

    def on_end(self, event: Any) -> None:
        nested = self._started[threading.get_ident()]
        started = nested.pop()
        module = event.data["dispatcher"].py_func.__module__ or ""  # code that is exec'd may have none
        if not nested and module.startswith("fastfm_core."):
            self.seconds += time.perf_counter() - started
            self.kernels += 1


def _source_hash() -> str:
    digest = hashlib.sha256()
    for room in ROOMS:
        for path in sorted((Path(__file__).parent / room).glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _cache_folder() -> Path:
    """A folder in the user's cache, or a private one below the temporary folder where that cannot be written."""
    name = f"{__version__}-{_source_hash()}"
    folder = user_cache() / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="fastfm_core-")) / name


compilation = Compilation()
event.register("numba:compile", compilation)
