"""The engines under ``fastfm_core.data.text`` that can run here, in turn: C++ where it is built, and Numba."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest

from fastfm_core.data.text import engine

BUILT = importlib.util.find_spec(engine.EXTENSION) is not None
ENGINES = ["native", "numba"] if BUILT else ["numba"]


@pytest.fixture(params=ENGINES, scope="module", autouse=True)
def text_engine(request: pytest.FixtureRequest) -> Iterator[str]:
    """A module's tests run on each engine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "kernels", engine.load(request.param))
        yield request.param
