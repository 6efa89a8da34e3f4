"""Interactions of given field vectors e [B, F, D], C-contiguous. Formulas and source: ``fastfm_core.contract``."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfm_core.backends.numba_cpu.launch import ranges, workspace
from fastfm_core.backends.numba_cpu.vector import fill, lanes, load, store, total, zeros
from fastfm_core.compilation import kernel


def fm_interaction(fields: np.ndarray) -> np.ndarray:
    return _interaction(fields, per_dim=False)


def fm_interaction_backward(grad: np.ndarray, fields: np.ndarray) -> np.ndarray:
    return _interaction_backward(grad[:, None], fields)


def bi_interaction(fields: np.ndarray) -> np.ndarray:
    return _interaction(fields, per_dim=True)


def bi_interaction_backward(grad: np.ndarray, fields: np.ndarray) -> np.ndarray:
    return _interaction_backward(grad, fields)


def _interaction(fields: np.ndarray, *, per_dim: bool) -> np.ndarray:
    samples, count, dim = fields.shape
    out = workspace.empty((samples, dim) if per_dim else (samples,), fields.dtype)
    bytes_each = count * dim * fields.itemsize
    ranges(_forward, samples, bytes_each, fields, out.reshape(samples, dim if per_dim else 1), per_dim)
    return out


def _interaction_backward(grad: np.ndarray, fields: np.ndarray) -> np.ndarray:
    samples, count, dim = fields.shape
    out = workspace.empty(fields.shape, fields.dtype)
    ranges(_backward, samples, 2 * count * dim * fields.itemsize, grad, fields, out)
    return out


@kernel
def _forward(low: Any, high: Any, fields: Any, out: Any, per_dim: Any) -> None:
    count, dim = fields.shape[1], fields.shape[2]
    half = fill(fields, 0.5)
    for b in range(low, high):
        pair = zeros(fields)
        for c in range(0, dim, lanes(fields)):
            sum_, own = zeros(fields), zeros(fields)
            for f in range(count):
                term = load(fields, (b * count + f) * dim + c, dim - c)
                sum_ += term
                own += term * term
            crosses = half * (sum_ * sum_ - own)
            if per_dim:
                store(out, b * dim + c, dim - c, crosses)
            else:
                pair += crosses
        if not per_dim:
            out[b, 0] = total(pair)


@kernel
def _backward(low: Any, high: Any, grad: Any, fields: Any, out: Any) -> None:
    """de_f = grad (S - e_f); grad is [B, 1] or [B, D]."""
    count, dim = fields.shape[1], fields.shape[2]
    for b in range(low, high):
        for c in range(0, dim, lanes(fields)):
            sum_ = zeros(fields)
            for f in range(count):
                sum_ += load(fields, (b * count + f) * dim + c, dim - c)
            scale = fill(fields, grad[b, 0]) if grad.shape[1] == 1 else load(grad, b * dim + c, dim - c)
            for f in range(count):
                offset = (b * count + f) * dim + c
                store(out, offset, dim - c, scale * (sum_ - load(fields, offset, dim - c)))
