"""FieldEmbedding: one arena of rows for all fields, each an embedding with its first-order weight behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from fastfm_core import ops, random
from fastfm_core.autograd import Tensor
from fastfm_core.backends import Backend
from fastfm_core.contract import Batch, Entries
from fastfm_core.errors import InputError
from fastfm_core.nn.crosses import Crosses
from fastfm_core.nn.module import Module
from fastfm_core.nn.uses import Uses, batch_of_fields

PIECE = 1 << 16  # rows drawn at a time


class FieldEmbedding(Module):
    """table [V, D + 1], its last column the first order, looked up in one pass by the parts that read the same fields.

    The parts, F and P counting the fields that take part in each of them:

    first    [B] sum of the first-order weights
    pairs    [B] sum of <e_f, e_g> over all pairs, or over those of ``crosses``
    vectors  [B, P, D] the fields of the pairs, one by one
    deep     [B, F*D + I] the fields of the deep part side by side, then the batch's raw numbers

    rows         V, of all fields together; field f owns a contiguous range
    dim          D; 0 leaves the first order alone
    init_std     embeddings start at N(0, init_std), first-order weights at 0
    zero_rows    [k] row numbers that start at 0 instead: the unknown rows
    uses         the fields of first order, pairs and deep part; None: all fields everywhere
    stream       another one for a second embedding of a model, which has the same seed
    first_order  "lane": a row's last column, which is read and updated with it; "separate": table is [V, D] and the
                 first order a parameter linear [V] of its own; "none": table is [V, D], and there is no first order
    crosses      which pairs there are, and their weights; None: all pairs
    """

    def __init__(
        self, rows: int, dim: int, backend: Backend, *, seed: int, init_std: float = 0.01,
        zero_rows: np.ndarray | None = None, uses: Uses | None = None, stream: int = 0,
        first_order: Literal["lane", "separate", "none"] = "lane", crosses: Crosses | None = None,
    ) -> None:  # fmt: skip
        if first_order not in ("lane", "separate", "none"):
            raise InputError(f"first_order must be 'lane', 'separate' or 'none', got {first_order!r}")
        self.uses, self.dim, self.crosses = uses, dim, crosses
        self.lane, self.separate = first_order == "lane", first_order == "separate"
        self.tables = ("table", "linear") if self.separate else ("table",)
        table = backend.aligned_rows(rows, dim + self.lane, np.float32)
        _draw_(table[:, :dim], backend, random.generator(seed, 1, stream), init_std)
        if zero_rows is not None:
            table[backend.to_device(zero_rows)] = 0
        self.table = Tensor(table, backend, requires_grad=table.shape[1] > 0)
        if self.separate:
            self.linear = Tensor(backend.aligned_zeros((rows,), np.float32, line=1), backend, requires_grad=True)

    def forward(self, batch: Batch, *parts: str) -> list[Tensor]:
        """The named parts, in this order. InputError for vectors and deep of samples without fields."""
        wanted = {"vectors" if part == "pairs" and self.crosses else part for part in parts}
        if batch.entries.pooling == "none" and wanted & {"vectors", "deep"}:
            raise InputError(
                'rows without fields (pooling="none") have no vectors; give columns or libffm, or --model fm'
            )
        found: dict[str, Tensor] = {}
        for fields, group in self._groups(wanted):
            found |= self._lookup(batch, self._entries(batch, fields), group)
        found |= {part: self._absent(batch, part) for part in wanted - found.keys()}
        if self.crosses and "pairs" in parts:
            found["pairs"] = self.crosses(found["vectors"])
        return [found[part] for part in parts]

    def first_orders(self, batch: Batch) -> np.ndarray:
        """[B, k] the first order of each of its k fields, pooled; no gradients."""
        entries = self._entries(batch, None if self.uses is None else self.uses.first)
        weights = self.linear.data[:, None] if self.separate else self.table.data[:, self.dim :]
        pooled, _ = self.table.backend.embedding_bag(weights, entries)
        return pooled.reshape(entries.samples, entries.fields)

    def _groups(self, parts: set[str]) -> Sequence[tuple[np.ndarray | None, list[str]]]:
        """Sets of fields (None: all), each with the parts that read it; what has no numbers is left out."""
        known = [part for part in ("first", "pairs", "vectors", "deep") if part in parts]
        known = known if self.dim else [part for part in known if part not in ("pairs", "vectors")]
        return [(None, known)] if self.uses is None else [*self.uses.lookups(known)]

    def _entries(self, batch: Batch, fields: np.ndarray | None) -> Entries:
        """Those of ``fields`` [F]; None: all."""
        return batch.entries if fields is None else batch_of_fields(batch, fields, self.table.backend).entries

    def _lookup(self, batch: Batch, entries: Entries, parts: list[str]) -> dict[str, Tensor]:
        """One pass over the entries for the named parts; the batch's plan is that of all its entries."""
        plan, dense = batch.plan if entries is batch.entries else None, batch.dense if "deep" in parts else None
        table, linear = self.table, self.linear if self.separate and "first" in parts else None
        if parts == ["first"] and self.separate:
            table = Tensor(table.data[:, :0], table.backend)
        wide = "deep" in parts or "vectors" in parts
        first, pairs, deep = ops.embedding_fm(table, linear, entries, dense, deep=wide, plan=plan, lane=self.lane)
        found = {"first": first, "pairs": pairs} | ({} if deep is None else {"deep": deep})
        if deep is not None and "vectors" in parts:
            found["vectors"] = ops.as_vectors(deep, self.dim, entries.fields)
        return {part: found[part] for part in parts}

    def _absent(self, batch: Batch, part: str) -> Tensor:
        """What a part is when it has no field."""
        backend, samples = self.table.backend, batch.entries.samples
        if part == "deep" and batch.dense is not None:
            return Tensor(batch.dense, backend)
        shape = {"deep": (samples, 0), "vectors": (samples, 0, self.dim)}.get(part, (samples,))
        return Tensor(backend.xp.zeros(shape, self.table.data.dtype), backend)


def _draw_(embeddings: Any, backend: Backend, generator: np.random.Generator, deviation: float) -> None:
    """Fills [V, D], which holds zeros, with N(0, deviation), in pieces, for a generator writes to contiguous arrays of
    the host alone. Without deviation no page of it is touched."""
    if not deviation:
        return
    for start in range(0, len(embeddings), PIECE):
        piece = embeddings[start : start + PIECE]
        drawn = generator.standard_normal(piece.shape, np.float32)
        drawn *= np.float32(deviation)
        piece[...] = backend.to_device(drawn)
