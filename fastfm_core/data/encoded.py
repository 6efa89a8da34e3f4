"""A table as arrays: sample-major ids of one arena, their values, raw numbers, labels and weights.

Layout for n samples and F fields: with one entry per field ids is [n, F]; with any bag it is flat [N] and
offsets [n*F + 1] int64 says which entries feed slot s = sample*F + field. values has the shape of ids.
Ids are checked here, once, against the arena's rows; a batch taken from here needs no check.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastfm_core.contract import Batch, Entries, Pooling
from fastfm_core.data.columns import ragged_positions
from fastfm_core.errors import InputError

PIECE_ROWS = 1 << 16


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

    def count_unknown(self, rows: np.ndarray | None = None) -> np.ndarray:
        """[2, F] int64: each field's unknown entries, and all of them, in the samples ``rows`` [k] or in all."""
        rows = np.arange(len(self)) if rows is None else rows
        counts = np.zeros((2, self.fields), np.int64)
        for begin in range(0, len(rows), PIECE_ROWS):
            entries = self._entries(rows[begin : begin + PIECE_ROWS])
            slots = np.arange(entries.slots)
            field = (slots if entries.offsets is None else np.repeat(slots, np.diff(entries.offsets))) % self.fields
            counts[0] += np.bincount(field[entries.ids == self.unknown_rows[field]], minlength=self.fields)
            counts[1] += np.bincount(field, minlength=self.fields)
        return counts

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


def _rows_of(array: np.ndarray | None, rows: np.ndarray) -> np.ndarray | None:
    return None if array is None else array.take(rows, axis=0)
