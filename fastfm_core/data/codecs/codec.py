"""What fitters and codecs are: a fitter sees the training rows, piece by piece, and becomes a codec.

A table may come in any pieces, on any thread: ``observe`` is pure, ``merge`` is called in the order of the pieces, and
no codec may depend on how the table was cut.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np

from fastfm_core.data.columns import Table


class Slots(NamedTuple):
    """One field of n samples, encoded.

    ids      [N] int64, counted from the codec's first row; None for a field without rows (a raw number)
    lengths  [n] int64 entries per sample; None: one each, N = n
    values   [N] float32; None: all 1
    raw      [n] float32, the number for the deep part; None: there is none
    """

    ids: np.ndarray | None
    lengths: np.ndarray | None = None
    values: np.ndarray | None = None
    raw: np.ndarray | None = None


class Rows(NamedTuple):
    """A table that is being written, with one entry for each of n samples and F fields.

    ids     [n, F] int32 or int64, counted from the arena's first row
    values  [n, F] float32, 1 before anything is written; [n, 0] where no field has values
    raw     [n, I] float32, the numbers for the deep part
    """

    ids: np.ndarray
    values: np.ndarray
    raw: np.ndarray


class Codec(Protocol):
    """What the encoder asks of a fitted field.

    field           its declaration
    rows            rows it owns in the arena; 0 for a field that is a raw number alone
    has_values      entries have values; a multi-hot field's are not asked for
    has_unknown     row 0 is the unknown row
    rare_training   some training values fell to the unknown row, which thereby is trained
    untrained_rows  rows that no training sample reaches unless ids are dropped to them
    """

    field: Any
    rows: int
    has_values: bool
    has_unknown: bool
    rare_training: bool
    untrained_rows: list[int]

    def encode(self, table: Table) -> Slots: ...

    def note(self) -> str | None: ...

    def to_dict(self) -> dict[str, Any]: ...


class Placed(NamedTuple):
    """A codec and where its field goes in ``Rows``.

    base  the codec's first row in the arena;  field, raw  the column of ids and values, and of raw; -1: none
    """

    codec: Any
    base: int
    field: int
    raw: int


class Fitter(Protocol):
    """What becomes a codec. Fields that share rows share the fitter, so the field is an argument everywhere."""

    def observe(self, field: Any, table: Table, rows: np.ndarray, sampled: np.ndarray) -> Any:
        """What a piece's training rows [k] say. ``sampled`` are those of them whose numbers are kept."""
        ...

    def merge(self, seen: Any) -> None: ...

    def finish(self, field: Any) -> Codec: ...
