"""Batches of an encoded table, in an order that (seed, epoch) alone decides.

Up to WINDOW rows are shuffled as a whole. More than that are shuffled in blocks, so that a table larger than memory is
read in pieces: blocks of BLOCK consecutive rows change places, then the rows within each window of WINDOW / BLOCK
blocks do. Only the row numbers of one window are held at a time.

In training a small share of the ids is replaced by their field's unknown row, so that the row is trained although no
rare training value feeds it. Which ones depends on (seed, epoch, batch) alone: resume and threads change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from fastfm_core.contract import Batch, Entries, RowPlan
from fastfm_core.data.encoded import Encoded
from fastfm_core.errors import InputError
from fastfm_core.random import generator

SHUFFLE_STREAM, UNKNOWN_STREAM = 1, 2
WINDOW, BLOCK = 2**18, 1024


class Batches:
    """The samples ``rows`` of an encoded table, cut into batches; the last one may be smaller.

    encoded          its arrays may be memory-mapped; a batch's arrays are ordinary ones
    rows             [k] sample numbers, None: all
    shuffle          a new order every epoch; False: as given
    drop_to_unknown  [F] bool, fields whose ids are dropped with probability ``unknown_rate``; None: no field
    plan             (ids [N], rows of the arena) -> their row plan, which each batch then carries: a backend's
                     ``plan_rows``, for training; None: batches carry none
    """

    negatives = 0  # samples that follow each positive one

    def __init__(
        self,
        encoded: Encoded,
        rows: np.ndarray | None = None,
        batch_size: int = 1024,
        seed: int = 0,
        shuffle: bool = True,
        unknown_rate: float = 0.01,
        drop_to_unknown: np.ndarray | None = None,
        plan: Callable[[np.ndarray, int], RowPlan] | None = None,
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
        self.plan = plan
        dropped = np.zeros(encoded.fields, bool) if drop_to_unknown is None else np.asarray(drop_to_unknown, bool)
        self._targets = np.where(dropped, encoded.unknown_rows, -1)
        self._drops = unknown_rate > 0 and bool((self._targets >= 0).any())

    def __len__(self) -> int:
        """Batches per epoch."""
        return -(-len(self.rows) // self.batch_size)

    @property
    def samples(self) -> int:
        """Samples per epoch."""
        return len(self.rows)

    @property
    def labels(self) -> np.ndarray:
        """[k] float32, in the order of ``rows``. InputError when the table has none."""
        if self.encoded.labels is None:
            raise InputError("the batches have no labels to learn from; give the encoder labels, too")
        return self.encoded.labels[self.rows]

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch, each sample once, from batch number ``start`` (the first is 0) on."""
        for number, rows in enumerate(self._cut(self._windows(epoch, start * self.batch_size)), start):
            batch = self._taken(rows, epoch)
            if self._drops:
                self._drop_ids_(batch.entries, epoch, number)
            if self.plan is not None:  # of the ids as they are looked up, so after some were dropped
                batch = batch._replace(plan=self.plan(batch.entries.ids, self.encoded.rows))
            yield batch

    def _taken(self, rows: np.ndarray, epoch: int) -> Batch:
        """The batch of these samples, without a plan."""
        return self.encoded.take(rows)

    def _cut(self, windows: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        """Row numbers in pieces of any size -> in pieces of the batch size."""
        left = self.rows[:0]
        for window in windows:
            left = np.concatenate([left, window])
            whole = len(left) - len(left) % self.batch_size
            for begin in range(0, whole, self.batch_size):
                yield left[begin : begin + self.batch_size]
            left = left[whole:]
        if len(left):
            yield left

    def _windows(self, epoch: int, skip: int) -> Iterator[np.ndarray]:
        """The row numbers of one epoch in its order, without the first ``skip``; windows before them are not drawn."""
        count = len(self.rows)
        if not self.shuffle:
            yield self.rows[skip:]
        elif count <= WINDOW:
            yield generator(self.seed, epoch, 0, SHUFFLE_STREAM).permutation(self.rows)[skip:]
        else:
            blocks = generator(self.seed, epoch, 0, SHUFFLE_STREAM).permutation(-(-count // BLOCK))
            for window, chosen in enumerate(np.split(blocks, range(WINDOW // BLOCK, len(blocks), WINDOW // BLOCK)), 1):
                positions = (chosen[:, None] * BLOCK + np.arange(BLOCK)).reshape(-1)
                positions = positions[positions < count]  # the last block may be smaller
                if skip < len(positions):
                    drawn = generator(self.seed, epoch, window, SHUFFLE_STREAM).permutation(positions)
                    yield self.rows[drawn[skip:]]
                skip = max(skip - len(positions), 0)

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
