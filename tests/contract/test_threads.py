"""Results are the same bits at any number of threads, on batches large enough to be cut into pieces."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import numpy as np
import pytest

from fastfm_core import threads

from .checking import run_twice, same
from .dense_cases import dense_cases
from .inputs import Scenario
from .op_case import OpCase
from .pair_cases import pair_cases
from .sparse_cases import catch_up_cases, row_cases, sparse_cases

CASES = [
    *sparse_cases(Scenario("large", samples=600, fields=8, dim=16, rows=2000)),
    *sparse_cases(Scenario("large_bags", samples=300, fields=4, dim=16, rows=300, bags="mixed", pooling="mean")),
    *row_cases(Scenario("large_lane", samples=600, fields=8, dim=15, rows=2000, lane=True, row_views=True)),
    *catch_up_cases(Scenario("large", samples=600, fields=8, dim=17, rows=2000, values=True)),
    *catch_up_cases(Scenario("large_table", dim=15, rows=4000)),
    *dense_cases(samples=1500, width=48, fields=4),
    *pair_cases((1500, 4, 16), "all"),
]


@pytest.fixture
def threads_restored() -> Iterator[None]:
    before = threads.get_num_threads()
    yield
    threads.set_num_threads(before)


@pytest.mark.usefixtures("threads_restored")
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_bits_do_not_depend_on_threads(backend: ModuleType, case: OpCase) -> None:
    threads.set_num_threads(1)
    alone = run_twice(backend, case, np.float32, np.int32)
    threads.set_num_threads(2)
    assert same(run_twice(backend, case, np.float32, np.int32), alone)
