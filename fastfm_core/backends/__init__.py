"""Which backends there are, which of them can run here and why the others cannot.

A backend is a module with the functions of ``fastfm_core.contract.Kernels``. There is no inheritance between backends
and no silent fallback: one that cannot run raises and says why, a missing kernel names who has it.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from types import ModuleType
from typing import Any

from fastfm_core import build
from fastfm_core.contract import KERNELS
from fastfm_core.errors import BackendUnavailable, InputError, MissingKernel

_MODULES = {
    "reference": "fastfm_core.backends.reference",
    "numba": "fastfm_core.backends.numba_cpu",
    "native": "fastfm_core.backends.native",
}
_NEEDS = {  # a module that is not everywhere, and why it is not
    "numba": ("numba", lambda: "the package 'numba' is not installed"),
    "native": ("fastfm_core._native", build.why_absent),
}
_AUTOMATIC = ("native", "numba")  # in order of preference


class Backend:
    """The kernels of one backend module; a missing one raises with the names of the backends that have it."""

    def __init__(self, name: str, module: ModuleType) -> None:
        self.name = name
        self.module = module
        for kernel in KERNELS:
            if hasattr(module, kernel):
                setattr(self, kernel, getattr(module, kernel))

    def __getattr__(self, kernel: str) -> Any:
        if kernel in KERNELS:
            owners = [name for name in available() if hasattr(get(name).module, kernel)]
            raise MissingKernel(f"backend {self.name!r} has no kernel {kernel!r}; these have it: {', '.join(owners)}")
        raise AttributeError(kernel)

    @property
    def compile_seconds(self) -> float:
        """Seconds spent compiling kernels in this process; 0 for a backend that compiles nothing."""
        return self.module.compilation.seconds if hasattr(self.module, "compilation") else 0.0

    @property
    def compiled_kernels(self) -> int:
        """Kernel specialisations compiled in this process."""
        return self.module.compilation.kernels if hasattr(self.module, "compilation") else 0

    def __repr__(self) -> str:
        return f"<backend {self.name}>"


def names() -> list[str]:
    """Every backend this version knows."""
    return list(_MODULES)


def available() -> list[str]:
    """The backends that can run here."""
    return [name for name in _MODULES if why_unavailable(name) is None]


def why_unavailable(name: str) -> str | None:
    """None when the backend can run, else one line that says what is missing."""
    if name not in _MODULES:
        raise InputError(f"unknown backend {name!r}; known: {', '.join(_MODULES)}")
    module, why_absent = _NEEDS.get(name, (None, str))
    if module and importlib.util.find_spec(module) is None:
        return why_absent()
    try:
        importlib.import_module(_MODULES[name])
    except Exception as error:
        return f"it is broken: {type(error).__name__}: {error}"
    return None


def get(name: str = "auto") -> Backend:
    """The backend called ``name``; "auto" takes the fastest that can run. Raises BackendUnavailable with the reason."""
    reasons: dict[str, str] = {}
    for candidate in _AUTOMATIC if name == "auto" else (name,):
        reason = why_unavailable(candidate)
        if reason is None:
            return _load(candidate)  # the next one is not even imported
        reasons[candidate] = reason
    if name != "auto":
        raise BackendUnavailable(f"backend {name!r} cannot run: {reasons[name]}")
    raise BackendUnavailable("no tuned backend can run: " + "; ".join(f"{k}: {v}" for k, v in reasons.items()))


@functools.cache
def _load(name: str) -> Backend:
    return Backend(name, importlib.import_module(_MODULES[name]))
