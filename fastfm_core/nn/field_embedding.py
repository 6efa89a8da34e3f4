"""FieldEmbedding: one arena of embedding rows for all fields, with a first-order weight for every row."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfm_core import ops, random
from fastfm_core.autograd import Tensor
from fastfm_core.backends import Backend
from fastfm_core.backends.memory import aligned_zeros
from fastfm_core.contract import Batch
from fastfm_core.nn.module import Module
from fastfm_core.nn.uses import Uses, entries_of_fields


class FieldEmbedding(Module):
    """table [V, D] and linear [V] (first order), looked up in one pass by the parts that read the same fields.

    rows       V, of all fields together; field f owns a contiguous range
    dim        D; 0 leaves the first order alone
    init_std   rows start at N(0, init_std), first-order weights at 0
    zero_rows  [k] row numbers that start at 0 instead: the unknown rows
    uses       the fields of first order, pairs and deep part; None: all fields everywhere
    stream     another one for a second embedding of a model, which has the same seed
    """

    tables = ("table", "linear")

    def __init__(
        self, rows: int, dim: int, backend: Backend, *, seed: int, init_std: float = 0.01,
        zero_rows: np.ndarray | None = None, uses: Uses | None = None, stream: int = 0,
    ) -> None:  # fmt: skip
        self.uses = uses
        table = aligned_zeros((rows, dim), np.float32)
        random.generator(seed, 1, stream).standard_normal(dtype=np.float32, out=table)
        table *= np.float32(init_std)
        if zero_rows is not None:
            table[zero_rows] = 0
        self.table = Tensor(table, backend, requires_grad=dim > 0)
        self.linear = Tensor(aligned_zeros((rows,), np.float32, line=1), backend, requires_grad=True)

    def forward(self, batch: Batch, *, deep: bool = False) -> tuple[Tensor, Tensor, Tensor | None]:
        """-> (first order [B], pairs [B], deep input [B, F*D + I] or None), F the fields of the deep part."""
        if self.uses is None:
            return ops.embedding_fm(self.table, self.linear, batch.entries, batch.dense, deep=deep)
        found = self._absent(batch)
        pairs = ["pairs"] if self.table.requires_grad else []
        for fields, parts in self.uses.lookups(["first", *pairs, *(["deep"] if deep else [])]):
            entries = entries_of_fields(batch.entries, fields)
            table = Tensor(self.table.data[:, :0], self.table.backend) if parts == ["first"] else self.table
            linear = self.linear if "first" in parts else None
            out = ops.embedding_fm(table, linear, entries, batch.dense, deep="deep" in parts)
            found |= {part: tensor for part, tensor in zip(Uses._fields, out, strict=True) if part in parts}
        return found["first"], found["pairs"], found["deep"] if deep else None

    def _absent(self, batch: Batch) -> dict[str, Any]:
        """What each part is when it has no field."""
        samples, dtype, backend = batch.entries.samples, self.linear.data.dtype, self.linear.backend
        zeros = Tensor(np.zeros(samples, dtype), backend)
        numbers = np.zeros((samples, 0), dtype) if batch.dense is None else batch.dense
        return {"first": zeros, "pairs": zeros, "deep": Tensor(numbers, backend)}
