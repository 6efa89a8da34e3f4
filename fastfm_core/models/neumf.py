"""Neural matrix factorization: z = bias + h . [p_u * q_i, tower([p'_u, q'_i])] (He et al., WWW 2017, equation 12).

GMF and the MLP's hidden layers, each on embeddings of its own, and one head h on both. p_u, q_i [D] are sums over the
columns of a side; the tower has them side by side. Parameters: 2 V D + 1, the tower's and the head's D + H + 1, H being
the last hidden width. Trained from scratch, without the paper's pretraining.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastfm_core import ops
from fastfm_core.autograd import Tensor
from fastfm_core.backends import Backend
from fastfm_core.contract import Batch
from fastfm_core.models.base import Model, Shape
from fastfm_core.nn import Linear, Sides, Tower, parameter


class NeuMF(Model):
    """GMF beside an MLP; other columns than user's and item's, and raw numbers, take no part."""

    def __init__(
        self, shape: Shape, backend: Backend, *, dim: int = 16, hidden: Sequence[int] = (400, 400),
        dropout: float = 0.5, batch_norm: bool = False, init_std: float = 0.01, seed: int = 0,
    ) -> None:  # fmt: skip
        shape = shape.of_sides("neumf")
        super().__init__(shape, backend)
        self.product, self.deep = (
            shape.embedding(dim, backend, seed=seed, init_std=init_std, first_order="none", stream=stream)
            for stream in range(2)
        )  # fmt: skip
        self.sides = Sides(*shape.side("neumf"), backend)
        width = shape.fields_of("pairs") * dim
        self.tower = Tower(width, hidden, backend, seed=seed, dropout=dropout, batch_norm=batch_norm)
        self.head = Linear(dim + self.tower.width, 1, backend, seed=seed, layer=len(hidden))
        self.bias = parameter(np.array([shape.bias]), backend)

    def forward(self, batch: Batch) -> Tensor:
        """Batch -> logits [B]."""
        (factors,), (vectors,) = self.product(batch, "vectors"), self.deep(batch, "vectors")
        both = ops.concatenate(ops.multiply(*self.sides.sums(factors)), self.tower(ops.flatten(vectors)))
        return ops.add(ops.squeeze(self.head(both)), self.bias)
