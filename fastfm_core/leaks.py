"""Names the columns that alone order the training labels: suspected leaks of the label into the features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastfm_core import metrics
from fastfm_core.contract import Batch, Entries
from fastfm_core.data import Encoder

LEAK_AUC, LEAK_ROWS = 0.99, 50_000


def sampled(rows: np.ndarray) -> np.ndarray:
    """The training rows [k] to judge columns by: at most LEAK_ROWS, evenly spaced."""
    return rows[:: max(1, -(-len(rows) // LEAK_ROWS))]


def suspected_leaks(pieces: Sequence[Batch], encoder: Encoder) -> list[tuple[str, float]]:
    """The fields that alone order the 0/1 labels of some samples with an AUC above LEAK_AUC, with that AUC.

    A number is its own score. A category's score is its mean label in the other half of the rows, so that ids met once
    prove nothing; a bag's is the mean of its values' scores.
    """
    labels = np.concatenate([piece.labels for piece in pieces if piece.labels is not None])
    dense = [np.concatenate(column) for column in zip(*(_columns(piece) for piece in pieces), strict=True)]
    scores: dict[str, np.ndarray] = dict(zip(encoder.dense_names, dense, strict=True))
    for field, (name, unknown) in enumerate(zip(encoder.field_names, encoder.unknown_rows, strict=True)):
        ids, samples, values = _of_field(pieces, field)
        if unknown < 0 and values is not None and len(ids) == len(labels) and len(np.unique(values)) > 1:
            scores[name] = values
        elif len(ids):
            scores[name] = _mean_scores(ids - ids.min(), samples, labels)
    areas = {name: metrics.auc(labels, score) for name, score in scores.items()}
    return [(name, max(area, 1 - area)) for name, area in areas.items() if max(area, 1 - area) > LEAK_AUC]


def leak_warnings(pieces: Sequence[Batch], encoder: Encoder) -> list[str]:
    """A line per suspected leak."""
    return [
        f"warning: column {name!r} alone reaches AUC {area:.4f} on the training part: a leak? then --drop {name}"
        for name, area in suspected_leaks(pieces, encoder)
    ]


def _columns(piece: Batch) -> list[np.ndarray]:
    return [] if piece.dense is None else list(piece.dense.T)


def _of_field(pieces: Sequence[Batch], field: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """(ids [N], sample of each [N], values [N] or None) of one field's entries."""
    found, before = [], 0
    for piece in pieces:
        ids, samples, values = _of_piece(piece.entries, field)
        found.append((ids, samples + before, values))
        before += piece.entries.samples
    ids, samples, values = zip(*found, strict=True)
    together = None if any(part is None for part in values) else np.concatenate(values)
    return np.concatenate(ids), np.concatenate(samples), together


def _of_piece(entries: Entries, field: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    slots = np.arange(field, entries.slots, entries.fields)
    if entries.offsets is None:
        places, lengths = slots, np.ones(len(slots), np.int64)
    else:
        starts, lengths = entries.offsets[slots], np.diff(entries.offsets)[slots]
        places = np.repeat(starts - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())
    samples = np.repeat(np.arange(len(slots)), lengths)
    return entries.ids[places], samples, None if entries.values is None else entries.values[places]


def _mean_scores(ids: np.ndarray, samples: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """[N], [N], [n] -> [n]: mean over a sample's ids of their mean label in samples of the other parity.

    One sample of the base rate is added to each mean, so that a rare id says little.
    """
    base, odd = labels.mean(), samples % 2
    scores = np.full(len(ids), base, np.float64)
    for parity in (0, 1):
        others, own = odd != parity, odd == parity
        counts = np.bincount(ids[others], minlength=ids.max() + 1)
        sums = np.bincount(ids[others], labels[samples[others]], minlength=ids.max() + 1)
        scores[own] = ((sums + base) / (counts + 1))[ids[own]]
    lengths = np.bincount(samples, minlength=len(labels))
    return np.where(lengths, np.bincount(samples, scores, minlength=len(labels)) / np.maximum(lengths, 1), base)
