"""Bugs planted in the kernels of csrc/cuda, and ``python -m gpu.mutants <mode>``: which of them their checks notice.

Each bug is run in a process of its own, a copy of one that has imported everything. What it said is printed as JSON.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import emulated_cupy

with emulated_cupy.installed():
    from fastfm_core.backends.cuda import device, instances

    from .mutant_checks import CHECKS

from emulated_cupy.raw_module import settings

SEEDS = {"plain": 3, "address": 1, "thread": 1}
WORKERS = os.cpu_count() or 1


class Mutant(NamedTuple):
    """``text`` of a file, found once, is replaced; then ``check`` says something like ``said`` in ``mode``."""

    name: str
    file: str
    text: str
    replacement: str
    check: str
    said: str = "AssertionError"
    mode: str = "plain"


RACE = "ThreadSanitizer: data race"
LOST = "AssertionError|exit status -"  # a place that may be anywhere in memory
MUTANTS = [
    Mutant(
        "digits are counted before all counters are 0", "plan.cu",
        "found[threadIdx.x] = 0;\n    __syncthreads();", "found[threadIdx.x] = 0;", "plan",
    ),
    Mutant(
        "counts are read before all are counted", "plan.cu",
        "    __syncthreads();\n    counts[threadIdx.x * tiles", "    counts[threadIdx.x * tiles", "plan",
    ),
    Mutant(
        "the last thread's sum is read before it is written", "plan.cu",
        "        __syncthreads();\n        before = last[0];", "        before = last[0];", "plan", LOST,
    ),
    Mutant(
        "lanes without a pair skip the match", "plan.cu",
        "equals = __match_any_sync(0xffffffffu, digit)", "equals = exists ? __match_any_sync(0xffffffffu, digit) : 0u",
        "plan", "meets the one of|left|deadlock",
    ),
    Mutant(
        "half the bits of a digit", "plan.cu",
        "digit = exists ? key[k] >> shift & (digits - 1)", "digit = exists ? key[k] >> shift & (digits / 2 - 1)",
        "plan", LOST,
    ),
    Mutant(
        "equal keys in reverse order", "plan.cu",
        "before = equals & ((1u << lane) - 1u)", "before = equals & ~((2u << lane) - 1u)", "plan",
    ),
    Mutant(
        "counters of an earlier use", "plan.cu",
        "for (int w = 0; w < warps; ++w) seen[w * digits + threadIdx.x] = 0;", "", "plan", LOST,
    ),
    Mutant(
        "one key beyond the last", "plan.cu",
        "if (i < count) atomicAdd", "if (i <= count) atomicAdd", "plan", "use-after-poison", "address",
    ),
    Mutant(
        "a warp's counter is read while it is written", "plan.cu",
        "seen[warp * digits + digit] : 0u;\n        __syncwarp();", "seen[warp * digits + digit] : 0u;", "plan",
        RACE, "thread",
    ),
    Mutant(
        "rows that cross chunks are finished in each", "gradient.cuh",
        "if (holds && !from_before && !to_behind) consumer", "if (holds) consumer", "update",
    ),
    Mutant(
        "rows that cross chunks are finished in each, at once", "gradient.cuh",
        "if (holds && !from_before && !to_behind) consumer", "if (holds) consumer", "update", RACE, "thread",
    ),
    Mutant(
        "a chunk without its last entry", "gradient.cuh",
        "count - begin > chunk ? begin + chunk : count", "count - begin > chunk ? begin + chunk - 1 : count", "update",
    ),
    Mutant(
        "the key behind the last", "gradient.cuh",
        "goes_on = keys && end < count", "goes_on = keys && end <= count", "update", "use-after-poison", "address",
    ),
    Mutant(
        "all groups of a warp share one mask", "common.cuh",
        "mask = ones << (threadIdx.x & 31u & ~unsigned(of - 1));", "mask = 0xffffffffu;", "lookup",
        "meets the one of|left|deadlock",
    ),
    Mutant(
        "parts are joined before all are there", "columns.cuh",
        "held[threadIdx.x * V + k] = parts[k];\n        __syncthreads();", "held[threadIdx.x * V + k] = parts[k];",
        "column_sums",
    ),
    Mutant(
        "one part is not written", "columns.cuh",
        "for (int k = 0; k < V; ++k) held[threadIdx.x", "for (int k = 1; k < V; ++k) held[threadIdx.x", "bias_gradient",
    ),
    Mutant(
        "parts are overwritten while they are read", "columns.cuh",
        "done(first_column + own, joined);\n        }\n        __syncthreads();",
        "done(first_column + own, joined);\n        }", "batch_norm", RACE, "thread",
    ),
    Mutant(
        "threads without a column walk its rows", "columns.cuh",
        "low = row < apart && column < columns ?", "low = row < apart ?", "column_sums", "use-after-poison", "address",
    ),
    Mutant(
        "a sum by atomics", "dense.cu",
        "partial[tile.piece * columns + column] = sum;", "atomicAdd(&partial[tile.piece * columns + column], sum);",
        "bias_gradient", "deleted function",
    ),
    Mutant(
        "shared memory for one column a thread", "norm.cu",
        "SHARED(T, held, 256 * V);", "SHARED(T, held, 256);", "batch_norm", "use-after-poison", "address",
    ),
    Mutant(
        "vectors where rows have any length", "lookup.cu",
        "deep + b * deep_stride", "deep + b * (fields * dim + numbers)", "lookup", "misaligned address", "address",
    ),
    Mutant(
        "a bag's first entry is the last bag's", "lookup.cu",
        "if (offsets[middle] <= i)", "if (offsets[middle] < i)", "bags",
    ),
    Mutant("the last of equal numbers wins", "lookup.cu", "term > largest ||", "term >= largest ||", "bags"),
    Mutant(
        "an offset of 32 bits", "lookup.cu",
        "load<V>(table + entries.row(i) * table_stride + j));\n        store(out",
        "load<V>(table + int(entries.row(i)) * int(table_stride) + j));\n        store(out",
        "far_row", "signed integer overflow", "address",
    ),
    Mutant(
        "threads without a sample leave before a barrier", "loss.cu",
        "    const double mass = mass_of(sums, parts, mean);\n    const int64 b = thread_number();\n",
        "    const int64 b = thread_number();\n    if (b >= samples) return;\n"
        "    const double mass = mass_of(sums, parts, mean);\n",
        "sample_losses", "left",
    ),
    Mutant("a block's last warp is forgotten", "loss.cu", "warp < 8", "warp < 7", "sample_losses"),
    Mutant(
        "weights that nobody has stored", "loss.cu",
        "sums[blockIdx.x] = loss, sums[gridDim.x + blockIdx.x] = weight;", "sums[blockIdx.x] = loss;", "sample_losses",
    ),
    Mutant(
        "every block writes the mean", "loss.cu",
        "if (thread_number() == 0) *mean", "if (threadIdx.x == 0) *mean", "sample_losses", RACE, "thread",
    ),
    Mutant(
        "a second sum starts while the first is read", "loss.cu",
        "    __syncthreads();\n    x = Lanes(32).sum(x);", "    x = Lanes(32).sum(x);", "sample_losses", RACE, "thread",
    ),
    Mutant(
        "a warp adds up while its lanes are in smaller groups", "loss.cu",
        "    __syncthreads();\n    x = Lanes(32).sum(x);", "    x = Lanes(32).sum(x);", "group_losses",
        "meets the one of|left|deadlock",
    ),
    Mutant(
        "lanes without a pair do not vote", "pair.cu",
        "found = __ballot_sync(0xffffffffu, own);", "found = p < count ? __ballot_sync(0xffffffffu, own) : 0u;",
        "pairs", "left|deadlock",
    ),
    Mutant(
        "one product beyond the last", "pair.cu",
        "if (b >= samples) return;\n    const Fields<T> e{vectors, stride, dim};\n    const T *const",
        "if (b > samples) return;\n    const Fields<T> e{vectors, stride, dim};\n    const T *const",
        "pairs", "use-after-poison", "address",
    ),
]  # fmt: skip


def try_mutant(mutant: Mutant) -> None:
    """Its check, on copies of the kernels with the bug in them."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(device.sources(), Path(folder) / "cuda"))
        before = (copy / mutant.file).read_text()
        if before.count(mutant.text) != 1:
            raise LookupError(f"{mutant.file} has {before.count(mutant.text)} times: {mutant.text}")
        (copy / mutant.file).write_text(before.replace(mutant.text, mutant.replacement))
        device.sources = lambda: copy
        try_check(mutant.check)


def try_check(name: str) -> None:
    """A check under several orders of threads."""
    check = CHECKS[name]
    instances.INSTANCES.clear()
    instances.INSTANCES[check.file] = check.instances
    for seed in range(SEEDS[settings.mode]):
        settings.seed = 1000 * seed
        check.run()


def in_processes(jobs: dict[str, Callable[[], None]]) -> dict[str, str]:
    """What each job writes to stderr in a copy of this process, its traceback included, and how it ends."""
    said: dict[str, str] = {}
    running: dict[int, tuple[str, Path]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, job) in enumerate(jobs.items()):
            if len(running) == WORKERS:
                said.update([_ended(running)])
            path = Path(folder) / str(number)
            child = os.fork()
            if child == 0:
                os.dup2(os.open(path, os.O_CREAT | os.O_WRONLY), 2)
                job_in_child(job)
            running[child] = name, path
        while running:
            said.update([_ended(running)])
    return said


def job_in_child(job: Callable[[], None]) -> None:
    """Runs it and ends the process."""
    try:
        job()
    except BaseException as error:
        os.write(2, f"{type(error).__name__}: {error}".encode())
    os._exit(0)


def _ended(running: dict[int, tuple[str, Path]]) -> tuple[str, str]:
    child, status = os.wait()
    name, path = running.pop(child)
    code = os.waitstatus_to_exitcode(status)
    return name, path.read_text(errors="replace") + (f"\nexit status {code}" if code else "")


def main(mode: str) -> None:
    """Every check that the mode's bugs have, as it is, and every bug."""
    mutants = [mutant for mutant in MUTANTS if mutant.mode == mode]
    jobs: dict[str, Callable[[], None]] = {}
    for name in sorted({mutant.check for mutant in mutants}):
        jobs[name] = lambda name=name: try_check(name)
    for mutant in mutants:
        jobs[mutant.name] = lambda mutant=mutant: try_mutant(mutant)
    print(json.dumps(in_processes(jobs)))


if __name__ == "__main__":
    main(sys.argv[1])
