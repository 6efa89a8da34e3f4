"""What every model has: logits from a batch, with the tape in training and without it in prediction."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from fastfm_core.autograd import Tensor, no_grad
from fastfm_core.backends import Backend
from fastfm_core.contract import Batch
from fastfm_core.errors import InputError
from fastfm_core.nn import Module, Uses


class Shape(NamedTuple):
    """What a model needs to know about the data it is built for.

    rows       V, rows of the arena
    fields     F, slots a sample
    dense      I, raw numbers a sample
    bias       where the output starts: the logit of the base rate, or the mean label in regression
    zero_rows  [k] rows that start at 0 (unknown values), or None
    uses       which fields take part in first order, pairs and deep part, each [F] bool; None: all in all
    """

    rows: int
    fields: int
    dense: int = 0
    bias: float = 0.0
    zero_rows: np.ndarray | None = None
    uses: Uses | None = None

    def fields_of(self, part: str) -> int:
        """How many fields take part in "first", "pairs" or "deep"."""
        return self.fields if self.uses is None else int(getattr(self.uses, part).sum())

    def require(self, model: str, *parts: str) -> None:
        """InputError where no field takes part in any of ``parts``: the model would learn nothing but its bias."""
        if not any(map(self.fields_of, parts)):
            raise InputError(
                f"{model}: no column takes part in {' or '.join(parts)}; add one of them to a column's use"
            )


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
