"""Field-weighted FM: z = bias + sum_s w_s + sum_{s<t} r_st <e_s, e_t> (Pan et al., WWW 2018, equation 4).

r_st is one learned weight for each pair of fields, P in all; it starts at 1, where the model is the FM. The linear part
is the paper's first variant, one weight a feature. Parameters: V (D + 1) + P + 1.
"""

from __future__ import annotations

import numpy as np

from fastfm_core import ops
from fastfm_core.autograd import Tensor
from fastfm_core.backends import Backend
from fastfm_core.contract import Batch
from fastfm_core.models.base import Model, Shape, Terms
from fastfm_core.nn import Crosses, parameter
from fastfm_core.nn.crosses import weighted_pairs


class FwFM(Model):
    """First order, and pairs with a weight of their fields; raw numbers take no part."""

    def __init__(
        self, shape: Shape, backend: Backend, *, dim: int = 16, init_std: float = 0.01, pairs: str = "all",
        seed: int = 0,
    ) -> None:  # fmt: skip
        shape.require("fwfm", "pairs")
        super().__init__(shape, backend)
        self.embedding = shape.embedding(
            dim, backend, seed=seed, init_std=init_std,
            crosses=Crosses(shape.pairs("fwfm", pairs), backend, weighted=True),
        )  # fmt: skip
        self.bias = parameter(np.array([shape.bias]), backend)
        self.crossing = shape.fields_of("pairs")

    def terms(self) -> Terms:
        """First order and pairs."""
        return Terms(self.embedding, 1.0, *weighted_pairs(self.embedding.crosses, self.crossing))

    def forward(self, batch: Batch) -> Tensor:
        """Batch -> logits [B]. InputError for samples without fields (pooling "none")."""
        first, pairs = self.embedding(batch, "first", "pairs")
        return ops.add(first, pairs, self.bias)
