"""pytest-benchmark suite of the kernels: pytest benchmarks/test_kernels.py --benchmark-columns=median,min,max,rounds

Each case is checked against the reference, then timed; before every round its ceiling is timed once, so that both see
the same machine. extra_info holds the ceiling's name, its median in microseconds and the ratio of the two medians.
FASTFM_BACKEND chooses the backend (default: auto).
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import ceilings
import numpy as np
import pytest
from kernel_cases import CASES, HIDDEN, Inputs, KernelCase, check
from workload import BATCH

from fastfm_core import backends
from fastfm_core.contract import KERNELS

ROUNDS = 20


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    return Inputs()


@pytest.fixture(scope="module")
def ceiling(inputs: Inputs) -> dict[str, Callable[[], object]]:
    target = np.empty_like(inputs.hidden)
    product = np.empty((BATCH, HIDDEN), np.float32)
    return {
        "gather": lambda: ceilings.gather(inputs.table, inputs.ids),
        "bags": lambda: ceilings.gather(inputs.table, inputs.loose.ids),
        "stream": lambda: ceilings.stream(inputs.hidden, target),
        "gemm": lambda: np.matmul(inputs.hidden, inputs.square, out=product),
    }


def test_every_kernel_has_a_case() -> None:
    assert {kernel_case.kernel for kernel_case in CASES} == set(KERNELS)


@pytest.mark.parametrize("kernel_case", CASES, ids=lambda kernel_case: kernel_case.label)
def test_kernel(
    benchmark: Any, inputs: Inputs, ceiling: dict[str, Callable[[], object]], kernel_case: KernelCase
) -> None:
    backend = backends.get(os.environ.get("FASTFM_BACKEND", "auto"))
    check(backend, kernel_case, inputs)
    arguments = kernel_case.arguments(inputs)
    least: list[float] = []

    def setup() -> None:
        start = time.perf_counter()
        ceiling[kernel_case.ceiling]()
        least.append(time.perf_counter() - start)

    kernel = getattr(backend, kernel_case.kernel)
    benchmark.pedantic(lambda: kernel(*arguments, **kernel_case.keywords), setup=setup, rounds=ROUNDS, warmup_rounds=3)
    floor = statistics.median(least)
    benchmark.extra_info |= {
        "backend": backend.name,
        "ceiling": kernel_case.ceiling,
        "ceiling_us": round(floor * 1e6, 1),
        "ratio": round(benchmark.stats.stats.median / floor, 2),
    }
