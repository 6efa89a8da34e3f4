"""The one door to the device: arrays, kernels compiled on first use, launches on CuPy's current stream.

Kernels live in csrc/cuda, one file per family, each read with its headers in it. An instance such as
``embedding_fm<float, float, int, 4>`` of the file lookup.cu is compiled when it is first launched; CuPy keeps the
binary in its cache on disk. Every instance that the backend may ask for is named in ``instances``.
"""

from __future__ import annotations

import functools
import os
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cupy as xp  # pyright: ignore[reportMissingImports]
import numpy as np

INCLUDE = re.compile(r'#include "(.+)"')
OPTIONS = ("--std=c++17",)
THREADS = 256  # of a block, where a kernel does not say otherwise
TYPE_NAMES = {"float32": "float", "float64": "double", "int32": "int", "int64": "long long", "float16": "__half"}
TYPE_NAMES |= {"bfloat16": "__nv_bfloat16", "uint32": "uint32"}


class Compilation:
    """Seconds and number of the kernels compiled, or loaded from CuPy's cache, in this process."""

    seconds = 0.0
    kernels = 0
    folder = Path(os.environ.get("CUPY_CACHE_DIR") or Path.home() / ".cupy" / "kernel_cache")  # as CuPy has it


compilation = Compilation()


def description() -> str:
    """The device in use, the CUDA that its driver runs, and CuPy."""
    runtime = xp.cuda.runtime
    device, driver = runtime.getDeviceProperties(xp.cuda.Device().id)["name"].decode(), runtime.driverGetVersion()
    return f"{device}, driver for CUDA {driver // 1000}.{driver % 1000 // 10}, CuPy {xp.__version__}"


def sources() -> Path:
    """The folder of the .cu files: csrc/cuda of a source tree, or their copy in an installed package."""
    package = Path(__file__).parent
    tree = package.parents[2] / "csrc" / "cuda"
    return tree if tree.is_dir() else package / "source"


@functools.cache
def source(file: str) -> str:
    """The text of a .cu file with its own headers in it, each once; compilers name the lines of the separate files."""
    seen: set[str] = set()

    def text(name: str) -> str:
        seen.add(name)
        lines = [f'#line 1 "{name}"']
        for number, line in enumerate((sources() / name).read_text().splitlines(), 2):
            included = INCLUDE.fullmatch(line)
            if included is None:
                lines.append("" if line == "#pragma once" else line)
            elif included[1] not in seen:
                lines += [text(included[1]), f'#line {number} "{name}"']
        return "\n".join(lines)

    return text(file)


@functools.cache
def kernel(file: str, instance: str) -> Any:
    """The compiled kernel."""
    start = time.perf_counter()
    module = xp.RawModule(code=source(file), options=OPTIONS, name_expressions=(instance,))
    function = module.get_function(instance)
    compilation.seconds += time.perf_counter() - start
    compilation.kernels += 1
    return function


def launch(file: str, instance: str, blocks: int, *arguments: Any, threads: int = THREADS) -> None:
    """Queues a kernel on the current stream; no blocks: nothing to do.

    Arrays are passed as pointers, None as the null pointer, Python's integers as int64 and its floats as double.
    """
    if blocks:
        kernel(file, instance)((blocks,), (threads,), tuple(map(_argument, arguments)))


@functools.cache
def instance(name: str, *parameters: Any) -> str:
    """A kernel's name with its template parameters: dtypes, integers and truth values."""
    return f"{name}<{', '.join(map(_parameter, parameters))}>"


def here_or_there(number: Any) -> tuple[Any, Any]:
    """(number, None), or (0, the array of one element that holds it on the device)."""
    return (0, number) if isinstance(number, xp.ndarray) else (number, None)


def read_later(number: Any) -> Callable[[], float]:
    """Starts to copy a 0-d float64 array to the host beside the current stream; the call that is returned waits for it
    alone, not for what is queued on the stream from now on."""
    landing = np.frombuffer(xp.cuda.alloc_pinned_memory(8), np.float64, 1).reshape(())
    beside = _second_stream(xp.cuda.Device().id, threading.get_ident())
    beside.wait_event(xp.cuda.get_current_stream().record())
    number.get(stream=beside, out=landing, blocking=False)
    copied = beside.record()

    def wait(_kept: Any = number) -> float:
        copied.synchronize()
        return float(landing)

    return wait


@functools.cache
def _second_stream(_device: int, _thread: int) -> Any:
    return xp.cuda.Stream(non_blocking=True)


def blocks_for(threads: int, block: int = THREADS) -> int:
    """How many blocks hold so many threads."""
    return -(-threads // block)


def row_stride(array: Any) -> int:
    """Elements from one row to the next; 0 where there is no array."""
    return 0 if array is None else array.strides[0] // array.itemsize


def lanes_for(columns: int, vectors: int = 1) -> int:
    """How many threads share a row: a power of two, at most a warp's 32."""
    lanes = 1
    while lanes < 32 and lanes * vectors < columns:
        lanes *= 2
    return lanes


def column_vectors(columns: int, *arrays: Any) -> int:
    """4 where four columns of every row of the arrays (None: none) can be moved at once, else 1.

    Rows must start at multiples of four elements. double is not tuned.
    """
    for array in arrays:
        if array is None or array.size == 0:
            continue
        step = 4 * array.itemsize
        outer = any(stride % step for stride, size in zip(array.strides[:-1], array.shape, strict=False) if size > 1)
        if columns % 4 or outer or array.data.ptr % step or array.dtype == np.float64:
            return 1
    return 4 if columns % 4 == 0 and arrays[0].dtype != np.float64 else 1


def _parameter(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, str)):
        return TYPE_NAMES.get(str(value), str(value))
    return TYPE_NAMES[np.dtype(value).name]


def _argument(value: Any) -> Any:
    if value is None:
        return np.uintp(0)
    if isinstance(value, (bool, int)):
        return np.int64(value)
    return np.float64(value) if isinstance(value, float) else value
