"""What every model has: logits from a batch, with the tape in training and without it in prediction."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from fastfm_core.autograd import Tensor, no_grad
from fastfm_core.backends import Backend
from fastfm_core.contract import Batch
from fastfm_core.nn import Module


class Shape(NamedTuple):
    """What a model needs to know about the data it is built for.

    rows       V, rows of the arena
    fields     F, slots a sample
    dense      I, raw numbers a sample
    bias       where the output starts: the logit of the base rate, or the mean label in regression
    zero_rows  [k] rows that start at 0 (unknown values), or None
    """

    rows: int
    fields: int
    dense: int = 0
    bias: float = 0.0
    zero_rows: np.ndarray | None = None


class Model(Module):
    """A module that maps a Batch to logits [B]. It names its backend so that trainers can ask for its kernels."""

    backend: Backend
    forward: Callable[[Batch], Tensor]

    def predict(self, batch: Batch) -> np.ndarray:
        """Logits [B] in evaluation mode, nothing recorded; the mode is restored. Not beside a thread that trains it."""
        training = self.training
        self.eval()
        try:
            with no_grad():
                return self.forward(batch).data.copy()
        finally:
            if training:
                self.train()
