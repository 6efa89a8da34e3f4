"""Wide & Deep: z = bias + sum_s w_s + MLP([e_1, ..., e_F, numbers]) (Cheng et al., DLRS 2016).

The wide part is the first order of its columns and of hashed crosses: a ``Cross`` column, or --cross 'a*b', gives every
combination of values a weight of its own, and takes part in nothing else. e_s [D] are the fields of the deep part,
numbers [I] the raw numbers. Parameters: V (D + 1) + 1 and the MLP's, whose input has F D + I columns.
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


class WideDeep(Model):
    """First order and MLP, trained together; no pairs of vectors."""

    def __init__(
        self, shape: Shape, backend: Backend, *, dim: int = 16, hidden: Sequence[int] = (400, 400),
        dropout: float = 0.5, batch_norm: bool = False, init_std: float = 0.01, seed: int = 0,
    ) -> None:  # fmt: skip
        if not shape.dense:
            shape.require("wide_deep", "deep")
        super().__init__(shape, backend)
        self.embedding = shape.embedding(dim, backend, seed=seed, init_std=init_std)
        width = shape.fields_of("deep") * dim + shape.dense
        self.mlp = MLP(width, hidden, backend, seed=seed, dropout=dropout, batch_norm=batch_norm)
        self.bias = parameter(np.array([shape.bias]), backend)

    def terms(self) -> Terms:
        """First order."""
        return Terms(self.embedding, 1.0)

    def forward(self, batch: Batch) -> Tensor:
        """Batch -> logits [B]. InputError for samples without fields (pooling "none")."""
        wide, deep = self.embedding(batch, "first", "deep")
        return ops.add(wide, self.mlp(deep), self.bias)
