"""Which compiled functions turn text into ids: C++ where the package was built with it, else Numba's; the same bits.

``kernels`` has the functions, by the names and arguments of ``numba_cpu``, which the C++ of csrc/include/fastfm/text
repeats. The choice is made here, once, when this room is first imported; FASTFM_CORE_NATIVE=0 chooses Numba. An
extension that is there and cannot be loaded raises.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from pathlib import Path
from typing import Any

VARIABLE = "FASTFM_CORE_NATIVE"
EXTENSION = "fastfm_core._native"


def choose() -> tuple[str, str]:
    """(name of the engine, why it is not the other one)."""
    if os.environ.get(VARIABLE) == "0":
        return "numba", f"{VARIABLE}=0"
    if importlib.util.find_spec(EXTENSION) is None:
        return "numba", f"{EXTENSION} is not built"
    return "native", ""


def load(engine: str) -> Any:
    """The functions of "native" or "numba"."""
    if engine == "native":
        return importlib.import_module(EXTENSION).text
    return importlib.import_module("fastfm_core.data.text.numba_cpu")


def description() -> str:
    """The engine and why, for people."""
    return f"{name}, since {reason}" if reason else name


def binary() -> list[Path]:
    """The file that decides what the functions do, besides the package's own sources."""
    return [Path(str(importlib.import_module(EXTENSION).__file__))] if name == "native" else []


name, reason = choose()
kernels = load(name)
