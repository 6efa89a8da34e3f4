"""What the experiments share: small C++ loops compiled for this CPU, tables and ids, timings in turns on one thread.

A script gives its sides as calls. They run in turns, and the table shows each side's time and its ratio to the first
side within a round. What runs on one thread is timed by that thread's own clock, which stands still while other
processes have the core. Needs g++.
"""

from __future__ import annotations

import argparse
import ctypes
import functools
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastfm_core.backends.memory import aligned_zeros
from fastfm_core.bench.machine import print_header, print_table
from fastfm_core.bench.timing import Call, interleave
from fastfm_core.bench.workload import zipf

HEADERS = Path(__file__).parents[2] / "csrc/include"
ROWS, FIELDS, BATCH = 1 << 23, 26, 16384  # a table of 512 MiB at 64 bytes a row
PRELUDE = """
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>
using std::int32_t; using std::int64_t;
typedef float Line __attribute__((vector_size(64)));
static inline Line load(const float* from) { Line line; std::memcpy(&line, from, 64); return line; }
static inline void store(float* to, const Line& line) { std::memcpy(to, &line, 64); }
static inline void prefetch(const float* from) { __builtin_prefetch(from, 0, 2); }
static inline float total(const Line& line) { float sum = 0; for (int l = 0; l < 16; ++l) sum += line[l]; return sum; }
"""


def build(text: str, changed: tuple[str, str, str] | None = None) -> Any:
    """The C++ functions of a text, which are declared extern "C" and have the prelude before them.

    The package's headers can be included. changed: (header, what stands in it once, what to put in its place)
    """
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder, "lab.cpp"), Path(folder, "lab.so")
        source.write_text(PRELUDE + text)
        if changed:
            _change(Path(folder), *changed)
        flags = ["-std=c++17", "-O3", "-march=native", "-fno-math-errno", "-Wno-psabi", "-shared", "-fPIC", "-pthread"]
        places = [f"-I{folder}", f"-I{HEADERS}"]
        subprocess.run(["g++", *flags, *places, str(source), "-o", str(library)], check=True)
        return ctypes.CDLL(str(library))


def _change(folder: Path, header: str, old: str, new: str) -> None:
    """Puts a copy of a header that differs in one place where it is found first."""
    text = (HEADERS / header).read_text()
    if text.count(old) != 1:
        sys.exit(f"{header} does not have {old!r} once: the experiment is out of date")
    place = folder / header
    place.parent.mkdir()
    place.write_text(text.replace(old, new))


def call(function: Any, *arguments: Any) -> Call:
    """The function with these arguments: arrays become pointers, whole numbers int64, other numbers float."""
    function.restype = None
    taken = [
        ctypes.c_void_p(a.ctypes.data)
        if isinstance(a, np.ndarray)
        else (ctypes.c_int64(a) if isinstance(a, int) else ctypes.c_float(a))
        for a in arguments
    ]
    return functools.partial(_keep, function, taken, arguments)


def _keep(function: Any, taken: Sequence[Any], arguments: Sequence[Any]) -> None:
    """Calls it; the arrays live as long as the call."""
    function(*taken)


def table(rows: int = ROWS, dim: int = 16, line: int = 0) -> np.ndarray:
    """[rows, dim] float32 on a cache line: 4,096 random rows again and again."""
    made = aligned_zeros((rows, dim), np.float32, line)
    made.reshape(-1, 4096, dim)[:] = np.random.default_rng(0).standard_normal((4096, dim), dtype=np.float32)
    return made


@functools.cache
def draw_ids(kind: str, count: int = BATCH * FIELDS, rows: int = ROWS) -> np.ndarray:
    """[count] int32, "uniform" or "zipf"."""
    draw = np.random.default_rng(1)
    return (draw.integers(0, rows, count) if kind == "uniform" else zipf(draw, rows, count)).astype(np.int32)


def several(work: Callable[[np.ndarray], Call], kind: str, batches: int = 4) -> Callable[[], Call]:
    """A side that takes another batch of ids each time, so that no row is left in the cache by the last one."""
    cut = np.split(draw_ids(kind, batches * BATCH * FIELDS), batches)
    calls = [work(np.ascontiguousarray(ids)) for ids in cut]
    turn = iter(range(1 << 30))
    return lambda: calls[next(turn) % batches]


def same(*results: np.ndarray) -> None:
    """Stops the experiment where two sides do not compute the same."""
    for other in results[1:]:
        scale = np.abs(results[0]).max()
        if not np.abs(other - results[0]).max() <= 1e-5 * scale:
            sys.exit("the sides differ: nothing is timed")


class Lab:
    """The experiment's command line and printing. clock: ``time.perf_counter`` where several threads work."""

    def __init__(self, documentation: str, rounds: int = 41, clock: Callable[[], float] = time.thread_time) -> None:
        self.clock = clock
        form = argparse.RawDescriptionHelpFormatter
        parser = argparse.ArgumentParser(description=documentation, formatter_class=form)
        parser.add_argument("--rounds", type=int, default=rounds)
        self.rounds = parser.parse_args().rounds
        print_header(documentation.splitlines()[0])

    def show(self, title: str, sides: Mapping[str, Callable[[], Call]]) -> None:
        """Times the sides in turns; ratios are to the first."""
        seconds = interleave(sides, self.rounds, clock=self.clock)
        base = next(iter(seconds.values()))
        rows = [
            [name, spread([1e3 * s for s in taken], 3), spread([s / b for s, b in zip(taken, base, strict=True)])]
            for name, taken in seconds.items()
        ]
        print_table([title, "ms (least-largest)", "over the first, by round"], rows)


def spread(values: Sequence[float], digits: int = 2) -> str:
    """ "median (least-largest)"."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def always(work: Call) -> Callable[[], Call]:
    """A side that makes the same call every time."""
    return lambda: work
