"""The MLP of neural collaborative filtering: z = bias + MLP([p_u, q_i]) (He et al., WWW 2017, equation 10).

p_u, q_i are the embeddings of the user's and the item's columns, side by side: the MLP's first layer has F D inputs, F
counting the columns of both sides. Parameters: V D + 1 and the MLP's.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastfm_core import ops
from fastfm_core.autograd import Tensor
from fastfm_core.backends import Backend
from fastfm_core.contract import Batch
from fastfm_core.models.base import Model, Shape
from fastfm_core.nn import MLP, parameter


class NCFMLP(Model):
    """An MLP on user and item; other columns and raw numbers take no part."""

    def __init__(
        self, shape: Shape, backend: Backend, *, dim: int = 16, hidden: Sequence[int] = (400, 400),
        dropout: float = 0.5, batch_norm: bool = False, init_std: float = 0.01, seed: int = 0,
    ) -> None:  # fmt: skip
        shape = shape.of_sides("ncf_mlp")
        super().__init__(shape, backend)
        self.embedding = shape.embedding(dim, backend, seed=seed, init_std=init_std, first_order="none")
        width = shape.fields_of("pairs") * dim
        self.mlp = MLP(width, hidden, backend, seed=seed, dropout=dropout, batch_norm=batch_norm)
        self.bias = parameter(np.array([shape.bias]), backend)

    def forward(self, batch: Batch) -> Tensor:
        """Batch -> logits [B]."""
        (vectors,) = self.embedding(batch, "vectors")
        return ops.add(self.mlp(ops.flatten(vectors)), self.bias)
