"""Factorization machine: z = bias + sum_s w_s + sum_{s<t} <e_s, e_t> (Rendle, ICDM 2010, equation 1).

e_s [D] is the pooled embedding of slot s; all second-order pairs of slots, by 1/2 (|sum e|^2 - sum |e|^2).
Parameters: V (D + 1) + 1.
"""

from __future__ import annotations

import numpy as np

from fastfm_core import ops
from fastfm_core.autograd import Tensor
from fastfm_core.backends import Backend
from fastfm_core.contract import Batch
from fastfm_core.models.base import Model, Shape
from fastfm_core.nn import FieldEmbedding, parameter


class FM(Model):
    """First and second order; raw numbers take no part."""

    def __init__(self, shape: Shape, backend: Backend, *, dim: int = 16, init_std: float = 0.01, seed: int = 0) -> None:
        shape.require("fm", "first", "pairs")
        self.backend = backend
        self.embedding = FieldEmbedding(
            shape.rows, dim, backend, seed=seed, init_std=init_std, zero_rows=shape.zero_rows, uses=shape.uses
        )
        self.bias = parameter(np.array([shape.bias]), backend)

    def forward(self, batch: Batch) -> Tensor:
        """Batch -> logits [B]."""
        first, pairs, _ = self.embedding(batch)
        return ops.add(first, pairs, self.bias)
