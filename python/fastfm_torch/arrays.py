"""Tensors as the arrays that kernels read, and back: the same memory, on the host NumPy's, on a device CuPy's.

On a device kernels are queued on PyTorch's current stream; CuPy is imported when the first tensor of a device is seen.
Tables may have any outer stride and are never copied; ids, values and dense inputs are made contiguous.
"""

from __future__ import annotations

import functools
import importlib
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fastfm_core import backends
from fastfm_core.backends import Backend
from fastfm_core.contract import POOLINGS, Entries
from fastfm_core.errors import InputError
from fastfm_core.kernels import check_ids

FLOATS = (torch.float32, torch.float64)
HALVES = (torch.float16, torch.bfloat16)
_HERE = nullcontext()


@functools.cache
def backend_on(device: str) -> Backend:
    """The backend for tensors on "cpu" or "cuda"; BackendUnavailable with the reason where it cannot run."""
    if device not in ("cpu", "cuda"):
        raise InputError(f"tensors on {device!r} have no kernels; move them to cpu or cuda")
    return backends.get("cuda" if device == "cuda" else "auto")


def kernels_for(tensor: Tensor) -> Any:
    """The kernels that read this tensor."""
    return backend_on(tensor.device.type)


def queued(tensor: Tensor) -> AbstractContextManager[Any]:
    """Within this block kernels are queued where PyTorch queues its work on the tensor's device."""
    if tensor.device.type == "cpu":
        return _HERE
    return _Queued(tensor.device)


class _Queued:
    """CuPy's current device and stream are PyTorch's."""

    def __init__(self, device: torch.device) -> None:
        cuda = _cupy().cuda
        self.device = cuda.Device(device.index)
        self.stream = cuda.ExternalStream(torch.cuda.current_stream(device).cuda_stream)

    def __enter__(self) -> None:
        self.device.__enter__()
        self.stream.__enter__()

    def __exit__(self, *error: Any) -> None:
        self.stream.__exit__(*error)
        self.device.__exit__(*error)


def array_of(tensor: Tensor | None) -> Any:
    """The tensor's memory as an array; None stays None."""
    if tensor is None:
        return None
    tensor = tensor.detach() if tensor.requires_grad else tensor
    if tensor.dtype == torch.bfloat16:
        return array_of(tensor.view(torch.int16)).view(_bfloat16())
    return tensor.numpy() if tensor.device.type == "cpu" else _cupy().from_dlpack(tensor)


def tensor_of(array: Any) -> Tensor:
    """The array's memory as a tensor."""
    return torch.from_numpy(array) if isinstance(array, np.ndarray) else torch.from_dlpack(array)


def table_of(table: Tensor, name: str = "weight") -> Any:
    """A table [V, D], or a first order [V] as it lies; InputError for what cannot be read without a copy."""
    if table.dtype not in FLOATS and table.dtype not in HALVES:
        raise InputError(f"{name} must be float32, float64, float16 or bfloat16, got {table.dtype}")
    if table.dim() == 2 and table.stride(1) != 1 and table.shape[1] > 1:
        raise InputError(f"{name} must have an inner stride of one element; make it contiguous once, where it is made")
    return array_of(table)


def computed(dtype: torch.dtype) -> torch.dtype:
    """The dtype that is computed in: float32 for halves."""
    return torch.float32 if dtype in HALVES else dtype


@functools.cache
def number_type(dtype: torch.dtype) -> Any:
    """NumPy's dtype for the one that is computed in."""
    return torch.empty(0, dtype=computed(dtype)).numpy().dtype


def entries_of(
    ids: Tensor, offsets: Tensor | None, values: Tensor | None, fields: int, pooling: str, padding: int = -1
) -> tuple[Entries, Any]:
    """The entries that are pooled, and the mask [N] that took them out of the given ones; None: they are all of them.

    Entries of the id ``padding``, where it is not negative, are in no slot. Values have the dtype that is computed in.
    """
    if pooling not in POOLINGS:
        raise InputError(f"unknown pooling {pooling!r}; known: {', '.join(POOLINGS)}")
    if ids.dtype not in (torch.int32, torch.int64):
        raise InputError(f"ids must be int32 or int64, got {ids.dtype}")
    own = array_of(ids.contiguous()).reshape(-1)
    bounds = None if offsets is None else array_of(offsets.to(torch.int64).contiguous())
    numbers = None if values is None else array_of(values.contiguous()).reshape(-1)
    entries = Entries(own, fields, bounds, numbers, pooling)  # pyright: ignore[reportArgumentType]
    if padding < 0:
        return entries, None
    return _without(entries, padding, kernels_for(ids).xp)


def check(entries: Entries, rows: int) -> None:
    """InputError for ids outside 0..rows-1, offsets that do not rise from 0 to the number of ids, and other sizes."""
    ids, fields, offsets, values, pooling = entries
    if offsets is not None:
        if offsets.ndim != 1 or len(offsets) < 1:
            raise InputError(f"offsets must be [slots + 1], got shape {tuple(offsets.shape)}")
        if bool((offsets[0] != 0) | (offsets[-1] != len(ids)) | (offsets[1:] < offsets[:-1]).any()):
            raise InputError(f"offsets must rise from 0 to the number of ids, {len(ids)}")
    if fields < 1 or entries.slots % fields or (pooling == "none" and fields != 1):
        raise InputError(f"{entries.slots} slots cannot be {fields} fields of whole samples under pooling {pooling!r}")
    if values is not None and len(values) != len(ids):
        raise InputError(f"there are {len(values)} values for {len(ids)} ids")
    check_ids(ids, rows)


def _without(entries: Entries, padding: int, xp: Any) -> tuple[Entries, Any]:
    kept = entries.ids != padding
    before = xp.concatenate([xp.zeros(1, xp.int64), xp.cumsum(kept, dtype=xp.int64)])
    bounds = before if entries.offsets is None else before[entries.offsets]
    values = None if entries.values is None else entries.values[kept]
    return entries._replace(ids=entries.ids[kept], offsets=bounds, values=values), kept


def _cupy() -> Any:
    return backend_on("cuda").xp


@functools.cache
def _bfloat16() -> Any:
    try:
        return importlib.import_module("ml_dtypes").bfloat16
    except ImportError:
        raise ImportError("tables of bfloat16 need ml_dtypes: pip install 'fastfm-core[torch]'") from None
