"""Dense layers: products with bias, for all or for each field, and fused bias + ReLU + dropout."""

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


def field_linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A linear map for each field: x [B, F, K], weight [F, K, D], bias [F, D] -> x_f weight_f + bias_f, [B, F, D]."""
    return _FieldLinear.apply(x, weight, bias)


def project(x: Tensor, weight: Tensor) -> Tensor:
    """The same linear map for every field: x [B, F, K], weight [K, D] -> x weight, [B, F, D]."""
    return _Project.apply(x, weight)


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
        context.backend.bias_relu_dropout_(out, context.backend.xp.zeros(x.shape[1], x.dtype), rate, key)
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


class _FieldLinear(Function):
    @staticmethod
    def forward(context: Context, x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
        context.saved = x, weight
        out = context.backend.xp.empty((len(x), *bias.shape), x.dtype)
        for f in range(x.shape[1]):
            out[:, f] = context.backend.matmul(x[:, f], weight[f])
        out += bias
        return out

    @staticmethod
    def backward(context: Context, grad: np.ndarray) -> tuple[Any, ...]:
        x, weight = context.saved
        xp = context.backend.xp
        by_x, by_weight = xp.empty_like(x), xp.empty_like(weight)
        for f in range(x.shape[1]):
            by_x[:, f] = context.backend.matmul(grad[:, f], weight[f].T)
            by_weight[f] = context.backend.matmul(x[:, f].T, grad[:, f])
        return by_x, by_weight, grad.sum(axis=0)


class _Project(Function):
    @staticmethod
    def forward(context: Context, x: np.ndarray, weight: np.ndarray) -> np.ndarray:
        rows = context.backend.xp.ascontiguousarray(x).reshape(-1, x.shape[2])
        context.saved = rows, weight
        return context.backend.matmul(rows, weight).reshape(*x.shape[:2], weight.shape[1])

    @staticmethod
    def backward(context: Context, grad: np.ndarray) -> tuple[Any, ...]:
        rows, weight = context.saved
        flat = context.backend.xp.ascontiguousarray(grad).reshape(len(rows), weight.shape[1])
        by_x, by_weight = _product_gradients(context, rows, weight, flat)
        return None if by_x is None else by_x.reshape(*grad.shape[:2], len(weight)), by_weight
