"""Which backends there are, which of them can run here and why the others cannot.

A backend is a module with the functions of ``fastfm_core.contract.Kernels``. There is no inheritance between backends
and no silent fallback: one that cannot run raises and says why, a missing kernel names who has it.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from fastfm_core import build
from fastfm_core.backends import driver, memory
from fastfm_core.contract import KERNELS, Batch, Entries, RowPlan, RowSource
from fastfm_core.errors import BackendUnavailable, InputError, MissingKernel

_MODULES = {
    "reference": "fastfm_core.backends.reference",
    "numba": "fastfm_core.backends.numba_cpu",
    "native": "fastfm_core.backends.native",
    "cuda": "fastfm_core.backends.cuda",
}
_NEEDS = {  # a module that is not everywhere, and why it is not
    "numba": ("numba", lambda: "the package 'numba' is not installed"),
    "native": ("fastfm_core._native", build.why_absent),
}
_AUTOMATIC = ("native", "numba")  # in order of preference


_PLACING = ("aligned_zeros", "aligned_rows", "aligned_like")


class Backend:
    """The kernels of one backend module; a missing one raises with the names of the backends that have it.

    xp                                         the module of its arrays: NumPy, or what the backend's module calls xp
    on_host                                    whether they are NumPy's; else work is queued on a device, and who reads
                                               a result waits for it: docs/cuda.md says when a training does
    aligned_zeros, aligned_rows, aligned_like  make the arrays that live long, as ``memory`` says
    """

    def __init__(self, name: str, module: ModuleType) -> None:
        self.name = name
        self.module = module
        self.xp: Any = getattr(module, "xp", np)
        self.on_host = self.xp is np
        for maker in _PLACING:
            setattr(self, maker, getattr(getattr(module, "memory", memory), maker))
        for kernel in KERNELS:
            if hasattr(module, kernel):
                setattr(self, kernel, getattr(module, kernel))

    def __getattr__(self, kernel: str) -> Any:
        if kernel in KERNELS:
            owners = [name for name in available() if hasattr(get(name).module, kernel)]
            raise MissingKernel(f"backend {self.name!r} has no kernel {kernel!r}; these have it: {', '.join(owners)}")
        raise AttributeError(kernel)

    def to_device(self, value: Any) -> Any:
        """A NumPy array, or a ``Batch`` or ``Entries`` of such, where the kernels read it; None stays None.

        Nothing is done, or copied, where the kernels read NumPy's arrays or the value is there already. Of a batch, a
        plan that was made on the host is left behind, and the offsets stay there as ``host_offsets``, too.
        """
        if self.on_host or value is None:
            return value
        if isinstance(value, Batch):
            offsets = value.entries.offsets
            return Batch(
                self.to_device(value.entries), *map(self.to_device, value[1:4]),
                plan=None if isinstance(value.plan, RowPlan) else value.plan,
                host_offsets=offsets if isinstance(offsets, np.ndarray) else value.host_offsets,
            )  # fmt: skip
        if isinstance(value, Entries):
            ids, offsets, values = map(self.to_device, (value.ids, value.offsets, value.values))
            return value._replace(ids=ids, offsets=offsets, values=values)
        return self.xp.asarray(value)

    def to_host(self, array: Any) -> np.ndarray:
        """An array of the backend's as NumPy's: itself, or a copy of it, for which the host waits."""
        return memory.to_host(array)

    def read_later(self, number: Any) -> Callable[[], float]:
        """A float64 scalar of the backend's as a number of the host: call what is returned when it is needed. On a
        device that call waits for the scalar, not for what was queued after it."""
        if self.on_host:
            return lambda: float(number)
        return self.module.device.read_later(number)

    @property
    def plan_ahead(self) -> Any:
        """``plan_rows`` where it takes the batches' arrays before they are moved; else None."""
        return self.plan_rows if self.on_host else None

    def sum_rows(self, table: Any, parts: list[tuple[RowPlan, RowSource]]) -> tuple[Any, Any]:
        """(rows [U] ascending, summed gradient of each [U, D]); parts are added in their order. Waits for a device."""
        rows, places = self.merge_plans([plan for plan, _ in parts])
        values = self.xp.zeros((len(rows), table.shape[1]), table.dtype)
        for (plan, source), place in zip(parts, places, strict=True):
            values[place] += self.materialize_rows(table, plan, source)
        return rows, values

    def combine_rows(self, table: Any, parts: list[tuple[RowPlan, RowSource]]) -> tuple[RowPlan, RowSource]:
        """Several row gradients of a table as one plan and source over their rows' union. No wait for a device."""
        if not self.on_host:
            return self.module.rows.combine(table, parts)
        rows, values = self.sum_rows(table, parts)
        plan = RowPlan(rows, np.arange(len(rows) + 1), np.arange(len(rows), dtype=np.int32))
        return plan, RowSource(1, slot_grad=values[:, None, :])

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
    if name == "cuda" and (reason := driver.why_absent()):
        return reason
    module, why_absent = _NEEDS.get(name, (None, str))
    if module and importlib.util.find_spec(module) is None:
        return why_absent()
    try:
        importlib.import_module(_MODULES[name])
    except Exception as error:
        return f"it is broken: {type(error).__name__}: {error}"
    return None


def get(name: str = "auto") -> Backend:
    """The backend called ``name``; "auto" takes the fastest on the CPU that can run, never a device.

    Raises BackendUnavailable with the reason.
    """
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
