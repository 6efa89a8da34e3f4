"""Hashed fields: a text, or a combination of texts, goes to row 1 + bucket of its hash; row 0 is missing.

Nothing is remembered, so values that training never held have rows, too, and different values may share one. How many
do is estimated: HyperLogLog counts the distinct values (Flajolet, Fusy, Gandouet, Meunier, AofA 2007, with its small
range correction; standard error 1.6 %), and of n values in N buckets 1 - (1 - 1/N)^(n-1) share theirs.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastfm_core.data.codecs.codec import Placed, Rows, Slots
from fastfm_core.data.columns import Table, single_of, take, texts_of
from fastfm_core.data.schema import Categorical, Cross
from fastfm_core.data.text import Texts, bucket_columns, engine

REGISTERS = 1 << 12
MISSING, FIRST_BUCKET = 0, 1


class HashingFitter:
    """Counts distinct values, approximately."""

    def __init__(self) -> None:
        self._registers = np.zeros(REGISTERS, np.uint8)

    def observe(self, field: Categorical | Cross, table: Table, rows: np.ndarray, sampled: np.ndarray) -> np.ndarray:
        """The registers of a piece, [2^12] uint8."""
        columns = {name: take(single_of(table, name), rows) for name in field.columns}
        hashes, missing = _hashes(field, columns)
        registers = np.zeros(REGISTERS, np.uint8)
        engine.kernels.sketch_hashes(hashes[~missing], registers)
        return registers

    def merge(self, seen: np.ndarray) -> None:
        np.maximum(self._registers, seen, out=self._registers)

    def finish(self, field: Categorical | Cross) -> HashingCodec:
        return HashingCodec(field, self._distinct())

    def _distinct(self) -> int:
        free = int((self._registers == 0).sum())
        alpha = 0.7213 / (1 + 1.079 / REGISTERS)
        estimate = alpha * REGISTERS**2 / float(np.exp2(-self._registers.astype(np.float64)).sum())
        small = free and estimate <= 2.5 * REGISTERS
        return round(REGISTERS * math.log(REGISTERS / free)) if small else round(estimate)


class HashingCodec:
    """Values or combinations of values -> buckets.

    distinct  about how many training held
    """

    has_values = False
    has_unknown = False
    rare_training = False
    untrained_rows: list[int] = []  # noqa: RUF012 - never changed

    def __init__(self, field: Categorical | Cross, distinct: int) -> None:
        self.field = field
        self.distinct = distinct
        self.rows = FIRST_BUCKET + (field.buckets or 0)

    def encode(self, table: Table) -> Slots:
        columns, buckets = self.field.columns, self.rows - FIRST_BUCKET
        if len(columns) == 1:
            texts, codes = texts_of(single_of(table, columns[0]))
            ids = np.empty((len(texts), 1), np.int64)
            bucket_columns([texts], [buckets], [0], [0], ids)
            return Slots(ids[:, 0] if codes is None else ids[codes, 0])
        hashes, missing = _hashes(self.field, table)
        rows = np.empty(len(hashes), np.int64)
        engine.kernels.bucket_hashes(hashes, buckets, rows)
        rows[missing] = MISSING
        return Slots(rows)

    @staticmethod
    def write_texts(placed: list[Placed], columns: list[Texts], rows: Rows) -> None:
        """Writes C fields, each of one column of n texts."""
        buckets = [each.codec.rows - FIRST_BUCKET for each in placed]
        bucket_columns(columns, buckets, [each.base for each in placed], [each.field for each in placed], rows.ids)

    def note(self) -> str | None:
        buckets = self.rows - FIRST_BUCKET
        share = 1 - (1 - 1 / buckets) ** max(self.distinct - 1, 0)
        found = f"about {self.distinct:,} training values hashed to {buckets:,} rows"
        return f"{self.field.name}: {found}, {share:.1%} of them share theirs with another"

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {"distinct": self.distinct}

    @classmethod
    def from_dict(cls, field: Categorical | Cross, state: dict[str, Any]) -> HashingCodec:
        return cls(field, **state)


def _hashes(field: Categorical | Cross, table: Table) -> tuple[np.ndarray, np.ndarray]:
    """([n] uint64 hash of the value or combination, [n] bool missing: the value, or all of them)."""
    hashes, missing = _column_hashes(table, field.columns[0])
    for name in field.columns[1:]:
        more, also = _column_hashes(table, name)
        left, hashes = hashes, np.empty_like(hashes)
        engine.kernels.combine_hashes(left, more, hashes)
        missing &= also
    return hashes, missing


def _column_hashes(table: Table, name: str) -> tuple[np.ndarray, np.ndarray]:
    texts, codes = texts_of(single_of(table, name))
    hashes, missing = texts.hashes(), texts.starts == texts.ends
    return (hashes, missing) if codes is None else (hashes[codes], missing[codes])
