"""Every case on every backend, in both float and both id dtypes, half of them with doubled outer strides."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastfm_core.contract import POOLINGS

from .cases import CASES
from .checking import check
from .inputs import Scenario
from .op_case import OpCase
from .sparse_cases import catch_up_cases, row_cases, sparse_cases

VARIANTS = [
    (np.float32, np.int32, False),
    (np.float32, np.int64, True),
    (np.float64, np.int32, True),
    (np.float64, np.int64, False),
]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_kernel_is_within_its_error_bound(backend: ModuleType, case: OpCase) -> None:
    for dtype, ids_dtype, scattered in VARIANTS:
        check(backend, case, dtype, ids_dtype, scattered)


@st.composite
def scenarios(draw: Any) -> Scenario:
    """Small batches of any kind."""
    pooling = draw(st.sampled_from(POOLINGS))
    return Scenario(
        f"random_{draw(st.integers(0, 2**20))}",
        samples=draw(st.integers(0, 20)),
        fields=1 if pooling == "none" else draw(st.integers(1, 6)),
        dim=draw(st.integers(0, 40)),
        rows=draw(st.integers(1, 60)),
        pooling=pooling,
        bags=draw(st.sampled_from([None, "mixed", "long"])),
        values=draw(st.booleans()),
        row_views=draw(st.booleans()),
        source="pair" if pooling == "none" else "both",
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_small_batches_of_any_kind(backend: ModuleType, dtype: Any) -> None:
    @settings(max_examples=15, derandomize=True, database=None)
    @given(scenarios())
    def run(scenario: Scenario) -> None:
        for case in sparse_cases(scenario) + row_cases(scenario._replace(lane=True)) + catch_up_cases(scenario):
            check(backend, case, dtype, np.int32)

    run()
