"""How much samples count: by their class in the training loss, and batches among those of one step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastfm_core.contract import Batch
from fastfm_core.errors import InputError


def class_weights(setting: str | tuple[float, float], batches: Any) -> np.ndarray | None:
    """[2] float32: what the weights of the samples of class 0 and 1 are multiplied with; None: nothing.

    "balanced" gives n / (2 n_class) over the n rows of the batches, so that both classes count as much.
    """
    if setting == "none":
        return None
    if setting != "balanced":
        return np.array(setting, np.float32)
    counts = np.bincount(batches.labels.astype(np.intp), minlength=2)
    if not counts.all():
        raise InputError("class_weight=balanced: the training labels are of one class only; give more rows")
    return (counts.sum() / (2 * counts)).astype(np.float32)


def by_class(batch: Batch, weights: np.ndarray | None) -> Batch:
    """The batch with its samples' weights multiplied by their classes' ``weights`` [2]."""
    if weights is None or batch.labels is None:
        return batch
    own = weights[batch.labels.astype(np.intp)]
    return batch._replace(weights=own if batch.weights is None else own * batch.weights)


def shares(batches: Sequence[Batch]) -> list[float]:
    """Each batch's share of the mean over the samples of all: its part of their weights. One batch alone has 1."""
    if len(batches) == 1:
        return [1.0]
    sums = [b.entries.samples if b.weights is None else float(b.weights.sum(dtype=np.float64)) for b in batches]
    total = sum(sums)
    return [part / total if total else 0.0 for part in sums]
