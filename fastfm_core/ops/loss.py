"""Losses, as means weighted by weights: binary cross-entropy on logits, squared error, and two of groups.

A group is a positive followed by its negatives, all groups of equal size C: logits [B*C], one group after the other.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfm_core.autograd import Context, Function, Tensor


def bce_with_logits(logits: Tensor, labels: np.ndarray, weights: np.ndarray | None = None) -> Tensor:
    """Mean of softplus(z) - y z over the batch: logits [B], labels [B] in 0..1, weights [B] -> scalar, shape ()."""
    return _Loss.apply(logits, kernel="bce_with_logits", labels=labels, weights=weights)


def mse(predictions: Tensor, labels: np.ndarray, weights: np.ndarray | None = None) -> Tensor:
    """Mean of (p - y)^2 over the batch: predictions [B], labels [B], weights [B] -> scalar, shape ()."""
    return _Loss.apply(predictions, kernel="mean_squared_error", labels=labels, weights=weights)


def softmax_cross_entropy(logits: Tensor, size: int, weights: np.ndarray | None = None) -> Tensor:
    """Mean of log sum_c exp(z_c) - z_0 over groups of ``size`` = C: logits [B*C], weights [B] -> scalar, shape ()."""
    return _GroupLoss.apply(logits, kernel="softmax_cross_entropy", size=size, weights=weights)


def bpr(logits: Tensor, size: int, weights: np.ndarray | None = None) -> Tensor:
    """Mean of softplus(z_c - z_0) over the negatives of groups of ``size`` = C: logits [B*C], weights [B] -> scalar."""
    return _GroupLoss.apply(logits, kernel="bpr", size=size, weights=weights)


class _Loss(Function):
    @staticmethod
    def forward(
        context: Context, outputs: np.ndarray, *, kernel: str, labels: np.ndarray, weights: np.ndarray | None
    ) -> np.ndarray:
        loss, grad = getattr(context.backend, kernel)(outputs, labels, weights)
        context.saved = (grad,)
        return context.backend.xp.asarray(loss, np.float64)

    @staticmethod
    def backward(context: Context, grad: np.ndarray) -> tuple[Any, ...]:
        (by_outputs,) = context.saved
        if isinstance(grad, np.generic) and grad == 1:  # a number of the host's; to look at a device's, it would wait
            return (by_outputs,)
        return (by_outputs * grad.astype(by_outputs.dtype),)


class _GroupLoss(_Loss):
    @staticmethod
    def forward(
        context: Context, logits: np.ndarray, *, kernel: str, size: int, weights: np.ndarray | None
    ) -> np.ndarray:
        loss, grad = getattr(context.backend, kernel)(logits.reshape(-1, size), weights)
        context.saved = (grad.reshape(-1),)
        return context.backend.xp.asarray(loss, np.float64)
