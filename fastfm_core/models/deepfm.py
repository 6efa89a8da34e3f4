"""DeepFM: z = bias + sum_s w_s + sum_{s<t} <e_s, e_t> + MLP([e_1, ..., e_F, numbers]) (Guo et al., IJCAI 2017).

First order of every feature, all second-order pairs or those that ``pairs`` picks, and a deep part on the very same
embeddings e_s [D]; raw numbers [I] enter the deep part only. Parameters: V (D + 1) + 1 and the MLP's, whose input has
F D + I columns, F counting the fields of the deep part.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastfm_core import ops
from fastfm_core.autograd import Tensor
from fastfm_core.backends import Backend
from fastfm_core.contract import Batch
from fastfm_core.models.base import Model, Shape, Terms
from fastfm_core.nn import MLP, parameter
from fastfm_core.nn.crosses import weighted_pairs


class DeepFM(Model):
    """FM and MLP on one embedding, trained together."""

    def __init__(
        self, shape: Shape, backend: Backend, *, dim: int = 16, hidden: Sequence[int] = (400, 400),
        dropout: float = 0.5, batch_norm: bool = False, init_std: float = 0.01, pairs: str = "all", seed: int = 0,
    ) -> None:  # fmt: skip
        if not shape.dense:
            shape.require("deepfm", "deep")
        super().__init__(shape, backend)
        self.embedding = shape.embedding(
            dim, backend, seed=seed, init_std=init_std, crosses=shape.crosses("deepfm", pairs, backend)
        )
        width = shape.fields_of("deep") * dim + shape.dense
        self.mlp = MLP(width, hidden, backend, seed=seed, dropout=dropout, batch_norm=batch_norm)
        self.bias = parameter(np.array([shape.bias]), backend)
        self.crossing = shape.fields_of("pairs")

    def terms(self) -> Terms:
        """First order and pairs."""
        return Terms(self.embedding, 1.0, *weighted_pairs(self.embedding.crosses, self.crossing))

    def forward(self, batch: Batch) -> Tensor:
        """Batch -> logits [B]. InputError for samples without fields (pooling "none")."""
        first, pairs, deep = self.embedding(batch, "first", "pairs", "deep")
        return ops.add(first, pairs, self.mlp(deep), self.bias)
