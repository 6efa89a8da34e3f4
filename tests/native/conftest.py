"""The native extension, for the tests of this folder."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

import pytest


@pytest.fixture
def native() -> ModuleType:
    """The extension; only where it was never built is the test skipped: one that cannot be loaded fails."""
    if importlib.util.find_spec("fastfm_core._native") is None:
        pytest.skip("the native extension is not built")
    return importlib.import_module("fastfm_core._native")
