"""Losses with their gradients: of logits or predictions [B], and of groups [B, C] whose first column is the positive.

Losses are added up in float64 and returned as Python floats; gradients keep the dtype of their input.
Shapes and formulas: ``fastfm_core.contract``.
"""

from __future__ import annotations

import numpy as np

from fastfm_core.contract import Array


def bce_with_logits(logits: Array, labels: Array, weights: Array | None) -> tuple[float, Array]:
    """softplus(z) - y z = max(z, 0) - y z + log(1 + exp(-|z|)), stable at any z."""
    z, y = logits.astype(np.float64), labels.astype(np.float64)
    small = np.exp(-np.abs(z))
    sigmoid = np.where(z >= 0, 1, small) / (1 + small)
    losses = np.maximum(z, 0) - y * z + np.log1p(small)
    return _weighted_mean(losses, sigmoid - y, weights, logits.dtype)


def mean_squared_error(predictions: Array, labels: Array, weights: Array | None) -> tuple[float, Array]:
    """(p - y)^2."""
    error = predictions.astype(np.float64) - labels.astype(np.float64)
    return _weighted_mean(error**2, 2 * error, weights, predictions.dtype)


def softmax_cross_entropy(logits: Array, weights: Array | None) -> tuple[float, Array]:
    """log sum_c exp(z_c) - z_0, with the largest logit's 1 kept apart from the other exponentials."""
    z = logits.astype(np.float64)
    top = np.expand_dims(z.argmax(axis=1), 1)
    powers = np.exp(z - np.take_along_axis(z, top, axis=1))
    rest = powers.copy()
    np.put_along_axis(rest, top, 0.0, axis=1)
    rest = rest.sum(axis=1)
    losses = np.take_along_axis(z, top, axis=1)[:, 0] - z[:, 0] + np.log1p(rest)
    slopes = powers / (1 + rest)[:, None]
    slopes[:, 0] = -slopes[:, 1:].sum(axis=1)
    return _weighted_mean(losses, slopes, weights, logits.dtype)


def bpr(logits: Array, weights: Array | None) -> tuple[float, Array]:
    """softplus(z_c - z_0), averaged over the negatives c > 0."""
    apart = logits[:, 1:].astype(np.float64) - logits[:, :1].astype(np.float64)
    negatives = max(apart.shape[1], 1)
    small = np.exp(-np.abs(apart))
    losses = (np.maximum(apart, 0) + np.log1p(small)).sum(axis=1) / negatives
    by_negative = np.where(apart >= 0, 1, small) / (1 + small) / negatives
    slopes = np.concatenate([-by_negative.sum(axis=1, keepdims=True), by_negative], axis=1)
    return _weighted_mean(losses, slopes, weights, logits.dtype)


def _weighted_mean(losses: Array, slopes: Array, weights: Array | None, dtype: np.dtype) -> tuple[float, Array]:
    """Sum of w * loss over the sum of w, samples in order, and its gradient; 0 where the weights sum to nothing."""
    w = np.ones(len(losses)) if weights is None else weights.astype(np.float64)
    total, weight = 0.0, 0.0
    for b in range(len(losses)):
        total += float(w[b] * losses[b])
        weight += float(w[b])
    if weight == 0:
        return 0.0, np.zeros(slopes.shape, dtype)
    return total / weight, ((w * slopes.T).T / weight).astype(dtype)
