"""Generalized matrix factorization: z = bias + h . (p_u * q_i) (He et al., "Neural Collaborative Filtering", WWW 2017,
equation 9).

p_u, q_i [D] are the vectors of user and item, each the sum of its columns' embeddings; h [D] weights their element-wise
product. Parameters: V D + D + 2.
"""

from __future__ import annotations

import numpy as np

from fastfm_core import ops
from fastfm_core.autograd import Tensor
from fastfm_core.backends import Backend
from fastfm_core.contract import Batch
from fastfm_core.models.base import Model, Shape
from fastfm_core.nn import Linear, Sides, parameter


class GMF(Model):
    """A weighted inner product of user and item; other columns and raw numbers take no part."""

    def __init__(self, shape: Shape, backend: Backend, *, dim: int = 16, init_std: float = 0.01, seed: int = 0) -> None:
        shape = shape.of_sides("gmf")
        super().__init__(shape, backend)
        self.embedding = shape.embedding(dim, backend, seed=seed, init_std=init_std, first_order="none")
        self.sides = Sides(*shape.side("gmf"), backend)
        self.head = Linear(dim, 1, backend, seed=seed, layer=0)
        self.bias = parameter(np.array([shape.bias]), backend)

    def forward(self, batch: Batch) -> Tensor:
        """Batch -> logits [B]."""
        (vectors,) = self.embedding(batch, "vectors")
        user, item = self.sides.sums(vectors)
        return ops.add(ops.squeeze(self.head(ops.multiply(user, item))), self.bias)
