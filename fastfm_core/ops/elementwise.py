"""Products and sums of vectors, number by number."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfm_core.autograd import Context, Function, Tensor
from fastfm_core.errors import InputError


def add(first: Tensor, *others: Tensor) -> Tensor:
    """Sum of tensors of shape [B] and of scalars (shape [1]), [B]."""
    for term in others:
        if term.data.shape not in (first.data.shape, (1,)):
            raise InputError(f"add takes shapes {first.data.shape} and (1,), got {term.data.shape}")
    return _Add.apply(first, *others)


def multiply(left: Tensor, right: Tensor) -> Tensor:
    """left * right, both of one shape."""
    _require_equal("multiply", left, right)
    return _Multiply.apply(left, right)


def scale(x: Tensor, factor: float) -> Tensor:
    """factor * x, same shape."""
    return _Scale.apply(x, factor=factor)


def inner(left: Tensor, right: Tensor) -> Tensor:
    """left, right [B, D] -> <left_b, right_b>, [B]."""
    _require_equal("inner", left, right)
    return _Inner.apply(left, right)


def sum_fields(x: Tensor) -> Tensor:
    """x [B, F, D] -> sum over the fields, [B, D]."""
    return _SumFields.apply(x)


def _require_equal(name: str, left: Tensor, right: Tensor) -> None:
    if left.data.shape != right.data.shape:
        raise InputError(f"{name} takes two tensors of one shape, got {left.data.shape} and {right.data.shape}")


class _Add(Function):
    @staticmethod
    def forward(context: Context, *terms: np.ndarray) -> np.ndarray:
        context.saved = tuple(term.shape for term in terms)
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        return total

    @staticmethod
    def backward(context: Context, grad: np.ndarray) -> tuple[Any, ...]:
        return tuple(grad if shape == grad.shape else grad.sum().reshape(shape) for shape in context.saved)


class _Multiply(Function):
    @staticmethod
    def forward(context: Context, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        context.saved = left, right
        return left * right

    @staticmethod
    def backward(context: Context, grad: np.ndarray) -> tuple[Any, ...]:
        left, right = context.saved
        return grad * right, grad * left


class _Scale(Function):
    @staticmethod
    def forward(context: Context, x: np.ndarray, *, factor: float) -> np.ndarray:
        context.saved = (factor,)
        return x * x.dtype.type(factor)

    @staticmethod
    def backward(context: Context, grad: np.ndarray) -> tuple[Any, ...]:
        return (grad * grad.dtype.type(context.saved[0]),)


class _Inner(Function):
    @staticmethod
    def forward(context: Context, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        context.saved = left, right
        return (left * right).sum(axis=1)

    @staticmethod
    def backward(context: Context, grad: np.ndarray) -> tuple[Any, ...]:
        left, right = context.saved
        return grad[:, None] * right, grad[:, None] * left


class _SumFields(Function):
    @staticmethod
    def forward(context: Context, x: np.ndarray) -> np.ndarray:
        context.saved = (x.shape,)
        return x.sum(axis=1)

    @staticmethod
    def backward(context: Context, grad: np.ndarray) -> tuple[Any, ...]:
        return (context.backend.xp.broadcast_to(grad[:, None, :], context.saved[0]).copy(),)
