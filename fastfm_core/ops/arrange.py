"""What has no arithmetic: tensors side by side, apart, and seen as field vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfm_core.autograd import Context, Function, Tensor
from fastfm_core.errors import InputError


def concatenate(*tensors: Tensor) -> Tensor:
    """Tensors [B, K_n], or [B] for one column, side by side: [B, sum of K_n]."""
    counts = {len(tensor.data) for tensor in tensors}
    if len(counts) > 1:
        raise InputError(
            f"concatenate takes tensors of as many samples each, got {', '.join(map(str, sorted(counts)))}"
        )
    return _Concatenate.apply(*tensors)


def as_vectors(x: Tensor, dim: int, fields: int) -> Tensor:
    """The first F*D columns of x [B, K] as [B, F, D] with F = fields, D = dim; no copy, the samples K apart."""
    if x.data.shape[1] < fields * dim:
        raise InputError(f"{x.data.shape[1]} columns hold no {fields} vectors of {dim}")
    return _AsVectors.apply(x, dim=dim, fields=fields)


def flatten(x: Tensor) -> Tensor:
    """[B, ...] -> [B, K]: all numbers of a sample side by side."""
    return _Reshape.apply(x, shape=(len(x.data), int(np.prod(x.data.shape[1:]))))


def squeeze(x: Tensor) -> Tensor:
    """[B, 1] -> [B]."""
    return _Reshape.apply(x, shape=(len(x.data),))


def take_fields(x: Tensor, fields: np.ndarray) -> Tensor:
    """x [B, F, D], fields [k] int64 distinct positions -> [B, k, D]."""
    return _TakeFields.apply(x, fields=x.backend.to_device(fields))


class _Concatenate(Function):
    @staticmethod
    def forward(context: Context, *parts: np.ndarray) -> np.ndarray:
        columns = [part if part.ndim == 2 else part[:, None] for part in parts]
        context.saved = tuple((part.shape, column.shape[1]) for part, column in zip(parts, columns, strict=True))
        return context.backend.xp.concatenate(columns, axis=1)

    @staticmethod
    def backward(context: Context, grad: np.ndarray) -> tuple[Any, ...]:
        begin, pieces = 0, []
        for shape, width in context.saved:
            piece = grad[:, begin : begin + width]
            pieces.append(context.backend.xp.ascontiguousarray(piece).reshape(shape))
            begin += width
        return tuple(pieces)


class _Reshape(Function):
    @staticmethod
    def forward(context: Context, x: np.ndarray, *, shape: tuple[int, ...]) -> np.ndarray:
        context.saved = (x.shape,)
        return x.reshape(shape)

    @staticmethod
    def backward(context: Context, grad: np.ndarray) -> tuple[Any, ...]:
        return (grad.reshape(context.saved[0]),)


class _AsVectors(Function):
    @staticmethod
    def forward(context: Context, x: np.ndarray, *, dim: int, fields: int) -> np.ndarray:
        context.saved = (x.shape,)
        return x[:, : fields * dim].reshape(len(x), fields, dim)  # a view, for the columns lie side by side

    @staticmethod
    def backward(context: Context, grad: np.ndarray) -> tuple[Any, ...]:
        shape, flat = context.saved[0], grad.reshape(len(grad), int(np.prod(grad.shape[1:])))
        if flat.shape == shape:
            return (flat,)
        whole = context.backend.xp.zeros(shape, grad.dtype)
        whole[:, : flat.shape[1]] = flat
        return (whole,)


class _TakeFields(Function):
    @staticmethod
    def forward(context: Context, x: np.ndarray, *, fields: np.ndarray) -> np.ndarray:
        context.saved = x.shape, fields
        return context.backend.xp.ascontiguousarray(x[:, fields])

    @staticmethod
    def backward(context: Context, grad: np.ndarray) -> tuple[Any, ...]:
        shape, fields = context.saved
        whole = context.backend.xp.zeros(shape, grad.dtype)
        whole[:, fields] = grad
        return (whole,)
