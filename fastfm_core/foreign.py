"""Arrays of other libraries, taken without a copy: as NumPy's where they are on the host, as CuPy's on a device.

An array is on a device if it is CuPy's, or offers DLPack or ``__cuda_array_interface__`` there, as those of PyTorch,
JAX and Numba do. DLPack comes first: it makes CuPy's current stream wait for what the other library has queued. CuPy is
not imported before such an array is seen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastfm_core import backends
from fastfm_core.backends import Backend
from fastfm_core.contract import Entries, EveryRow, RowPlan, RowSource
from fastfm_core.errors import InputError

CUDA_DEVICES = (2, 13)  # DLPack's numbers: memory of a device, and memory that devices share with the host
ANYWHERE = {"rates"}  # NumPy's for every backend
_PLAIN = {type(None), bool, int, float, str, EveryRow}  # a dense gradient's plan is known by its class, in any place
_TUPLES = {Entries, RowPlan, RowSource}


def taken(kernel: str, arguments: dict[str, Any], backend: str) -> tuple[Backend, dict[str, Any]]:
    """The backend of a call, and the call's arguments with the arrays that it reads; "auto" goes where the arrays are.

    InputError for arrays on the host beside others on a device, and for a backend that reads those of the other place.
    """
    arrays: list[tuple[str, Any]] = []
    for label, value in arguments.items():
        _each(label, value, lambda *found: arrays.append(found))
    places = {on_device(array): label for label, array in reversed(arrays) if label not in ANYWHERE}
    if len(places) == 2:
        raise InputError(f"{kernel}: {places[False]} is on the host, {places[True]} on a device; move one of them")
    chosen = backends.get("cuda" if backend == "auto" and True in places else backend)
    if chosen.on_host in places:
        place, reads = ("a device", "the host") if chosen.on_host else ("the host", "a device")
        raise InputError(
            f"{kernel}: {places[chosen.on_host]} is on {place}, backend {backend!r} reads arrays of {reads}"
        )
    if all(isinstance(array, np.ndarray) for _, array in arrays):
        return chosen, arguments
    return chosen, {
        label: _each(label, value, lambda name, array: _own(name, array, chosen)) for label, value in arguments.items()
    }


def on_device(array: Any) -> bool:
    """Whether an array is in the memory of a CUDA device."""
    if isinstance(array, np.ndarray):
        return False
    if hasattr(array, "__dlpack_device__"):
        return int(array.__dlpack_device__()[0]) in CUDA_DEVICES
    return hasattr(array, "__cuda_array_interface__")


def is_array(value: Any) -> bool:
    """Whether it is an array of any library."""
    return isinstance(value, np.ndarray) or hasattr(value, "__dlpack__") or hasattr(value, "__cuda_array_interface__")


def _each(label: str, value: Any, function: Callable[[str, Any], Any]) -> Any:
    """An argument with each of its arrays replaced by function(label, array); a plan of the backend's own stays."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind in _TUPLES:
        parts = zip(kind._fields, value, strict=True)
        return kind(*[part if part is None else _each(f"{label}.{name}", part, function) for name, part in parts])
    if is_array(value):
        return function(label, value)
    if kind in (list, tuple):
        return [_each(f"{label}[{place}]", part, function) for place, part in enumerate(value)]
    if hasattr(value, "touched"):
        function(f"{label}.order", value.order)
    return value


def _own(label: str, array: Any, backend: Backend) -> Any:
    """An array as one of the backend's, which has the same memory."""
    if isinstance(array, (np.ndarray, backend.xp.ndarray)):
        return array
    xp = backend.xp if on_device(array) else np
    try:
        return xp.from_dlpack(array) if hasattr(array, "__dlpack__") else xp.asarray(array)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(f"{label} cannot be taken: {' '.join(str(error).split())}") from None
