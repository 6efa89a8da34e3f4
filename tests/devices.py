"""The module cupy for tests: the real one where there is a device, else the stand-in of csrc/testing."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import ModuleType

sys.path.insert(0, str(Path(__file__).parents[1] / "csrc" / "testing"))

import emulated_cupy


def _has_device() -> bool:
    return importlib.util.find_spec("cupy") is not None and importlib.import_module("cupy").cuda.is_available()


DEVICE = _has_device()  # whether kernels run on a real device


def cupy_module() -> AbstractContextManager[None]:
    """Within this block there is a module cupy; after it there is no stand-in in ``sys.modules``."""
    return nullcontext() if DEVICE else emulated_cupy.installed()


def import_with_cupy(name: str) -> ModuleType:
    """A module that imports cupy when it is first imported."""
    with cupy_module():
        return importlib.import_module(name)
