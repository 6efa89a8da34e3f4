"""Fits vocabularies, minimum counts, means and scales on the training rows, and turns any table into ids.

All fields share one arena: field f owns the contiguous rows bases[f] .. bases[f+1]-1, laid out as ``codecs`` says.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfm_core.data.codecs import CODECS, UNKNOWN, Codec, Slots
from fastfm_core.data.columns import Table, table_length
from fastfm_core.data.encoded import Encoded
from fastfm_core.data.schema import Schema
from fastfm_core.errors import InputError

LARGE_TABLE = 1_000_000


def default_min_count(training_rows: int) -> int:
    """2 below a million training rows, else 10."""
    return 2 if training_rows < LARGE_TABLE else 10


class Encoder:
    """A fitted schema.

    rows             V, rows of the arena
    fields           F, embedding fields; field_names [F] names them in order, bases [F+1] int64 are their ranges
    dense            I, raw numbers; dense_names [I]
    zero_rows        [k] int64: rows no training value reached as such (unknown rows; missing rows where training has
                     nothing missing). They start at 0, so that they never score from noise.
    unknown_rows     [F] int64, -1 for a numeric field
    drop_to_unknown  [F] bool: fields whose unknown row no rare training value feeds, so ids must be dropped to it
    """

    def __init__(self, schema: Schema, codecs: list[Codec], min_count: int) -> None:
        if not any(codec.rows for codec in codecs):
            raise InputError("every column is a raw number: at least one must be an embedding field")
        self.schema = schema
        self.min_count = min_count
        named = list(zip(schema.names, codecs, strict=True))
        self._codecs = codecs
        self._fields = [codec for codec in codecs if codec.rows]
        self._raw = [codec for codec in codecs if not codec.rows]
        self.field_names = [name for name, codec in named if codec.rows]
        self.dense_names = [name for name, codec in named if not codec.rows]
        self.bases = np.cumsum([0, *(codec.rows for codec in self._fields)], dtype=np.int64)
        owners = list(zip(self._fields, self.bases.tolist(), strict=False))
        self.zero_rows = np.array([base + row for codec, base in owners for row in codec.untrained_rows], np.int64)
        self.unknown_rows = np.array([base + UNKNOWN if codec.has_unknown else -1 for codec, base in owners], np.int64)
        self.drop_to_unknown = np.array([c.has_unknown and not c.rare_training for c in self._fields], bool)

    @property
    def rows(self) -> int:
        """V, rows of the arena."""
        return int(self.bases[-1])

    @property
    def fields(self) -> int:
        """F, embedding fields."""
        return len(self._fields)

    @property
    def dense(self) -> int:
        """I, raw numbers."""
        return len(self._raw)

    @classmethod
    def fit(
        cls, columns: Table, schema: Schema, train_rows: np.ndarray | None = None, *, min_count: int | None = None
    ) -> Encoder:
        """Fits every column on the rows ``train_rows`` [k] (None: all) and on no other row.

        Values met fewer than ``min_count`` times (default: ``default_min_count``) fall to the field's unknown row.
        InputError for a column that is not there or a number that cannot be read.
        """
        rows = np.arange(table_length(columns)) if train_rows is None else np.asarray(train_rows)
        least = default_min_count(len(rows)) if min_count is None else min_count
        return cls(schema, [CODECS[type(field)].fit(field, columns, rows, least) for field in schema.fields], least)

    def transform(self, columns: Table, labels: np.ndarray | None = None, weights: np.ndarray | None = None) -> Encoded:
        """Encodes a table; columns the schema does not name are ignored. Labels and weights [n] become float32."""
        slots = [codec.encode(columns) for codec in self._fields]
        count = table_length({name: columns[name] for name in self.schema.names})
        ids, values, offsets = self._merge(slots, count)
        numbers = [slot.values for slot in (codec.encode(columns) for codec in self._raw) if slot.values is not None]
        return Encoded(
            ids,
            self.rows,
            self.fields,
            self.unknown_rows,
            offsets=offsets,
            values=values,
            dense=np.column_stack(numbers) if numbers else None,
            labels=None if labels is None else np.asarray(labels, np.float32),
            weights=None if weights is None else np.asarray(weights, np.float32),
        )

    def unseen_share(self, encoded: Encoded, rows: np.ndarray | None = None) -> dict[str, float]:
        """Per vocabulary field, the share of its values in the samples ``rows`` (None: all) that are unknown."""
        shares = zip(self.field_names, encoded.unknown_share(rows).tolist(), self.unknown_rows.tolist(), strict=True)
        return {name: share for name, share, unknown in shares if unknown >= 0}

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able description from which ``from_dict`` makes an encoder that gives the same ids."""
        codecs = [codec.to_dict() for codec in self._codecs]
        return {"schema": self.schema.to_dict(), "min_count": self.min_count, "codecs": codecs}

    @classmethod
    def from_dict(cls, description: dict[str, Any]) -> Encoder:
        """The encoder that ``to_dict`` described."""
        schema = Schema.from_dict(description["schema"])
        pairs = zip(schema.fields, description["codecs"], strict=True)
        codecs = [CODECS[type(field)].from_dict(field, state) for field, state in pairs]
        return cls(schema, codecs, description["min_count"])

    def _merge(self, slots: list[Slots], count: int) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """Field-wise slots -> sample-major (ids, values, offsets)."""
        dtype = np.int32 if self.rows < 2**31 else np.int64
        weighted = any(slot.values is not None for slot in slots)
        lengths = np.ones((count, self.fields), np.int64)
        for field, slot in enumerate(slots):
            if slot.lengths is not None:
                lengths[:, field] = slot.lengths
        offsets = np.concatenate([[0], np.cumsum(lengths.reshape(-1))])
        starts = offsets[:-1].reshape(count, self.fields)
        ids = np.empty(offsets[-1], dtype)
        values = np.ones(offsets[-1], np.float32) if weighted else None
        for field, slot in enumerate(slots):
            positions = _positions(starts[:, field], slot.lengths)
            ids[positions] = slot.ids + self.bases[field]
            if values is not None and slot.values is not None:
                values[positions] = slot.values
        if all(slot.lengths is None for slot in slots):
            shape = (count, self.fields)
            return ids.reshape(shape), None if values is None else values.reshape(shape), None
        return ids, values, offsets


def _positions(starts: np.ndarray, lengths: np.ndarray | None) -> np.ndarray:
    """Entry positions of one field: its slot starts, each followed by the slot's further entries."""
    if lengths is None:
        return starts
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))
