"""Embedding and MLP: z = bias + MLP([e_1, ..., e_F, numbers]) (Covington et al., "Deep Neural Networks for YouTube
Recommendations", RecSys 2016, section 4, with one embedding a field).

e_s [D] are the fields of the deep part, numbers [I] the raw numbers; the first layer has F D + I inputs. Parameters:
V D + 1 and the MLP's.
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


class EmbeddingMLP(Model):
    """A deep part alone: neither first order nor pairs."""

    def __init__(
        self, shape: Shape, backend: Backend, *, dim: int = 16, hidden: Sequence[int] = (400, 400),
        dropout: float = 0.5, batch_norm: bool = False, init_std: float = 0.01, seed: int = 0,
    ) -> None:  # fmt: skip
        if not shape.dense:
            shape.require("mlp", "deep")
        super().__init__(shape, backend)
        self.embedding = shape.embedding(dim, backend, seed=seed, init_std=init_std, first_order="none")
        width = shape.fields_of("deep") * dim + shape.dense
        self.mlp = MLP(width, hidden, backend, seed=seed, dropout=dropout, batch_norm=batch_norm)
        self.bias = parameter(np.array([shape.bias]), backend)

    def forward(self, batch: Batch) -> Tensor:
        """Batch -> logits [B]. InputError for samples without fields (pooling "none")."""
        (deep,) = self.embedding(batch, "deep")
        return ops.add(self.mlp(deep), self.bias)
