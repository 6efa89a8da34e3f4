"""PairPool: the products of pairs of field vectors, pooled: NFM's bi-interaction and its kin."""

from __future__ import annotations

import numpy as np

from fastfm_core import ops
from fastfm_core.autograd import Tensor
from fastfm_core.backends import Backend
from fastfm_core.contract import Product
from fastfm_core.nn.layers import BatchNorm, Dropout
from fastfm_core.nn.module import Module

LAYER = 1 << 15  # of the dropout's draws; a tower's layers count from 0


class PairPool(Module):
    """[B, F, D] -> [B, ``width``], then batch norm and dropout where they are asked for.

    pairs    [P, 2] int32 positions among the F fields
    product  inner: 1 number a pair; elementwise: D; outer: D^2
    pooling  sum, mean, max: as many in all; none: P times as many, pair after pair
    """

    def __init__(
        self, pairs: np.ndarray, dim: int, backend: Backend, *, product: Product = "elementwise", pooling: str = "sum",
        dropout: float = 0.0, batch_norm: bool = False, seed: int = 0,
    ) -> None:  # fmt: skip
        self._pairs, self.pooling = backend.to_device(pairs), pooling
        self.product: Product = product
        self.width = {"inner": 1, "elementwise": dim, "outer": dim**2}[product] * (
            len(pairs) if pooling == "none" else 1
        )
        self.norm = BatchNorm(self.width, backend) if batch_norm else None
        self.drop = Dropout(dropout, seed=seed, layer=LAYER)

    def forward(self, vectors: Tensor) -> Tensor:
        """[B, F, D] -> [B, width]."""
        fields = vectors.data.shape[1]
        if (self.product, self.pooling, len(self._pairs)) == ("elementwise", "sum", fields * (fields - 1) // 2):
            pooled = ops.bi_interaction(vectors)
        else:
            products = ops.pair_products(vectors, self._pairs, self.product)
            pooled = ops.flatten(products) if self.pooling == "none" else ops.pool_pairs(products, self.pooling)
        return self.drop(pooled if self.norm is None else self.norm(pooled))
