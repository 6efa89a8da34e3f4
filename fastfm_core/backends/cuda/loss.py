"""Losses with their gradients, two launches each; a loss is a float64 array of no dimension, which stays on the device.

Shapes and formulas: the contract.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfm_core.backends.cuda.device import THREADS, blocks_for, instance, lanes_for, launch, xp
from fastfm_core.backends.cuda.shapes import BLOCKS, FLOATS

FILE = "loss.cu"
NAMES = ("sample_losses", "sample_gradients", "group_losses", "group_gradients")
INSTANCES = {FILE: [instance(name, dtype) for name in NAMES for dtype in FLOATS]}


def bce_with_logits(logits: Any, labels: Any, weights: Any) -> tuple[Any, Any]:
    return _of_samples(logits, labels, weights, squared=False)


def mean_squared_error(predictions: Any, labels: Any, weights: Any) -> tuple[Any, Any]:
    return _of_samples(predictions, labels, weights, squared=True)


def softmax_cross_entropy(logits: Any, weights: Any) -> tuple[Any, Any]:
    return _of_groups(logits, weights, ranked=False)


def bpr(logits: Any, weights: Any) -> tuple[Any, Any]:
    return _of_groups(logits, weights, ranked=True)


def _of_samples(predictions: Any, labels: Any, weights: Any, squared: bool) -> tuple[Any, Any]:
    samples, dtype = len(predictions), predictions.dtype
    blocks = blocks_for(samples)
    sums, mean, grad = _outputs(predictions, blocks)
    parts, inputs = sums.shape[1], (predictions, labels, weights)
    launch(FILE, instance("sample_losses", dtype), parts, *inputs, sums, samples, squared)
    name = instance("sample_gradients", dtype)
    launch(FILE, name, max(blocks, 1), *inputs, sums, mean, grad, samples, parts, squared)
    return mean, grad


def _of_groups(logits: Any, weights: Any, ranked: bool) -> tuple[Any, Any]:
    (samples, columns), dtype = logits.shape, logits.dtype
    across = lanes_for(columns)
    blocks = blocks_for(samples, THREADS // across)
    sums, mean, grad = _outputs(logits, blocks)
    parts, shape = sums.shape[1], (samples, columns, across)
    launch(FILE, instance("group_losses", dtype), parts, logits, weights, sums, *shape, ranked)
    name = instance("group_gradients", dtype)
    launch(FILE, name, max(blocks, 1), logits, weights, sums, mean, grad, *shape, parts, ranked)
    return mean, grad


def _outputs(logits: Any, blocks: int) -> tuple[Any, Any, Any]:
    """Each block's sums of losses and of weights, [2, parts]; the loss; the gradient."""
    sums = xp.empty((2, min(blocks, BLOCKS)), np.float64)
    return sums, xp.empty((), np.float64), xp.empty_like(logits)
