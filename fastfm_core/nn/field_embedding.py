"""FieldEmbedding: one arena of embedding rows for all fields, with a first-order weight for every row."""

from __future__ import annotations

import numpy as np

from fastfm_core import ops, random
from fastfm_core.autograd import Tensor
from fastfm_core.backends import Backend
from fastfm_core.backends.memory import aligned_zeros
from fastfm_core.contract import Batch
from fastfm_core.nn.module import Module


class FieldEmbedding(Module):
    """table [V, D] and linear [V] (first order), both looked up in one pass.

    rows       V, of all fields together; field f owns a contiguous range
    dim        D; 0 leaves the first order alone
    init_std   rows start at N(0, init_std), first-order weights at 0
    zero_rows  [k] row numbers that start at 0 instead: the unknown rows
    stream     another one for a second embedding of a model, which has the same seed
    """

    tables = ("table", "linear")

    def __init__(
        self, rows: int, dim: int, backend: Backend, *, seed: int, init_std: float = 0.01,
        zero_rows: np.ndarray | None = None, stream: int = 0,
    ) -> None:  # fmt: skip
        table = aligned_zeros((rows, dim), np.float32)
        random.generator(seed, 1, stream).standard_normal(dtype=np.float32, out=table)
        table *= np.float32(init_std)
        if zero_rows is not None:
            table[zero_rows] = 0
        self.table = Tensor(table, backend, requires_grad=dim > 0)
        self.linear = Tensor(aligned_zeros((rows,), np.float32, line=1), backend, requires_grad=True)

    def forward(self, batch: Batch, *, deep: bool = False) -> tuple[Tensor, Tensor, Tensor | None]:
        """-> (first order [B], pairs [B], deep input [B, F*D + I] or None)."""
        return ops.embedding_fm(self.table, self.linear, batch.entries, batch.dense, deep=deep)
