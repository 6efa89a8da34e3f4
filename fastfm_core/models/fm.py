"""Factorization machine: z = bias + sum_s w_s + sum_{s<t} <e_s, e_t> (Rendle, ICDM 2010, equation 1).

e_s [D] is the pooled embedding of slot s. All second-order pairs of slots, by 1/2 (|sum e|^2 - sum |e|^2), or those
that ``pairs`` picks. Parameters: V (D + 1) + 1.
"""

from __future__ import annotations

import numpy as np

from fastfm_core import ops
from fastfm_core.autograd import Tensor
from fastfm_core.backends import Backend
from fastfm_core.contract import Batch
from fastfm_core.models.base import Model, Shape, Terms
from fastfm_core.nn import parameter
from fastfm_core.nn.crosses import weighted_pairs


class FM(Model):
    """First and second order; raw numbers take no part."""

    def __init__(
        self, shape: Shape, backend: Backend, *, dim: int = 16, init_std: float = 0.01, pairs: str = "all",
        seed: int = 0,
    ) -> None:  # fmt: skip
        shape.require("fm", "first", "pairs")
        super().__init__(shape, backend)
        self.embedding = shape.embedding(
            dim, backend, seed=seed, init_std=init_std, crosses=shape.crosses("fm", pairs, backend)
        )
        self.bias = parameter(np.array([shape.bias]), backend)
        self.crossing = shape.fields_of("pairs")

    def terms(self) -> Terms:
        """First order and pairs."""
        return Terms(self.embedding, 1.0, *weighted_pairs(self.embedding.crosses, self.crossing))

    def forward(self, batch: Batch) -> Tensor:
        """Batch -> logits [B]."""
        first, pairs = self.embedding(batch, "first", "pairs")
        return ops.add(first, pairs, self.bias)
