"""Losses with their gradients in one pass, samples in order in float64. Formulas and sources: the contract."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfm_core.backends.numba_cpu.launch import given, workspace
from fastfm_core.compilation import kernel


def bce_with_logits(logits: np.ndarray, labels: np.ndarray, weights: np.ndarray | None) -> tuple[float, np.ndarray]:
    grad = workspace.empty(logits.shape, logits.dtype)
    return _bce(logits, labels, given(weights, 1, logits.dtype), _mass(logits, weights), grad), grad


def mean_squared_error(
    predictions: np.ndarray, labels: np.ndarray, weights: np.ndarray | None
) -> tuple[float, np.ndarray]:
    grad = workspace.empty(predictions.shape, predictions.dtype)
    return _mse(predictions, labels, given(weights, 1, predictions.dtype), _mass(predictions, weights), grad), grad


def softmax_cross_entropy(logits: np.ndarray, weights: np.ndarray | None) -> tuple[float, np.ndarray]:
    grad = workspace.empty(logits.shape, logits.dtype)
    return _softmax(logits, given(weights, 1, logits.dtype), _mass(logits, weights), grad), grad


def bpr(logits: np.ndarray, weights: np.ndarray | None) -> tuple[float, np.ndarray]:
    grad = workspace.empty(logits.shape, logits.dtype)
    return _bpr(logits, given(weights, 1, logits.dtype), _mass(logits, weights), grad), grad


def _mass(values: np.ndarray, weights: np.ndarray | None) -> float:
    """What a mean loss divides by; 1 where that is 0, so that a batch without weight has loss 0."""
    mass = float(len(values)) if weights is None else float(weights.sum(dtype=np.float64))
    return mass or 1.0


@kernel
def _bce(logits: Any, labels: Any, weights: Any, mass: Any, grad: Any) -> float:
    loss = 0.0
    for i in range(len(logits)):
        z, y = np.float64(logits[i]), np.float64(labels[i])
        weight = np.float64(weights[i]) if weights.size else 1.0
        small = np.exp(-abs(z))
        sigmoid = 1.0 / (1.0 + small) if z >= 0 else small / (1.0 + small)
        loss += weight * (max(z, 0.0) - y * z + np.log1p(small))
        grad[i] = weight * (sigmoid - y) / mass
    return loss / mass


@kernel
def _mse(predictions: Any, labels: Any, weights: Any, mass: Any, grad: Any) -> float:
    loss = 0.0
    for i in range(len(predictions)):
        error = np.float64(predictions[i]) - np.float64(labels[i])
        weight = np.float64(weights[i]) if weights.size else 1.0
        loss += weight * error * error
        grad[i] = 2.0 * weight * error / mass
    return loss / mass


@kernel
def _softmax(logits: Any, weights: Any, mass: Any, grad: Any) -> float:
    loss = 0.0
    for i in range(len(logits)):
        z = logits[i]
        weight = np.float64(weights[i]) if weights.size else 1.0
        top = 0
        for j in range(1, len(z)):
            if z[j] > z[top] or np.isnan(z[j]):
                top = j
        rest, others = 0.0, 0.0
        for j in range(len(z)):
            power = 1.0 if j == top else np.exp(np.float64(z[j]) - np.float64(z[top]))
            if j != top:
                rest += power
            if j != 0:
                others += power
            grad[i, j] = power
        loss += weight * (np.float64(z[top]) - np.float64(z[0]) + np.log1p(rest))
        share = weight / mass / (1.0 + rest)
        for j in range(1, len(z)):
            grad[i, j] = share * np.float64(grad[i, j])
        grad[i, 0] = -share * others
    return loss / mass


@kernel
def _bpr(logits: Any, weights: Any, mass: Any, grad: Any) -> float:
    negatives = max(logits.shape[1] - 1, 1)
    loss = 0.0
    for i in range(len(logits)):
        weight = (np.float64(weights[i]) if weights.size else 1.0) / negatives
        slopes = 0.0
        for j in range(1, logits.shape[1]):
            apart = np.float64(logits[i, j]) - np.float64(logits[i, 0])
            small = np.exp(-abs(apart))
            slope = 1.0 / (1.0 + small) if apart >= 0 else small / (1.0 + small)
            loss += weight * (max(apart, 0.0) + np.log1p(small))
            slopes += slope
            grad[i, j] = weight * slope / mass
        grad[i, 0] = -weight * slopes / mass
    return loss / mass
