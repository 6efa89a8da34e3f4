"""A table as arrays: sample-major ids of one arena, their values, raw numbers, labels and weights.

Layout for n samples and F fields: with one entry per field ids is [n, F]; with any bag it is flat [N] and
offsets [n*F + 1] int64 says which entries feed slot s = sample*F + field. values has the shape of ids.
Ids are checked here, once, against the arena's rows; a batch taken from here needs no check.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fastfm_core.contract import Batch, Entries, Pooling
from fastfm_core.data.columns import ragged_positions
from fastfm_core.errors import InputError


@dataclass(frozen=True, eq=False)
class Encoded:
    """Encoded samples.

    ids           [n, F], or [N] with offsets; int32, or int64 when the arena has 2^31 rows or more
    rows          V, rows of the arena
    fields        F
    offsets       [n*F + 1] int64 or None
    values        float32, shape of ids; None: all 1. Pooling coefficients are folded in.
    dense         [n, I] float32 or None
    labels        [n] float32 or None
    weights       [n] float32 or None
    unknown_rows  [F] int64, the unknown row of each field, -1 where a field has none
    pooling       "sum", or "none": every entry is an FM term of its own, as in a libsvm row; then F = 1
    checked       the ids are known to lie in the arena, so that a file need not be read for it
    """

    ids: np.ndarray
    rows: int
    fields: int
    unknown_rows: np.ndarray
    offsets: np.ndarray | None = None
    values: np.ndarray | None = None
    dense: np.ndarray | None = None
    labels: np.ndarray | None = None
    weights: np.ndarray | None = None
    pooling: Pooling = "sum"
    checked: bool = False

    def __post_init__(self) -> None:
        for name in ("ids", "offsets", "values", "dense", "labels", "weights"):
            if isinstance(array := getattr(self, name), np.memmap):
                object.__setattr__(self, name, np.asarray(array))  # else batches would be of that type, too
        expected = (self.offsets[-1],) if self.offsets is not None else (len(self), self.fields)
        if self.ids.shape != tuple(expected):
            raise InputError(f"ids have shape {self.ids.shape}, {tuple(expected)} was expected")
        if not self.checked and self.ids.size and not 0 <= int(self.ids.min()) <= int(self.ids.max()) < self.rows:
            raise InputError(f"ids range from {self.ids.min()} to {self.ids.max()}, the table has {self.rows} rows")
        for name in ("dense", "labels", "weights"):
            array = getattr(self, name)
            if array is not None and len(array) != len(self):
                raise InputError(f"{name} has {len(array)} rows where the ids have {len(self)}")

    def __len__(self) -> int:
        """n, the number of samples."""
        return len(self.ids) if self.offsets is None else (len(self.offsets) - 1) // self.fields

    def take(self, rows: np.ndarray) -> Batch:
        """The samples ``rows`` [B], in that order, as a batch of fresh contiguous arrays."""
        return Batch(
            self._entries(rows),
            dense=_rows_of(self.dense, rows),
            labels=_rows_of(self.labels, rows),
            weights=_rows_of(self.weights, rows),
        )

    def take_mixed(self, rows: np.ndarray, others: np.ndarray, fields: np.ndarray, dense: np.ndarray) -> Batch:
        """The samples ``rows`` [B], of which some fields [F] and raw numbers [I] bool are those of ``others`` [B]."""
        slots = np.where(fields, others[:, None], rows[:, None]) * self.fields + np.arange(self.fields)
        slots = slots.reshape(-1)
        if self.offsets is None:
            values = None if self.values is None else self.values.reshape(-1).take(slots)
            entries = Entries(self.ids.reshape(-1).take(slots), self.fields, values=values, pooling=self.pooling)
        else:
            positions, offsets = ragged_positions(self.offsets, slots)
            values = _rows_of(self.values, positions)
            entries = Entries(self.ids.take(positions), self.fields, offsets, values, self.pooling)
        raw = _rows_of(self.dense, rows)
        if raw is not None and self.dense is not None:
            raw[:, dense] = self.dense.take(others, axis=0)[:, dense]
        return Batch(entries, raw, _rows_of(self.labels, rows), _rows_of(self.weights, rows))

    def unknown_counts(self, rows: np.ndarray | None = None) -> np.ndarray:
        """[2, F] int64: the unknown entries and all entries of each field, in the samples ``rows`` [k] (None: all)."""
        rows = np.arange(len(self)) if rows is None else rows
        if self.offsets is None:
            unknown = (self.ids.take(rows, axis=0) == self.unknown_rows).sum(axis=0)
            return np.stack([unknown, np.full(self.fields, len(rows))])
        entries = self._entries(rows)
        slots = np.arange(entries.slots)
        assert entries.offsets is not None
        field = np.repeat(slots, np.diff(entries.offsets)) % self.fields
        unknown = field[entries.ids == self.unknown_rows[field]]
        return np.stack([np.bincount(found, minlength=self.fields) for found in (unknown, field)])

    def exchanged(self, order: np.ndarray, field: int | None, number: int | None) -> Encoded:
        """These samples, with a field's entries and a raw number of the samples ``order`` [n]; None: of no field, of no
        number."""
        dense = self.dense
        if dense is not None and number is not None:
            dense = dense.copy()
            dense[:, number] = dense[order, number]
        if field is None:
            return replace(self, dense=dense, checked=True)
        source = np.tile(np.arange(len(self))[:, None], self.fields)
        source[:, field] = order
        slots = (source * self.fields + np.arange(self.fields)).reshape(-1)
        positions, offsets = (slots, None) if self.offsets is None else ragged_positions(self.offsets, slots)
        ids, values = (
            None if array is None else array.reshape(-1)[positions].reshape(array.shape)
            for array in (self.ids, self.values)
        )
        return replace(self, ids=ids, values=values, offsets=offsets, dense=dense, checked=True)

    def _entries(self, rows: np.ndarray) -> Entries:
        if self.offsets is None:
            values = None if self.values is None else self.values.take(rows, axis=0).reshape(-1)
            return Entries(self.ids.take(rows, axis=0).reshape(-1), self.fields, values=values, pooling=self.pooling)
        slot_starts = self.offsets[:-1].reshape(-1, self.fields)
        positions, taken = ragged_positions(self.offsets[:: self.fields], rows)
        offsets = np.empty(len(rows) * self.fields + 1, np.int64)
        slots = slot_starts.take(rows, axis=0)
        np.add(slots, (taken[:-1] - slots[:, 0])[:, None], out=offsets[:-1].reshape(-1, self.fields))
        offsets[-1] = taken[-1]
        return Entries(self.ids.take(positions), self.fields, offsets, _rows_of(self.values, positions), self.pooling)


def concatenated(pieces: Sequence[Encoded]) -> Encoded:
    """Pieces of one table, at least one, in their order."""
    first = pieces[0]
    names = [name for name in ("ids", "values", "dense", "labels", "weights") if getattr(first, name) is not None]
    arrays = {name: np.concatenate([getattr(piece, name) for piece in pieces]) for name in names}
    if first.offsets is not None:
        lengths = [np.diff(piece.offsets) for piece in pieces if piece.offsets is not None]
        arrays["offsets"] = np.append(0, np.cumsum(np.concatenate(lengths)))
    return replace(first, checked=True, **arrays)


def _rows_of(array: np.ndarray | None, rows: np.ndarray) -> np.ndarray | None:
    return None if array is None else array.take(rows, axis=0)
