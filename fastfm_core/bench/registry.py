"""Kernels of the user's own, judged by the same cases as the backends'."""

from __future__ import annotations

import difflib
import runpy
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from fastfm_core import backends
from fastfm_core.contract import KERNELS
from fastfm_core.errors import InputError

_registered: dict[str, dict[str, Callable[..., Any]]] = {}


def register(kernel: str, function: Callable[..., Any], *, name: str) -> None:
    """Have ``fastfm-core bench`` check and time ``function`` as ``name`` beside the backends' kernel of that name.

    function  takes and returns NumPy arrays as the contract says (docs/contract.md); floats come as float32. One that
              raises or is wrong is reported and not timed.
    name      how tables call it; a later function of the same name and kernel takes the place of an earlier one

    Raises InputError for a kernel that the contract does not have, a name that is a backend's, or what is no function.
    """
    require_kernels([kernel])
    if not callable(function):
        raise InputError(f"{name}: {function!r} cannot be called; register a function")
    if not name or name in backends.names():
        raise InputError(f"the name {name!r} is taken: choose another for your {kernel}")
    _registered.setdefault(kernel, {})[name] = function


def registered() -> dict[str, dict[str, Callable[..., Any]]]:
    """Functions by kernel and name."""
    return _registered


def require_kernels(kernels: Iterable[str], others: tuple[str, ...] = ()) -> None:
    """Raises InputError for a name that is neither in the contract nor one of ``others``."""
    known = [*KERNELS, *others]
    for kernel in kernels:
        if kernel not in known:
            close = difflib.get_close_matches(kernel, known, 3, 0.4)
            meant = f"; meant {' or '.join(close)}?" if close else ""
            raise InputError(f"there is no kernel {kernel!r}{meant} docs/contract.md lists them")


def load(path: str) -> None:
    """Runs a Python file that registers kernels. Raises InputError naming the line that fails, or if there is none."""
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file")
    before = {kernel: dict(functions) for kernel, functions in _registered.items()}
    try:
        runpy.run_path(path)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except Exception as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
        where = f"{path}:{lines[-1]}" if lines else path
        raise InputError(f"{where}: {type(error).__name__}: {error}") from error
    if _registered == before:
        raise InputError(f"{path}: registers no kernel; call fastfm_core.bench.register in it")
