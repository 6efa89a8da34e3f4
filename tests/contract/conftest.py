"""The backends under test: each module is held to the same contract."""

from __future__ import annotations

import importlib
from types import ModuleType

import pytest

BACKENDS = {
    "reference": "fastfm_core.backends.reference",
    "numba": "fastfm_core.backends.numba_cpu",
    "native": "fastfm_core.backends.native",
}


@pytest.fixture(params=list(BACKENDS))
def backend(request: pytest.FixtureRequest) -> ModuleType:
    """The module of one backend."""
    return importlib.import_module(BACKENDS[request.param])
