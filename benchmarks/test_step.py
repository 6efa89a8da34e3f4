"""pytest-benchmark suite of the whole training step of W1: pytest benchmarks/test_step.py

``fastfm-core bench --kernel step --all`` times the same; this suite has pytest-benchmark's columns, files and options.
Before timing, the first losses on the backend must equal those on the reference. Before every round the floor is timed
once; then the process is idle for a moment, so that BLAS's own threads sleep, and wakes up with steps that are not
timed. FASTFM_BACKEND chooses the backend (default: auto).
"""

from __future__ import annotations

import os
import statistics
import time
from typing import Any

import pytest

from fastfm_core import backends
from fastfm_core.bench.step import CHECKED, MODELS, TrainingStep, floor, mistake
from fastfm_core.bench.workload import BATCH, DIM, ROWS, Workload, click_log

ROUNDS = 10


@pytest.fixture(scope="module")
def work() -> Workload:
    return Workload(click_log(16 * BATCH), ROWS, DIM, BATCH)


@pytest.mark.parametrize("name", MODELS)
def test_step(benchmark: Any, work: Workload, name: str) -> None:
    hidden = MODELS[name]
    backend = backends.get(os.environ.get("FASTFM_BACKEND", "auto"))
    step = TrainingStep(work, hidden, backend.name)
    wrong = mistake(step, TrainingStep(work, hidden, "reference").losses(CHECKED))
    assert wrong is None, wrong
    least_work = floor(work, hidden)
    least: list[float] = []

    def setup() -> None:
        start = time.perf_counter()
        least_work()
        least.append(time.perf_counter() - start)
        step.awake()

    benchmark.pedantic(step, setup=setup, rounds=ROUNDS, warmup_rounds=2)
    ceiling = statistics.median(least)
    benchmark.extra_info |= {
        "backend": backend.name,
        "ceiling": "gather + gemm" if hidden else "gather",
        "ceiling_us": f"{ceiling * 1e6:.0f}",
        "ratio": f"{benchmark.stats.stats.median / ceiling:.2f}",
    }
