"""pytest-benchmark suite of the kernels: pytest benchmarks/test_kernels.py --benchmark-columns=median,min,max,rounds

Each case is checked against the reference, then timed; before every round its ceiling is timed once on another batch,
so that both see the same machine and neither finds the other's rows in cache. extra_info holds the ceiling's name, its
median in microseconds and the ratio of the two medians, and a table of them is printed at the end.
FASTFM_BACKEND chooses the backend (default: auto).
"""

from __future__ import annotations

import itertools
import os
import statistics
import time
from typing import Any

import pytest

from fastfm_core import backends
from fastfm_core.contract import KERNELS
from kernel_cases import CASES, Inputs, KernelCase, all_inputs, check
from timing import IDLE

ROUNDS = 20


@pytest.fixture(scope="module")
def batches() -> list[Inputs]:
    return all_inputs()


def test_every_kernel_has_a_case() -> None:
    assert {kernel_case.kernel for kernel_case in CASES} == set(KERNELS)


@pytest.mark.parametrize("kernel_case", CASES, ids=lambda kernel_case: kernel_case.label)
def test_kernel(benchmark: Any, batches: list[Inputs], kernel_case: KernelCase) -> None:
    backend = backends.get(os.environ.get("FASTFM_BACKEND", "auto"))
    kernel = getattr(backend, kernel_case.kernel)
    check(backend, kernel_case, batches[0])
    turn = itertools.cycle(batches)
    least: list[float] = []

    def setup() -> tuple[tuple[Any, ...], dict[str, Any]]:
        inputs = next(turn)
        start = time.perf_counter()
        inputs.ceiling(kernel_case.ceiling)
        least.append(time.perf_counter() - start)
        arguments = kernel_case.arguments(next(turn))
        if kernel_case.ceiling == "gemm":  # BLAS's own threads spin on for a while: let them sleep, then wake ours
            time.sleep(IDLE)
            kernel(*arguments, **kernel_case.keywords)
        return arguments, kernel_case.keywords

    benchmark.pedantic(kernel, setup=setup, rounds=ROUNDS, warmup_rounds=3)
    floor = statistics.median(least)
    benchmark.extra_info |= {
        "backend": backend.name,
        "ceiling": kernel_case.ceiling,
        "ceiling_us": f"{floor * 1e6:.0f}",
        "ratio": f"{benchmark.stats.stats.median / floor:.2f}",
    }
