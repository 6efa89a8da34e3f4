"""What training minimises: the loss that the settings name, of a batch's logits or predictions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastfm_core import ops
from fastfm_core.autograd import Tensor
from fastfm_core.config import GROUP_LOSSES, TrainConfig
from fastfm_core.contract import Batch

GROUPS = {"softmax": ops.softmax_cross_entropy, "bpr": ops.bpr}


class Objective(NamedTuple):
    """A loss, the mean over a batch by its weights.

    loss             bce, mse, softmax or bpr
    group            softmax, bpr: how many samples make a group, a positive and its negatives
    label_smoothing  bce: labels y become y (1 - s) + s / 2. Szegedy et al., CVPR 2016
    """

    loss: str
    group: int = 1
    label_smoothing: float = 0.0

    @classmethod
    def of(cls, config: TrainConfig, task: str, negatives: int = 0) -> Objective:
        """The settings' loss; ``negatives`` are sampled for each positive."""
        return cls(config.loss_of(task), 1 + negatives, config.label_smoothing)

    def __call__(self, outputs: Tensor, batch: Batch) -> Tensor:
        """outputs [B] of a batch with labels -> scalar, shape ()."""
        assert batch.labels is not None
        if self.loss in GROUP_LOSSES:
            weights = None if batch.weights is None else batch.weights[:: self.group].copy()
            return GROUPS[self.loss](outputs, self.group, weights)
        if self.loss == "mse":
            return ops.mse(outputs, batch.labels, batch.weights)
        return ops.bce_with_logits(outputs, self._smoothed(batch.labels), batch.weights)

    def _smoothed(self, labels: np.ndarray) -> np.ndarray:
        share = self.label_smoothing
        return labels * labels.dtype.type(1 - share) + labels.dtype.type(share / 2) if share else labels
