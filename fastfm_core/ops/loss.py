"""Losses: binary cross-entropy on logits and squared error, as means weighted by the samples' weights."""

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


class _Loss(Function):
    @staticmethod
    def forward(
        context: Context, outputs: np.ndarray, *, kernel: str, labels: np.ndarray, weights: np.ndarray | None
    ) -> np.ndarray:
        loss, grad = getattr(context.backend, kernel)(outputs, labels, weights)
        context.saved = (grad,)
        return np.asarray(loss, np.float64)

    @staticmethod
    def backward(context: Context, grad: np.ndarray) -> tuple[Any, ...]:
        (by_outputs,) = context.saved
        return (by_outputs if grad == 1 else by_outputs * by_outputs.dtype.type(grad),)
