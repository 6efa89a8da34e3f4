"""Neural FM: z = bias + sum_s w_s + MLP([pool over pairs of e_s x e_t, numbers]) (He & Chua, SIGIR 2017, equation 3).

x is the element-wise product and the pool a sum, the paper's bi-interaction [D], unless ``product`` and ``pooling`` say
otherwise: an inner product has 1 number, an element-wise one D, an outer one D^2 (Qu et al., "Product-based Neural
Networks", ICDM 2016); sum, mean and max pool the P pairs into as many, none keeps all of them side by side, P times
as many. Batch norm and dropout come before the MLP, too. Raw numbers [I] enter the MLP, which the paper does not have.
Parameters: V (D + 1) + 1 and the MLP's.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastfm_core import ops
from fastfm_core.autograd import Tensor
from fastfm_core.backends import Backend
from fastfm_core.contract import Batch, Product
from fastfm_core.models.base import Model, Shape, Terms
from fastfm_core.nn import MLP, PairPool, parameter


class NFM(Model):
    """First order, and an MLP on the pooled products of pairs."""

    def __init__(
        self, shape: Shape, backend: Backend, *, dim: int = 16, hidden: Sequence[int] = (400, 400),
        dropout: float = 0.5, batch_norm: bool = False, init_std: float = 0.01, pairs: str = "all",
        product: Product = "elementwise", pooling: str = "sum", seed: int = 0,
    ) -> None:  # fmt: skip
        shape.require("nfm", "pairs")
        super().__init__(shape, backend)
        self.embedding = shape.embedding(dim, backend, seed=seed, init_std=init_std)
        self.pool = PairPool(
            shape.pairs("nfm", pairs), dim, backend, product=product, pooling=pooling, dropout=dropout,
            batch_norm=batch_norm, seed=seed,
        )  # fmt: skip
        width = self.pool.width + shape.dense
        self.mlp = MLP(width, hidden, backend, seed=seed, dropout=dropout, batch_norm=batch_norm)
        self.bias = parameter(np.array([shape.bias]), backend)

    def terms(self) -> Terms:
        """First order."""
        return Terms(self.embedding, 1.0)

    def forward(self, batch: Batch) -> Tensor:
        """Batch -> logits [B]. InputError for samples without fields (pooling "none")."""
        first, vectors = self.embedding(batch, "first", "vectors")
        pooled = self.pool(vectors)
        if batch.dense is not None:
            pooled = ops.concatenate(pooled, Tensor(batch.dense, self.backend))
        return ops.add(first, self.mlp(pooled), self.bias)
