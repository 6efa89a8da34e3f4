"""Batch normalization (Ioffe & Szegedy, ICML 2015) with the batch's own statistics, or with given ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfm_core.autograd import Context, Function, Tensor


def batch_norm(x: Tensor, gamma: Tensor, beta: Tensor, eps: float) -> tuple[Tensor, np.ndarray, np.ndarray]:
    """x [B, H] -> (gamma (x - mean) / sqrt(variance + eps) + beta [B, H], mean [H], biased variance [H])."""
    out, mean, variance = _BatchNorm.apply(x, gamma, beta, eps=eps)
    return out, mean.data, variance.data


def normalize(x: Tensor, gamma: Tensor, beta: Tensor, mean: np.ndarray, variance: np.ndarray, eps: float) -> Tensor:
    """The same with given statistics, as in evaluation."""
    return _Normalize.apply(x, gamma, beta, mean=mean, scale=1.0 / np.sqrt(variance + x.data.dtype.type(eps)))


class _BatchNorm(Function):
    @staticmethod
    def forward(context: Context, x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, *, eps: float) -> tuple[Any, ...]:
        out, mean, variance = context.backend.batch_norm(x, gamma, beta, eps)
        context.saved = x, gamma, mean, variance, eps
        return out, mean, variance

    @staticmethod
    def backward(context: Context, grad: np.ndarray, *_statistics: Any) -> tuple[Any, ...]:
        return context.backend.batch_norm_backward(grad, *context.saved)


class _Normalize(Function):
    @staticmethod
    def forward(
        context: Context, x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, *, mean: np.ndarray, scale: np.ndarray
    ) -> np.ndarray:
        normal = (x - mean) * scale
        context.saved = normal, gamma, scale
        return normal * gamma + beta

    @staticmethod
    def backward(context: Context, grad: np.ndarray) -> tuple[Any, ...]:
        normal, gamma, scale = context.saved
        return grad * gamma * scale, (grad * normal).sum(axis=0), grad.sum(axis=0)
