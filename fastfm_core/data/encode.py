"""Fits vocabularies, minimum counts, means and scales on the training rows, and turns any table into ids.

All fields share one arena: field f owns the contiguous rows from bases[f] on, laid out as its codec says; fields that
share a vocabulary share the rows. A table may be fitted and encoded in pieces: neither depends on how it was cut.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastfm_core.contract import Pooling
from fastfm_core.data.codecs import UNKNOWN, Codec, Placed, Rows, codec_of, fitter_of, write_rows
from fastfm_core.data.columns import Table, column_of, table_length
from fastfm_core.data.encoded import Encoded
from fastfm_core.data.history import Histories, Past, Visits, histories_of, whole_columns
from fastfm_core.data.schema import EVERYWHERE, History, MultiHot, Numeric, Schema
from fastfm_core.errors import InputError

LARGE_TABLE = 1_000_000
FIT_NUMBERS = 1 << 18  # numbers are fitted on at most so many training rows, evenly spaced


def default_min_count(training_rows: int) -> int:
    """2 below a million training rows, else 10."""
    return 2 if training_rows < LARGE_TABLE else 10


def sampled_rows(train_rows: np.ndarray) -> np.ndarray:
    """The training rows whose numbers are fitted on: all, or every second, third, ... of a large table."""
    return train_rows[:: max(1, -(-len(train_rows) // FIT_NUMBERS))]


class EncoderFit:
    """An encoder that is being fitted, piece by piece: ``merge(observe(piece, ...))`` for each, then ``finish()``."""

    def __init__(self, schema: Schema, min_count: int) -> None:
        self.schema = schema
        self.min_count = min_count
        own = {field.name: fitter_of(field, min_count) for field in schema.fields}
        self._fitters = [(field, own[schema.owner(field).name]) for field in schema.fields]

    def observe(self, table: Table, rows: np.ndarray, sampled: np.ndarray) -> list[Any]:
        """What training rows ``rows`` [k] of a piece say, ``sampled`` among them for numbers. Pure: any thread may."""
        return [fitter.observe(field, table, rows, sampled) for field, fitter in self._fitters]

    def merge(self, seen: list[Any]) -> None:
        """Takes in what ``observe`` returned, in the order of the pieces."""
        for (_, fitter), part in zip(self._fitters, seen, strict=True):
            fitter.merge(part)

    def finish(self, visits: Mapping[str, Visits] | None = None) -> Encoder:
        """The fitted encoder. ``visits``: what it remembers for its histories, see ``Histories.remembered``."""
        codecs = [fitter.finish(field) for field, fitter in self._fitters]
        return Encoder(self.schema, codecs, self.min_count, visits)


class Encoder:
    """A fitted schema.

    rows             V, rows of the arena
    fields           F, embedding fields; field_names [F] names them in order, bases [F] int64 are their first rows,
                     sizes [F] int64 how many rows they have
    dense            I, raw numbers; dense_names [I]
    zero_rows        [k] int64: rows no training value reached as such (unknown rows; missing rows where training has
                     nothing missing). They start at 0, so that they never score from noise.
    unknown_rows     [F] int64, -1 for a field without
    drop_to_unknown  [F] bool: fields whose unknown row no rare training value feeds, so ids must be dropped to it
    uses             (first, pairs, deep), each [F] bool: where the fields take part; None: all of them everywhere
    sides            [F] whom each field describes: "user", "item" or ""
    ranges           (bases, sizes, dims), each [F] int64, a dim of 0 being the model's; None: all are
    bags             [F] bool: which fields have any number of entries a sample; else one each
    weighted         entries have values; those of bags may all be 1, and are left out then
    pooling          of the entries: "sum", their values being coefficients, or "none", as in ``Encoded``
    histories        the fields that are histories; visits: by their names, the last visits of each user of the table
                     that it was fitted on, all parts of it
    """

    def __init__(
        self, schema: Schema, codecs: list[Codec], min_count: int, visits: Mapping[str, Visits] | None = None
    ) -> None:
        if not any(codec.rows for codec in codecs):
            raise InputError("every column is a raw number: at least one must be an embedding field")
        self.schema = schema
        self.min_count = min_count
        self.histories, self.visits = histories_of(schema.fields), dict(visits or {})
        self._codecs = codecs
        self._fields = [codec for codec in codecs if codec.rows]
        self.field_names = [codec.field.name for codec in self._fields]
        self.sides = [schema.side(name) for name in self.field_names]
        self.dense_names = [codec.field.name for codec in codecs if "raw" in codec.field.use]
        self.sizes = np.array([codec.rows for codec in self._fields], np.int64)
        self.bases, self.rows = self._ranges()
        self._dtype = np.int32 if self.rows < 2**31 else np.int64
        self._placed = self._places(codecs)
        owners = list(zip(self._fields, self.bases.tolist(), strict=True))
        untrained = [base + row for codec, base in owners for row in codec.untrained_rows]
        self.zero_rows = np.unique(np.array(untrained, np.int64))
        self.unknown_rows = np.array([base + UNKNOWN if codec.has_unknown else -1 for codec, base in owners], np.int64)
        self.drop_to_unknown = np.array([c.has_unknown and not c.rare_training for c in self._fields], bool)
        uses = [np.array([part in codec.field.use for codec in self._fields]) for part in EVERYWHERE]
        dims = np.array([getattr(schema.owner(codec.field), "dim", None) or 0 for codec in self._fields], np.int64)
        self.ranges = (self.bases, self.sizes, dims) if dims.any() else None
        self.uses = None if all(part.all() for part in uses) else tuple(uses)
        pooled = [field.pooling for field in schema.fields if isinstance(field, MultiHot | History)]
        self.bags = np.array([isinstance(codec.field, MultiHot | History) for codec in self._fields])
        self.weighted = bool(self.bags.any()) or any(codec.has_values for codec in self._fields)
        self.pooling: Pooling = "none" if "none" in pooled else "sum"

    @property
    def fields(self) -> int:
        """F, embedding fields."""
        return len(self._fields)

    @property
    def dense(self) -> int:
        """I, raw numbers."""
        return len(self.dense_names)

    def notes(self) -> list[str]:
        """What fitting found that a reader should know: collisions of hashed fields, numbers taken as logarithms."""
        return [note for codec in self._codecs if (note := codec.note())]

    @classmethod
    def fit(
        cls, columns: Table, schema: Schema, train_rows: np.ndarray | None = None, *, min_count: int | None = None
    ) -> Encoder:
        """Fits every column on the ascending rows ``train_rows`` [k] (None: all) and on no other row.

        Values met fewer than ``min_count`` times (default: ``default_min_count``) fall to the field's unknown row.
        InputError for a column that is not there or a number that cannot be read.
        """
        rows = np.arange(table_length(columns)) if train_rows is None else np.asarray(train_rows)
        fitting = EncoderFit(schema, default_min_count(len(rows)) if min_count is None else min_count)
        fitting.merge(fitting.observe(columns, rows, sampled_rows(rows)))
        whole = whole_columns(schema.fields, columns, training=True)
        return fitting.finish(Histories(schema.fields, whole).remembered())

    def transform(self, columns: Table, labels: np.ndarray | None = None, weights: np.ndarray | None = None) -> Encoded:
        """Encodes a table; columns the schema does not name are ignored. Labels and weights [n] become float32.

        A piece of a table brings the histories of its rows along, by ``Histories.of_rows``; else the rows are a whole
        table, and their histories those of this table and of the remembered visits.
        """
        count = table_length({name: column_of(columns, name) for name in self.schema.columns})
        if not all(isinstance(columns.get(field.name), Past) for field in self.histories):
            whole = whole_columns(self.histories, columns)
            columns = columns | Histories(self.histories, whole, self.visits).of_rows(0, count)
        ids, values, offsets, dense = (self._bags if self.bags.any() else self._rows)(columns, count)
        return Encoded(
            ids,
            self.rows,
            self.fields,
            self.unknown_rows,
            offsets=offsets,
            values=values,
            dense=dense,
            labels=None if labels is None else np.asarray(labels, np.float32),
            weights=None if weights is None else np.asarray(weights, np.float32),
            pooling=self.pooling,
        )

    def unseen_share(self, counts: np.ndarray) -> dict[str, float]:
        """Per vocabulary field, the share of its values that are unknown, of ``Encoded.unknown_counts`` [2, F]."""
        shares = (counts[0] / np.maximum(counts[1], 1)).tolist()
        known = zip(self.field_names, shares, self.unknown_rows.tolist(), strict=True)
        return {name: share for name, share, unknown in known if unknown >= 0}

    def scaling(self) -> dict[str, dict[str, Any]]:
        """What becomes of each number x, by its field's name: (transform(x) - mean) / scale, or the bins' edges."""
        keys = ("transform", "mean", "scale", "edges")
        states = {codec.field.name: codec.to_dict() for codec in self._codecs if isinstance(codec.field, Numeric)}
        return {name: {key: state[key] for key in keys if key in state} for name, state in states.items()}

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able description from which ``from_dict`` makes an encoder that gives the same ids."""
        owned = [self.schema.owner(codec.field) is codec.field for codec in self._codecs]
        states = [codec.to_dict() if own else None for codec, own in zip(self._codecs, owned, strict=True)]
        visits = {name: visits.to_dict() for name, visits in self.visits.items()}
        return {"schema": self.schema.to_dict(), "min_count": self.min_count, "codecs": states, "visits": visits}

    @classmethod
    def from_dict(cls, description: dict[str, Any]) -> Encoder:
        """The encoder that ``to_dict`` described."""
        schema = Schema.from_dict(description["schema"])
        states = dict(zip(schema.names, description["codecs"], strict=True))
        codecs = [codec_of(field, states[schema.owner(field).name]) for field in schema.fields]
        visits = {name: Visits.from_dict(state) for name, state in description.get("visits", {}).items()}
        return cls(schema, codecs, description["min_count"], visits)

    def _ranges(self) -> tuple[np.ndarray, int]:
        """([F] first row of each field, V)."""
        first: dict[str, int] = {}
        rows = 0
        for codec in self._fields:
            if self.schema.owner(codec.field) is codec.field:
                first[codec.field.name] = rows
                rows += codec.rows
        bases = [first[self.schema.owner(codec.field).name] for codec in self._fields]
        return np.array(bases, np.int64), rows

    def _places(self, codecs: list[Codec]) -> list[Placed]:
        bases = dict(zip(self.field_names, self.bases.tolist(), strict=True))
        fields = {name: place for place, name in enumerate(self.field_names)}
        raw = {name: place for place, name in enumerate(self.dense_names)}
        names = [codec.field.name for codec in codecs]
        places = [(bases.get(name, 0), fields.get(name, -1), raw.get(name, -1)) for name in names]
        return [Placed(codec, *place) for codec, place in zip(codecs, places, strict=True)]

    def _rows(self, columns: Table, count: int) -> tuple[np.ndarray, np.ndarray | None, None, np.ndarray | None]:
        """(ids, values, no offsets, dense) of n samples with one entry a field."""
        rows = Rows(
            np.empty((count, self.fields), self._dtype),
            np.ones((count, self.fields if self.weighted else 0), np.float32),
            np.empty((count, self.dense), np.float32),
        )
        write_rows(self._placed, columns, rows)
        return rows.ids, rows.values if self.weighted else None, None, rows.raw if self.dense else None

    def _bags(self, columns: Table, count: int) -> tuple[np.ndarray, np.ndarray | None, np.ndarray, np.ndarray | None]:
        """The same where some field has several entries a sample."""
        encoded = [codec.encode(columns) for codec in self._codecs]
        raw = [slots.raw for slots in encoded if slots.raw is not None]
        fields = [slots for slots in encoded if slots.ids is not None]
        lengths = np.ones((count, self.fields), np.int64)
        for field, slots in enumerate(fields):
            lengths[:, field] = 1 if slots.lengths is None else slots.lengths
        offsets = np.append(0, np.cumsum(lengths.reshape(-1)))
        starts = offsets[:-1].reshape(count, self.fields)
        ids = np.empty(int(offsets[-1]), self._dtype)
        weighted = any(slots.values is not None for slots in fields)
        values = np.ones(len(ids), np.float32) if weighted else None
        for field, (slots, base) in enumerate(zip(fields, self.bases.tolist(), strict=True)):
            assert slots.ids is not None
            places = _positions(starts[:, field], slots.lengths)
            ids[places] = slots.ids + base
            if values is not None and slots.values is not None:
                values[places] = slots.values
        return ids, values, offsets, np.column_stack(raw) if raw else None


def _positions(starts: np.ndarray, lengths: np.ndarray | None) -> np.ndarray:
    """Entry positions of one field: its slot starts, each followed by the slot's further entries."""
    if lengths is None:
        return starts
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))
