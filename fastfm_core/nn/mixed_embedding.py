"""MixedEmbedding: fields whose embeddings have dims of their own, made one dim D by a projection for each other dim
(Ginart et al., "Mixed Dimension Embeddings", ISIT 2021; Naumov et al., "DLRM", 2019, the same without first order)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastfm_core import ops, random
from fastfm_core.autograd import Tensor
from fastfm_core.backends import Backend
from fastfm_core.contract import Batch
from fastfm_core.errors import InputError
from fastfm_core.nn.crosses import Crosses
from fastfm_core.nn.field_embedding import FieldEmbedding
from fastfm_core.nn.layers import parameter
from fastfm_core.nn.module import Module
from fastfm_core.nn.uses import Uses, batch_of_fields, of_each_entry

LAYER = 1 << 14  # of the projections' draws; a tower's layers count from 0


class Ranges(NamedTuple):
    """The rows of each field among all rows, [F] int64 each: the first one, how many, and its dim, 0: the model's."""

    bases: np.ndarray
    sizes: np.ndarray
    dims: np.ndarray

    def mixed(self, dim: int) -> bool:
        """Whether some field's dim is another than ``dim``."""
        return bool(((self.dims != 0) & (self.dims != dim)).any())


class MixedEmbedding(Module):
    """Stands where a ``FieldEmbedding`` stands: the same parts of the same batches.

    Fields of equal dim d share an arena, a table [V_d, d + 1] with the first order in its last column. The vectors of
    an arena with d != D are multiplied by its ``projection`` [d, D], which starts at N(0, 1/d), so that they start like
    all others; then come pairs and deep part. The first order is one weight a row, as ever.
    """

    def __init__(
        self, ranges: Ranges, dim: int, backend: Backend, *, seed: int, init_std: float = 0.01,
        zero_rows: np.ndarray | None = None, uses: Uses | None = None, stream: int = 0, first_order: Any = "lane",
        crosses: Crosses | None = None,
    ) -> None:  # fmt: skip
        everywhere = np.ones(len(ranges.dims), bool)
        self.dim, self.crosses, self.uses = dim, crosses, uses or Uses(everywhere, everywhere, everywhere)
        zeros, dims = np.zeros(0, np.int64) if zero_rows is None else zero_rows, np.where(ranges.dims, ranges.dims, dim)
        self.arenas = [
            Arena(
                ranges, dims == own, int(own), dim, backend, seed=seed, init_std=init_std, zero_rows=zeros,
                uses=self.uses, stream=(number << 8) + stream, first_order=first_order,
            )
            for number, own in enumerate(np.unique(dims))
        ]  # fmt: skip
        self._backend, self._orders = backend, {}
        for part, fields in self.uses._asdict().items():
            places = np.concatenate([arena.among(fields) for arena in self.arenas])
            self._orders[part] = backend.to_device(np.argsort(places))

    def forward(self, batch: Batch, *parts: str) -> list[Tensor]:
        """The named parts, in this order: first, pairs, vectors, deep. InputError for samples without fields."""
        if batch.entries.pooling == "none":
            raise InputError('rows without fields (pooling="none") have no dims of their own; leave dim out')
        wanted = {"vectors" if part == "pairs" else part for part in parts}
        pieces = [
            arena(batch, [part for part in ("first", "vectors", "deep") if part in wanted]) for arena in self.arenas
        ]
        found: dict[str, Tensor] = {}
        if "first" in wanted:
            found["first"] = ops.add(*(piece["first"] for piece in pieces))
        if "vectors" in wanted:
            found["vectors"] = self._in_order([piece["vectors"] for piece in pieces], "pairs")
            found["pairs"] = self._pairs(found["vectors"])
        if "deep" in wanted:
            deep = ops.flatten(self._in_order([piece["deep"] for piece in pieces], "deep"))
            found["deep"] = deep if batch.dense is None else ops.concatenate(deep, Tensor(batch.dense, deep.backend))
        return [found[part] for part in parts]

    def first_orders(self, batch: Batch) -> np.ndarray:
        """[B, k] the first order of each of its k fields, pooled; no gradients."""
        side_by_side = self._backend.xp.concatenate([arena.first_orders(batch) for arena in self.arenas], axis=1)
        return side_by_side[:, self._orders["first"]]

    def _in_order(self, vectors: list[Tensor], part: str) -> Tensor:
        """The arenas' vectors [B, F_d, D] as [B, F, D], in the order of the part's fields."""
        order, side_by_side = self._orders[part], ops.concatenate(*map(ops.flatten, vectors))
        return ops.take_fields(ops.as_vectors(side_by_side, self.dim, len(order)), order)

    def _pairs(self, vectors: Tensor) -> Tensor:
        """[B, F, D] -> [B]: those of ``crosses``, or all."""
        if self.crosses is not None:
            return self.crosses(vectors)
        samples = len(vectors.data)
        ones = Tensor(self._backend.xp.ones((samples, self.dim), vectors.data.dtype), self._backend)
        return ops.inner(ops.bi_interaction(vectors), ones)


class Arena(Module):
    """The fields of one dim: their table, with rows of its own, and the projection, where the dim is not D."""

    def __init__(
        self, ranges: Ranges, fields: np.ndarray, own: int, dim: int, backend: Backend, *, seed: int, init_std: float,
        zero_rows: np.ndarray, uses: Uses, stream: int, first_order: Any,
    ) -> None:  # fmt: skip
        self._fields, self.dim = fields, dim
        shifts, rows, zeros = _own_rows(ranges, fields, zero_rows)
        self._shifts, self._backend = backend.to_device(shifts), backend
        uses = Uses(*(part[fields] for part in uses))
        self._alike = bool((uses.pairs == uses.deep).all())
        self.embedding = FieldEmbedding(
            rows, own, backend, seed=seed, init_std=init_std, zero_rows=zeros, uses=uses, stream=stream,
            first_order=first_order,
        )  # fmt: skip
        self.projection = None
        if own != dim:
            start = random.generator(seed, 2, LAYER + stream).standard_normal((own, dim)) / np.sqrt(own)
            self.projection = parameter(start, backend)

    @property
    def fields(self) -> np.ndarray:
        """[k] positions of its fields among all."""
        return np.flatnonzero(self._fields)

    @property
    def shifts(self) -> np.ndarray:
        """[k] what the ids of each of its fields go down by in its table."""
        return self._backend.to_host(self._shifts)

    def among(self, fields: np.ndarray) -> np.ndarray:
        """Which of all fields those of the arena are that are True in ``fields`` [F]."""
        return np.flatnonzero(self._fields & fields)

    def forward(self, batch: Batch, parts: list[str]) -> dict[str, Tensor]:
        """First order [B]; vectors of the pairs and of the deep part, [B, F_d, D] each."""
        once = self._alike and "vectors" in parts
        read = [part for part in parts if part != "deep" or not once]
        found = dict(zip(read, self.embedding(self._own(batch), *read), strict=True))
        if "deep" in read:
            found["deep"] = ops.as_vectors(found["deep"], self.embedding.dim, self._count("deep"))
        for part in ("vectors", "deep"):
            if part in found and found[part].data.shape[1] and self.projection is not None:
                found[part] = ops.project(found[part], self.projection)
        return found | ({"deep": found["vectors"]} if once and "deep" in parts else {})

    def first_orders(self, batch: Batch) -> np.ndarray:
        """[B, k] of those of its fields that have a first order."""
        return self.embedding.first_orders(self._own(batch))

    def _count(self, part: str) -> int:
        uses = self.embedding.uses
        assert uses is not None
        return int(getattr(uses, part).sum())

    def _own(self, batch: Batch) -> Batch:
        """The entries of the arena's fields, their ids counted from its first row."""
        own = batch_of_fields(batch, self._fields, self._backend)
        shifts = of_each_entry(self._shifts.astype(own.entries.ids.dtype), own.entries, self._backend)
        return Batch(own.entries._replace(ids=own.entries.ids - shifts), host_offsets=own.host_offsets)


def _own_rows(ranges: Ranges, fields: np.ndarray, zero_rows: np.ndarray) -> tuple[np.ndarray, int, np.ndarray]:
    """([k] what the rows of the k ``fields`` [F] go down by in a table of theirs alone, its rows, its zero rows)."""
    firsts, rows, shifts, zeros = {}, 0, [], [np.zeros(0, np.int64)]
    for field in np.flatnonzero(fields).tolist():
        base, size = int(ranges.bases[field]), int(ranges.sizes[field])
        if base not in firsts:  # fields that share rows have the same base
            firsts[base] = rows
            rows += size
            zeros.append(zero_rows[(zero_rows >= base) & (zero_rows < base + size)] - base + firsts[base])
        shifts.append(base - firsts[base])
    return np.array(shifts, np.int64), rows, np.concatenate(zeros)
