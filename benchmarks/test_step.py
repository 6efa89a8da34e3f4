"""pytest-benchmark suite of the whole training step of W1: pytest benchmarks/test_step.py

Before timing, the first three losses on the backend must equal those on the reference within 1e-4. Before every round
the ceiling is timed once: the step's looked-up rows read once and, with an MLP, its matrix products through NumPy; then
the process is idle for a moment, so that BLAS's own threads sleep, and wakes up with three steps that are not timed.
FASTFM_BACKEND chooses the backend (default: auto).
"""

from __future__ import annotations

import os
import statistics
import time
from typing import Any

import pytest

import ceilings
from fastfm_core import backends
from step_ours import Gather, OurStep
from timing import IDLE
from workload import BATCH, DIM, ROWS, Workload, click_log

ROUNDS, CHECKED, AWAKE = 10, 3, 3
MODELS = {"fm": (), "deepfm-64-64": (64, 64), "deepfm-400-400-400": (400, 400, 400)}


@pytest.fixture(scope="module")
def work() -> Workload:
    return Workload(click_log(16 * BATCH), ROWS, DIM, BATCH)


@pytest.mark.parametrize("name", MODELS)
def test_step(benchmark: Any, work: Workload, name: str) -> None:
    hidden = MODELS[name]
    backend = backends.get(os.environ.get("FASTFM_BACKEND", "auto"))
    step, reference = (OurStep(work, hidden, which) for which in (backend.name, "reference"))
    for _ in range(CHECKED):
        assert abs(step() - reference()) < 1e-4
    floors = [Gather(work), *([ceilings.Gemm(BATCH, work.widths(hidden))] if hidden else [])]
    least: list[float] = []

    def setup() -> None:
        start = time.perf_counter()
        for floor in floors:
            floor()
        least.append(time.perf_counter() - start)
        time.sleep(IDLE)
        for _ in range(AWAKE):
            step()

    benchmark.pedantic(step, setup=setup, rounds=ROUNDS, warmup_rounds=2)
    ceiling = statistics.median(least)
    benchmark.extra_info |= {
        "backend": backend.name,
        "ceiling": "gather + gemm" if hidden else "gather",
        "ceiling_us": f"{ceiling * 1e6:.0f}",
        "ratio": f"{benchmark.stats.stats.median / ceiling:.2f}",
    }
