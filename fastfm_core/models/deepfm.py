"""DeepFM: z = bias + sum_s w_s + sum_{s<t} <e_s, e_t> + MLP([e_1, ..., e_F, numbers]) (Guo et al., IJCAI 2017).

First order of every feature, all second-order pairs, and a deep part on the very same embeddings e_s [D]; raw numbers
[I] enter the deep part only. Parameters: V (D + 1) + 1 and the MLP's, whose input has F D + I columns, F counting the
fields of the deep part.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastfm_core import ops
from fastfm_core.autograd import Tensor
from fastfm_core.backends import Backend
from fastfm_core.contract import Batch
from fastfm_core.errors import InputError
from fastfm_core.models.base import Model, Shape
from fastfm_core.nn import MLP, FieldEmbedding, parameter


class DeepFM(Model):
    """FM and MLP on one embedding, trained together."""

    def __init__(
        self, shape: Shape, backend: Backend, *, dim: int = 16, hidden: Sequence[int] = (400, 400),
        dropout: float = 0.5, batch_norm: bool = False, init_std: float = 0.01, seed: int = 0,
    ) -> None:  # fmt: skip
        if not shape.dense:
            shape.require("deepfm", "deep")
        self.backend = backend
        self.embedding = FieldEmbedding(
            shape.rows, dim, backend, seed=seed, init_std=init_std, zero_rows=shape.zero_rows, uses=shape.uses
        )
        width = shape.fields_of("deep") * dim + shape.dense
        self.mlp = MLP(width, hidden, backend, seed=seed, dropout=dropout, batch_norm=batch_norm)
        self.bias = parameter(np.array([shape.bias]), backend)

    def forward(self, batch: Batch) -> Tensor:
        """Batch -> logits [B]. InputError for samples without fields (pooling "none")."""
        if batch.entries.pooling == "none":
            raise InputError(
                'deepfm: rows without fields (pooling="none") have no deep part; give columns or libffm, or --model fm'
            )
        first, pairs, deep = self.embedding(batch, deep=True)
        return ops.add(first, pairs, self.mlp(deep), self.bias)
