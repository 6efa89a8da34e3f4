"""FieldEmbedding: one arena of rows for all fields, each an embedding with its first-order weight behind it."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from fastfm_core import ops, random
from fastfm_core.autograd import Tensor
from fastfm_core.backends import Backend
from fastfm_core.backends.memory import aligned_rows, aligned_zeros
from fastfm_core.contract import Batch, Entries
from fastfm_core.errors import InputError
from fastfm_core.nn.module import Module
from fastfm_core.nn.uses import Uses, entries_of_fields

PIECE = 1 << 16  # rows drawn at a time


class FieldEmbedding(Module):
    """table [V, D + 1], its last column the first order, looked up in one pass by the parts that read the same fields.

    rows         V, of all fields together; field f owns a contiguous range
    dim          D; 0 leaves the first order alone
    init_std     embeddings start at N(0, init_std), first-order weights at 0
    zero_rows    [k] row numbers that start at 0 instead: the unknown rows
    uses         the fields of first order, pairs and deep part; None: all fields everywhere
    stream       another one for a second embedding of a model, which has the same seed
    first_order  "lane": a row's last column, which is read and updated with it; "separate": table is [V, D] and the
                 first order a parameter linear [V] of its own
    """

    def __init__(
        self, rows: int, dim: int, backend: Backend, *, seed: int, init_std: float = 0.01,
        zero_rows: np.ndarray | None = None, uses: Uses | None = None, stream: int = 0,
        first_order: Literal["lane", "separate"] = "lane",
    ) -> None:  # fmt: skip
        if first_order not in ("lane", "separate"):
            raise InputError(f"first_order must be 'lane' or 'separate', got {first_order!r}")
        self.uses, self.dim, self.lane = uses, dim, first_order == "lane"
        self.tables = ("table",) if self.lane else ("table", "linear")
        table = aligned_rows(rows, dim + self.lane, np.float32)
        _draw_(table[:, :dim], random.generator(seed, 1, stream), init_std)
        if zero_rows is not None:
            table[zero_rows] = 0
        self.table = Tensor(table, backend, requires_grad=table.shape[1] > 0)
        if not self.lane:
            self.linear = Tensor(aligned_zeros((rows,), np.float32, line=1), backend, requires_grad=True)

    def forward(self, batch: Batch, *, deep: bool = False) -> tuple[Tensor, Tensor, Tensor | None]:
        """-> (first order [B], pairs [B], deep input [B, F*D + I] or None), F the fields of the deep part."""
        if self.uses is None:
            return self._lookup(batch, batch.entries, ["first", "pairs", *(["deep"] if deep else [])])
        found = self._absent(batch)
        pairs = ["pairs"] if self.dim else []
        for fields, parts in self.uses.lookups(["first", *pairs, *(["deep"] if deep else [])]):
            out = self._lookup(batch, entries_of_fields(batch.entries, fields), parts)
            found |= {part: tensor for part, tensor in zip(Uses._fields, out, strict=True) if part in parts}
        return found["first"], found["pairs"], found["deep"] if deep else None

    def _lookup(self, batch: Batch, entries: Entries, parts: list[str]) -> tuple[Tensor, Tensor, Tensor | None]:
        """One pass over the entries for the named parts; the batch's plan is that of all its entries."""
        plan, deep = batch.plan if entries is batch.entries else None, "deep" in parts
        if self.lane:
            return ops.embedding_fm(self.table, None, entries, batch.dense, deep=deep, plan=plan, lane=True)
        table = Tensor(self.table.data[:, :0], self.table.backend) if parts == ["first"] else self.table
        linear = self.linear if "first" in parts else None
        return ops.embedding_fm(table, linear, entries, batch.dense, deep=deep, plan=plan)

    def _absent(self, batch: Batch) -> dict[str, Any]:
        """What each part is when it has no field."""
        samples, dtype, backend = batch.entries.samples, self.table.data.dtype, self.table.backend
        zeros = Tensor(np.zeros(samples, dtype), backend)
        numbers = np.zeros((samples, 0), dtype) if batch.dense is None else batch.dense
        return {"first": zeros, "pairs": zeros, "deep": Tensor(numbers, backend)}


def _draw_(embeddings: np.ndarray, generator: np.random.Generator, deviation: float) -> None:
    """Fills [V, D] with N(0, deviation), in pieces, since a generator writes to contiguous arrays alone."""
    for start in range(0, len(embeddings), PIECE):
        piece = embeddings[start : start + PIECE]
        piece[...] = generator.standard_normal(piece.shape, np.float32)
        piece *= np.float32(deviation)
