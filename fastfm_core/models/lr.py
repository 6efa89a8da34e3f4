"""Logistic regression on the one-hot features: z = bias + sum_s w_s.

Parameters: V + 1. Rows and values enter as in the FM, w_s being the pooled first-order weight of slot s.
"""

from __future__ import annotations

import numpy as np

from fastfm_core import ops
from fastfm_core.autograd import Tensor
from fastfm_core.backends import Backend
from fastfm_core.contract import Batch
from fastfm_core.models.base import Model, Shape, Terms
from fastfm_core.nn import FieldEmbedding, parameter


class LR(Model):
    """First order only; raw numbers take no part."""

    def __init__(self, shape: Shape, backend: Backend, *, seed: int = 0) -> None:
        shape.require("lr", "first")
        super().__init__(shape, backend)
        self.embedding = FieldEmbedding(shape.rows, 0, backend, seed=seed, uses=shape.uses)
        self.bias = parameter(np.array([shape.bias]), backend)

    def terms(self) -> Terms:
        """First order."""
        return Terms(self.embedding, 1.0)

    def forward(self, batch: Batch) -> Tensor:
        """Batch -> logits [B]."""
        (first,) = self.embedding(batch, "first")
        return ops.add(first, self.bias)
