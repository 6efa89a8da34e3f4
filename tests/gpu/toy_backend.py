"""A backend on a device whose kernels are those of ``reference``: for tests of the host's side alone, bit for bit.

It works on the memory behind the stand-in's arrays, so nothing is counted but what the host itself asks for. Arrays of
the host are refused, but for the learning rates of missed steps and the plan of every row; plans are the device's own.
"""

from __future__ import annotations

import functools
import inspect
from types import SimpleNamespace
from typing import Any

import emulated_cupy as xp
import numpy as np
from devices import import_with_cupy

from fastfm_core.backends import Backend, reference
from fastfm_core.contract import KERNELS, EveryRow, RowPlan, RowSource

device: Any = import_with_cupy("fastfm_core.backends.cuda.device")
memory: Any = import_with_cupy("fastfm_core.backends.cuda.memory")
plan: Any = import_with_cupy("fastfm_core.backends.cuda.plan")
name = "toy"
aligned_zeros, aligned_rows, aligned_like = memory.aligned_zeros, memory.aligned_rows, memory.aligned_like


def backend() -> Backend:
    """This module as one."""
    import sys

    return Backend(name, sys.modules[__name__])


def plan_rows(ids: Any, table_rows: int) -> Any:
    """Sorted ids with repeats, as the device's plans are."""
    order = np.argsort(xp.peek(ids), kind="stable")
    keys = xp.peek(ids)[order].astype(np.uint32)
    return plan.SortedRows(xp.asarray(keys), xp.asarray(order.astype(np.uint32)), ids.dtype)


def on_host(value: Any) -> Any:
    """The memory of what a kernel is given; TypeError for arrays of the host."""
    if isinstance(value, plan.SortedRows):
        rows, starts = np.unique(xp.peek(value.keys), return_index=True)
        return RowPlan(rows, np.append(starts, len(value.keys)), xp.peek(value.order).astype(np.int32))
    if isinstance(value, np.ndarray) and value.ndim:
        raise TypeError("a kernel was given an array of the host")
    if isinstance(value, EveryRow):
        return value
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(on_host, value))
    if isinstance(value, list):
        return [on_host(x) for x in value]
    return xp.peek(value) if isinstance(value, xp.ndarray) else value


def on_device(value: Any) -> Any:
    """What a kernel returns, copied; numbers become 0-d arrays."""
    if isinstance(value, (np.ndarray, float)):
        return xp.asarray(value)
    if isinstance(value, list):
        return [on_device(x) for x in value]
    if isinstance(value, tuple):
        made = map(on_device, value)
        return type(value)(*made) if hasattr(value, "_fields") else tuple(made)
    return value


def combine(table: Any, parts: Any) -> Any:
    """Several plans and sources as one, as the host does it."""
    union, places = reference.merge_plans([on_host(plan) for plan, _ in parts])
    values = np.zeros((len(union), table.shape[1]), table.dtype)
    for part, place in zip(parts, places, strict=True):
        values[place] += reference.materialize_rows(*map(on_host, (table, *part)))
    every = RowPlan(union, np.arange(len(union) + 1), np.arange(len(union), dtype=np.int32))
    return on_device(every), RowSource(1, slot_grad=on_device(values)[:, None, :])


rows = SimpleNamespace(combine=combine)


def _kernel(name: str) -> Any:
    function = getattr(reference, name)
    parameters = inspect.signature(function)

    @functools.wraps(function)
    def kernel(*positional: Any, **named: Any) -> Any:
        given = parameters.bind(*positional, **named).arguments
        rates = {key: given.pop(key) for key in ("rates",) if key in given}
        return on_device(function(**{key: on_host(value) for key, value in given.items()}, **rates))

    return kernel


for _name in KERNELS:
    if _name != "plan_rows":
        globals()[_name] = _kernel(_name)
