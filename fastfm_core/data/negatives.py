"""Sampled negatives: for every positive training row, rows of the same user with items that the user has not met.

A negative is the positive's row with the fields of the item's columns taken from that item's first training row. All
items of the training part are equally likely, but for those of any training row of the user; an item may be drawn
twice. The draws for a row are the words of Philox blocks row * ceil(K / 4) on in the stream (seed, epoch): batches,
threads and resume change nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fastfm_core.contract import Batch
from fastfm_core.data.batches import Batches
from fastfm_core.data.encoded import Encoded
from fastfm_core.data.schema import History
from fastfm_core.errors import InputError
from fastfm_core.random import philox_blocks

NEGATIVE_STREAM = 0x4E45_4741  # far from the numbers of layers, which name streams of dropout


class ItemFields(NamedTuple):
    """What of a sample belongs to its item: embedding fields [F] bool and raw numbers [I] bool."""

    fields: np.ndarray
    dense: np.ndarray


def item_fields(encoder: Any, columns: Sequence[str]) -> ItemFields:
    """The fields of an encoder that read the item's columns alone. InputError for one that mixes them with others.

    A history is the user's, although it reads the items of earlier rows.
    """
    read = {field.name: () if isinstance(field, History) else field.columns for field in encoder.schema.fields}
    within = {name: [column in columns for column in names] or [False] for name, names in read.items()}
    for name, known in within.items():
        if any(known) and not all(known):
            raise InputError(
                f"column {name!r} crosses the item with other columns: a sampled negative has no row to take it from, "
                "so leave it out"
            )
    names = encoder.field_names, encoder.dense_names
    return ItemFields(*(np.array([all(within[name]) for name in part], bool) for part in names))


class Sampler:
    """Draws items that users have not met.

    rows          [k] ascending numbers of the training rows
    users, items  [k] numbers of each row's user and item

    InputError when a user has met every item.
    """

    def __init__(self, rows: np.ndarray, users: np.ndarray, items: np.ndarray, seed: int) -> None:
        self._rows, self._seed = rows, seed
        self._user = np.unique(users, return_inverse=True)[1]
        _, first, item = np.unique(items, return_index=True, return_inverse=True)
        self._first_row, self._items = rows[first], len(first)
        met = np.unique(self._user * self._items + item)
        owner = met // self._items
        self._starts = np.searchsorted(owner, np.arange(owner[-1] + 1))
        # before the i-th item s_i that a user has met, s_i - i are free: these rise within a user and from user to user
        self._gaps = met - (np.arange(len(met)) - self._starts[owner])
        self._free = self._items - np.bincount(owner)
        if not self._free.all():
            row = rows[np.argmax(self._free[self._user] == 0)] + 1
            what = f"the user of data row {row} has met all {self._items} items of the training part"
            raise InputError(f"--sample-negatives: {what}, so there is none to draw; leave the user's rows out")

    def draw(self, rows: np.ndarray, epoch: int, count: int) -> np.ndarray:
        """[B, count] for each of the training rows [B] the first training rows of items that its user has not met."""
        user = self._user[np.searchsorted(self._rows, rows)]
        per_row = -(-count // 4)
        blocks = (rows[:, None] * per_row + np.arange(per_row)).astype(np.uint64)
        words = philox_blocks(self._seed, epoch, NEGATIVE_STREAM, blocks.reshape(-1)).reshape(len(rows), -1)[:, :count]
        free = (words.astype(np.uint64) * self._free[user].astype(np.uint64)[:, None] >> np.uint64(32)).astype(np.int64)
        order = np.argsort(user)  # the search then goes through its array once
        before = np.empty_like(free)
        before[order] = np.searchsorted(self._gaps, (free + (user * self._items)[:, None])[order], side="right")
        return self._first_row[free + before - self._starts[user][:, None]]


class NegativeBatches(Batches):
    """Batches in which ``negatives`` samples with label 0 follow every positive row; they weigh what it weighs.

    Rows with label 0 stay as they are; with ``grouped`` they are left out, so that a batch is groups of 1 + negatives.
    The batch size counts rows of the table.
    """

    def __init__(
        self, encoded: Encoded, rows: np.ndarray, batch_size: int, seed: int, *, users: np.ndarray, items: np.ndarray,
        negatives: int, of_item: ItemFields, grouped: bool, **options: Any,
    ) -> None:  # fmt: skip
        assert encoded.labels is not None
        self._sampler = Sampler(rows, users, items, seed)
        self._of_item, self.negatives = of_item, negatives
        kept = rows[encoded.labels[rows] > 0.5] if grouped else rows
        super().__init__(encoded, kept, batch_size, seed, **options)

    @property
    def samples(self) -> int:
        return len(self.labels)

    @property
    def labels(self) -> np.ndarray:
        """[n] float32 of one epoch's samples, the negatives last."""
        return with_negatives(super().labels, self.negatives)

    def _taken(self, rows: np.ndarray, epoch: int) -> Batch:
        assert self.encoded.labels is not None
        labels = self.encoded.labels[rows]
        positive = labels > 0.5
        counts = np.where(positive, 1 + self.negatives, 1)
        firsts = np.cumsum(counts) - counts
        own = np.repeat(rows, counts)
        others = own.copy()
        places = firsts[positive][:, None] + np.arange(1, 1 + self.negatives)
        others[places] = self._sampler.draw(rows[positive], epoch, self.negatives)
        given = np.zeros(len(own), np.float32)
        given[firsts] = labels
        return self.encoded.take_mixed(own, others, *self._of_item)._replace(labels=given)


def with_negatives(labels: np.ndarray, negatives: int) -> np.ndarray:
    """The labels [k] and those of the negatives that are sampled for them, which are 0."""
    return np.append(labels, np.zeros(int((labels > 0.5).sum()) * negatives, np.float32))
