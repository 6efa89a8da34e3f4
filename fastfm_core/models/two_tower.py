"""Two towers: z = bias + <MLP_u([e_s: user]), MLP_i([e_s: item])> (Huang et al., "DSSM", CIKM 2013; Yi et al., RecSys
2019; no normalization of the two vectors).

Each tower maps its columns' embeddings, side by side, to D numbers by hidden ReLU layers and a linear one, so that
users and items can be embedded apart and items searched by inner product. Parameters: V D + 1 and both MLPs'.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastfm_core import ops
from fastfm_core.autograd import Tensor
from fastfm_core.backends import Backend
from fastfm_core.contract import Batch
from fastfm_core.models.base import Model, Shape
from fastfm_core.nn import MLP, Sides, parameter


class TwoTower(Model):
    """An inner product of what two MLPs make of user and item; other columns and raw numbers take no part."""

    def __init__(
        self, shape: Shape, backend: Backend, *, dim: int = 16, hidden: Sequence[int] = (400, 400),
        dropout: float = 0.5, batch_norm: bool = False, init_std: float = 0.01, seed: int = 0,
    ) -> None:  # fmt: skip
        shape = shape.of_sides("two_tower")
        super().__init__(shape, backend)
        self.embedding = shape.embedding(dim, backend, seed=seed, init_std=init_std, first_order="none")
        self.sides = Sides(*shape.side("two_tower"), backend)
        self.user, self.item = (
            MLP(
                int(side.sum()) * dim, hidden, backend, seed=seed, dropout=dropout, batch_norm=batch_norm,
                stream=stream, outputs=dim,
            )
            for stream, side in enumerate(shape.side("two_tower"))
        )  # fmt: skip
        self.bias = parameter(np.array([shape.bias]), backend)

    def forward(self, batch: Batch) -> Tensor:
        """Batch -> logits [B]."""
        (vectors,) = self.embedding(batch, "vectors")
        user, item = self.sides.vectors(vectors)
        return ops.add(ops.inner(self.user(ops.flatten(user)), self.item(ops.flatten(item))), self.bias)
