"""What a call costs and gains outside of frameworks: embedding_fm, D = 16, ids checked unless said so.

    python -m benchmarks.hosts.calls [--rounds 7] [--json FILE]

In the core's environment. Of one sample of two fields, kernel included: the raw API, ctypes, fastfm_numba inside @njit
and from Python, and loops inside @njit that do the same sums. Of 4,096 samples of 26 fields and a million rows: the
same, and NumPy. In turns; libfastfm is what C, C++ and Rust call.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from numba import njit, prange, set_num_threads

import fastfm_core as ff
import fastfm_numba as fm
from benchmarks.timing import ratios, spread
from fastfm_core.bench.machine import Others, print_header, print_table, write_json
from fastfm_core.contract import Entries
from tests.hosts import abi

RANDOM = np.random.default_rng(0)
TABLE, LINEAR = RANDOM.normal(size=(100, 16)).astype(np.float32), np.zeros(100, np.float32)
IDS = np.array([[1, 2]])
FIRST, PAIR, SUMS = np.empty(1, np.float32), np.empty(1, np.float32), np.empty((1, 16), np.float32)
ROWS = np.empty((2, 16), np.float32)
ROWS_OF_LARGE = 1_000_000


@njit
def many(count, table, linear, ids, first, pair, sums, check):
    """``count`` calls from compiled code."""
    for _ in range(count):
        fm.embedding_fm(table, linear, ids, first, pair, sums, check=check)


@njit
def many_gathers(count, table, ids, out):
    """The same of embedding_gather."""
    for _ in range(count):
        fm.embedding_gather(table, ids, out)


def loops(count, table, linear, ids, first, pair, sums):
    """The same sums, written out."""
    for _ in range(count):
        for b in prange(ids.shape[0]):
            weight, total_pair = np.float32(0), np.float32(0)
            for f in range(ids.shape[1]):
                weight += linear[ids[b, f]]
            for d in range(table.shape[1]):
                total, squares = np.float32(0), np.float32(0)
                for f in range(ids.shape[1]):
                    number = table[ids[b, f], d]
                    total += number
                    squares += number * number
                sums[b, d] = total
                total_pair += np.float32(0.5) * (total * total - squares)
            first[b], pair[b] = weight, total_pair


serial_loops, parallel_loops = njit(loops), njit(parallel=True)(loops)


def numpys(table, linear, ids):
    """The same in NumPy."""
    e = table[ids]
    total = e.sum(axis=1)
    return linear[ids].sum(axis=1), 0.5 * (np.square(total) - np.square(e).sum(axis=1)).sum(axis=1), total


def repeated(call: Callable[[], object]) -> Callable[[int], None]:
    """A loop of Python's around it."""

    def run(count: int) -> None:
        for _ in range(count):
            call()

    return run


def cases() -> dict[str, Callable[[int], None]]:
    """What makes so many calls, by name."""
    entries, outputs = Entries(IDS.reshape(-1), 2), (FIRST, PAIR, SUMS)
    structures = (abi.matrix(TABLE), abi.matrix(LINEAR), abi.entries(IDS.reshape(-1), 2), None,
                  abi.FM(*map(abi.address, outputs)))  # fmt: skip
    passed = [abi.byref(each) if each is not None else None for each in structures]
    of_c = abi.library().fastfm_embedding_fm
    kernel = ff.kernels.embedding_fm
    return {
        "inside @njit": lambda count: many(count, TABLE, LINEAR, IDS, *outputs, True),
        "inside @njit, check=False": lambda count: many(count, TABLE, LINEAR, IDS, *outputs, False),
        "embedding_gather inside @njit": lambda count: many_gathers(count, TABLE, IDS, ROWS),
        "loops inside @njit": lambda count: serial_loops(count, TABLE, LINEAR, IDS, *outputs),
        "fastfm_numba from Python": repeated(lambda: many(1, TABLE, LINEAR, IDS, *outputs, True)),
        "ctypes, structures made before": repeated(lambda: of_c(*passed)),
        "ff.kernels": repeated(lambda: kernel(TABLE, LINEAR, entries, None, deep=False)),
        "ff.kernels, check=False": repeated(lambda: kernel(TABLE, LINEAR, entries, None, deep=False, check=False)),
    }


def large_cases() -> dict[str, tuple[int, Callable[[int], None]]]:
    """The same of a batch of 4,096 samples of 26 fields and a million rows: threads, and what makes so many calls."""
    table, linear = RANDOM.normal(size=(ROWS_OF_LARGE, 16)).astype(np.float32), np.zeros(ROWS_OF_LARGE, np.float32)
    ids = RANDOM.integers(0, ROWS_OF_LARGE, (4096, 26))
    outputs = np.empty(4096, np.float32), np.empty(4096, np.float32), np.empty((4096, 16), np.float32)
    entries, kernel = Entries(ids.reshape(-1), 26), ff.kernels.embedding_fm
    ours = {
        "libfastfm, inside @njit": lambda count: many(count, table, linear, ids, *outputs, True),
        "ff.kernels": repeated(lambda: kernel(table, linear, entries, None, deep=False)),
    }
    threaded = [(f"{name}, {n} thread{'s' * (n > 1)}", (n, run)) for name, run in ours.items() for n in (1, 2)]
    return dict(threaded) | {
        "loops inside @njit, 1 thread": (1, lambda count: serial_loops(count, table, linear, ids, *outputs)),
        "loops inside @njit, prange, 2 threads": (2, lambda count: parallel_loops(count, table, linear, ids, *outputs)),
        "NumPy, 1 thread": (1, repeated(lambda: numpys(table, linear, ids))),
    }


def measured(cases: dict[str, tuple[int, Callable[[int], None]]], rounds: int) -> dict[str, list[float]]:
    """Seconds a call by case and round, in turns of a tenth of a second."""
    counts, seconds = {}, {name: [] for name in cases}
    for turn in range(rounds + 1):
        for name, (threads, run) in cases.items():
            ff.set_num_threads(threads)
            if turn == 0:
                run(2)  # compiles
                start = time.perf_counter()
                run(2)
                counts[name] = max(2, int(0.2 / (time.perf_counter() - start)))
            start = time.perf_counter()
            run(counts[name])
            if turn:
                seconds[name].append((time.perf_counter() - start) / counts[name])
    return seconds


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    set_num_threads(2)
    print_header("embedding_fm: one sample of two fields, and 4,096 samples of 26 fields and a million rows, D = 16")
    others = Others()
    tiny = measured({name: (1, run) for name, run in cases().items()}, options.rounds)
    print_table(("one sample, one thread", "ns"), [(name, spread(found, 1e9, 0)) for name, found in tiny.items()])
    large = measured(large_cases(), options.rounds)
    over = large["libfastfm, inside @njit, 2 threads"]
    rows = [(name, spread(found, 1e3, 3), spread(ratios(found, over))) for name, found in large.items()]
    print_table(("4,096 samples", "ms", "over libfastfm inside @njit, 2 threads"), rows)
    print(f"Other processes: {others.cores():.2f} cores.")
    write_json(options.json, {"tiny": tiny, "large": large})


if __name__ == "__main__":
    main()
