"""Dense layers: products with bias, fused bias + ReLU + dropout, and the sum of a model's outputs."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfm_core.autograd import Context, Function, Tensor
from fastfm_core.contract import DropoutKey


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
    return _Add.apply(first, *others)


def flatten(x: Tensor) -> Tensor:
    """[B, ...] -> [B, product of the rest]; [B, 1] -> [B]."""
    return _Flatten.apply(x)


class _Linear(Function):
    @staticmethod
    def forward(context: Context, x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
        context.saved = x, weight
        return np.add(product := context.backend.matmul(x, weight), bias, out=product)

    @staticmethod
    def backward(context: Context, grad: np.ndarray) -> tuple[Any, ...]:
        return _product_gradients(context, grad, grad.sum(axis=0))


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
        context.saved = x, weight
        return _product_gradients(context, grad, bias_grad)


def _product_gradients(context: Context, grad: np.ndarray, bias_grad: np.ndarray) -> tuple[Any, ...]:
    """Gradients of x weight + bias by x (where needed), weight and bias."""
    x, weight = context.saved
    by_weight = context.backend.matmul(x.T, grad)
    by_x = context.backend.matmul(grad, weight.T) if context.needs[0] else None
    return by_x, by_weight, bias_grad


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


class _Flatten(Function):
    @staticmethod
    def forward(context: Context, x: np.ndarray) -> np.ndarray:
        context.saved = (x.shape,)
        flat = x.reshape(len(x), int(np.prod(x.shape[1:])))
        return flat[:, 0] if flat.shape[1] == 1 else flat

    @staticmethod
    def backward(context: Context, grad: np.ndarray) -> tuple[Any, ...]:
        return (grad.reshape(context.saved[0]),)
