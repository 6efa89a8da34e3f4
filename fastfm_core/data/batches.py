"""Batches of an encoded table, in an order that (seed, epoch) alone decides.

In training a small share of the ids is replaced by their field's unknown row, so that the row is trained although no
rare training value feeds it. Which ones depends on (seed, epoch, batch) alone: resume and threads change nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fastfm_core.contract import Batch, Entries
from fastfm_core.data.encoded import Encoded
from fastfm_core.errors import InputError
from fastfm_core.random import generator

SHUFFLE_STREAM, UNKNOWN_STREAM = 1, 2


class Batches:
    """The samples ``rows`` of an encoded table, cut into batches; the last one may be smaller.

    rows             [k] sample numbers, None: all
    shuffle          a new order every epoch; False: as given
    drop_to_unknown  [F] bool, fields whose ids are dropped with probability ``unknown_rate``; None: no field
    """

    def __init__(
        self,
        encoded: Encoded,
        rows: np.ndarray | None = None,
        batch_size: int = 1024,
        seed: int = 0,
        shuffle: bool = True,
        unknown_rate: float = 0.01,
        drop_to_unknown: np.ndarray | None = None,
    ) -> None:
        if batch_size < 1:
            raise InputError(f"batch_size is {batch_size}, it must be at least 1")
        if not 0.0 <= unknown_rate < 1.0:
            raise InputError(f"unknown_rate is {unknown_rate}, it must be at least 0 and below 1")
        self.encoded = encoded
        self.rows = np.arange(len(encoded)) if rows is None else np.asarray(rows)
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.unknown_rate = unknown_rate
        dropped = np.zeros(encoded.fields, bool) if drop_to_unknown is None else np.asarray(drop_to_unknown, bool)
        self._targets = np.where(dropped, encoded.unknown_rows, -1)
        self._drops = unknown_rate > 0 and bool((self._targets >= 0).any())

    def __len__(self) -> int:
        """Batches per epoch."""
        return -(-len(self.rows) // self.batch_size)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """The batches of one epoch, each sample once."""
        order = self.rows
        if self.shuffle:
            order = generator(self.seed, epoch, 0, SHUFFLE_STREAM).permutation(self.rows)
        for number, start in enumerate(range(0, len(order), self.batch_size)):
            batch = self.encoded.take(order[start : start + self.batch_size])
            if self._drops:
                self._drop_ids_(batch.entries, epoch, number)
            yield batch

    def _drop_ids_(self, entries: Entries, epoch: int, number: int) -> None:
        """Replaces ids in place: a binomial number of distinct positions, those of other fields left as they are."""
        draw = generator(self.seed, epoch, number, UNKNOWN_STREAM)
        count = draw.binomial(len(entries.ids), self.unknown_rate)
        positions = draw.choice(len(entries.ids), count, replace=False, shuffle=False)
        slots = positions
        if entries.offsets is not None:
            slots = np.searchsorted(entries.offsets, positions, side="right") - 1
        targets = self._targets[slots % entries.fields]
        hit = targets >= 0
        entries.ids[positions[hit]] = targets[hit]
