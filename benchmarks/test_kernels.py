"""pytest-benchmark suite of the kernels: pytest benchmarks/test_kernels.py --benchmark-columns=median,min,max,rounds

``fastfm-core bench --all`` times the same; this suite has pytest-benchmark's columns, files and options. Each case is
checked against the reference, then timed; before every round its ceiling is timed once on another batch, so that both
see the same machine and neither finds the other's rows in cache. extra_info holds the ceiling's name, its median in
microseconds and the ratio of the two medians, and a table of them is printed at the end.
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
from fastfm_core.bench.cases import CASES, Inputs, KernelCase, all_inputs
from fastfm_core.bench.checks import mistake, truth_of
from fastfm_core.bench.run import ready
from fastfm_core.bench.timing import Call

ROUNDS = 20


@pytest.fixture(scope="module")
def batches() -> list[Inputs]:
    return all_inputs()


@pytest.mark.parametrize("kernel_case", CASES, ids=lambda kernel_case: kernel_case.label)
def test_kernel(benchmark: Any, batches: list[Inputs], kernel_case: KernelCase) -> None:
    backend = backends.get(os.environ.get("FASTFM_BACKEND", "auto"))
    kernel = getattr(backend, kernel_case.kernel)
    wrong = mistake(kernel, kernel_case, batches[0], truth_of(kernel_case, batches[0]))
    assert wrong is None, wrong
    turn = itertools.cycle(batches)
    least: list[float] = []

    def setup() -> tuple[tuple[Call], dict[str, Any]]:
        inputs = next(turn)
        start = time.perf_counter()
        inputs.ceiling(kernel_case.ceiling)
        least.append(time.perf_counter() - start)
        return (ready(kernel, kernel_case, turn),), {}

    benchmark.pedantic(lambda call: call(), setup=setup, rounds=ROUNDS, warmup_rounds=3)
    floor = statistics.median(least)
    benchmark.extra_info |= {
        "backend": backend.name,
        "ceiling": kernel_case.ceiling,
        "ceiling_us": f"{floor * 1e6:.0f}",
        "ratio": f"{benchmark.stats.stats.median / floor:.2f}",
    }
