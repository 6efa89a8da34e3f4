"""Dense layers: products with bias, fused bias + ReLU + dropout, and the sum of a model's outputs."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfm_core.autograd import Context, Function, Tensor
from fastfm_core.contract import DropoutKey
from fastfm_core.errors import InputError


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x [B, K], weight [K, H], bias [H] -> x weight + bias, [B, H]."""
    return _Linear.apply(x, weight, bias)


def linear_relu(x: Tensor, weight: Tensor, bias: Tensor, rate: float = 0.0, key: DropoutKey | None = None) -> Tensor:
    """dropout(relu(x weight + bias)), [B, H], in one pass over the product; no dropout without a key."""
    return _LinearReLU.apply(x, weight, bias, rate=rate if key is not None else 0.0, key=key)


def relu(x: Tensor, rate: float = 0.0, key: DropoutKey | None = None) -> Tensor:
    """dropout(relu(x)), [B, H]; no dropout without a key."""
    return _ReLU.apply(x, rate=rate if key is not None else 0.0, key=key)


def dropout(x: Tensor, rate: float, key: DropoutKey) -> Tensor:
    """Elements kept with probability 1 - rate and scaled by 1/(1 - rate); x of any shape."""
    return _Dropout.apply(x, rate=rate, key=key)


def add(first: Tensor, *others: Tensor) -> Tensor:
    """Sum of tensors of shape [B] and of scalars (shape [1]), [B]."""
    for term in others:
        if term.data.shape not in (first.data.shape, (1,)):
            raise InputError(f"add takes shapes {first.data.shape} and (1,), got {term.data.shape}")
    return _Add.apply(first, *others)


def squeeze(x: Tensor) -> Tensor:
    """[B, 1] -> [B]."""
    return _Squeeze.apply(x)


class _Linear(Function):
    @staticmethod
    def forward(context: Context, x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
        context.saved = x, weight
        out = context.backend.matmul(x, weight)
        out += bias
        return out

    @staticmethod
    def backward(context: Context, grad: np.ndarray) -> tuple[Any, ...]:
        x, weight = context.saved
        return *_product_gradients(context, x, weight, grad), grad.sum(axis=0)


class _LinearReLU(Function):
    @staticmethod
    def forward(
        context: Context, x: np.ndarray, weight: np.ndarray, bias: np.ndarray, *, rate: float, key: DropoutKey | None
    ) -> np.ndarray:
        out = context.backend.matmul(x, weight)
        context.backend.bias_relu_dropout_(out, bias, rate, key)
        context.saved = x, weight, out, rate
        return out

    @staticmethod
    def backward(context: Context, grad: np.ndarray) -> tuple[Any, ...]:
        x, weight, out, rate = context.saved
        grad, bias_grad = context.backend.bias_relu_dropout_backward(grad, out, rate)
        return *_product_gradients(context, x, weight, grad), bias_grad


def _product_gradients(context: Context, x: np.ndarray, weight: np.ndarray, grad: np.ndarray) -> tuple[Any, Any]:
    """Gradients of the product x weight by x (where needed; its rows lie as x's do) and by weight."""
    spacing = x.strides[0] // x.itemsize
    by_x = context.backend.matmul(grad, weight.T, spacing=spacing) if context.needs[0] else None
    return by_x, context.backend.matmul(x.T, grad)


class _ReLU(Function):
    @staticmethod
    def forward(context: Context, x: np.ndarray, *, rate: float, key: DropoutKey | None) -> np.ndarray:
        out = x.copy()
        context.backend.bias_relu_dropout_(out, np.zeros(x.shape[1], x.dtype), rate, key)
        context.saved = out, rate
        return out

    @staticmethod
    def backward(context: Context, grad: np.ndarray) -> tuple[Any, ...]:
        out, rate = context.saved
        return (context.backend.bias_relu_dropout_backward(grad, out, rate)[0],)


class _Dropout(Function):
    @staticmethod
    def forward(context: Context, x: np.ndarray, *, rate: float, key: DropoutKey) -> np.ndarray:
        context.saved = rate, key
        return context.backend.dropout(x, rate, key)

    @staticmethod
    def backward(context: Context, grad: np.ndarray) -> tuple[Any, ...]:
        return (context.backend.dropout(grad, *context.saved),)


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


class _Squeeze(Function):
    @staticmethod
    def forward(context: Context, x: np.ndarray) -> np.ndarray:
        return x.reshape(len(x))

    @staticmethod
    def backward(context: Context, grad: np.ndarray) -> tuple[Any, ...]:
        return (grad[:, None],)
