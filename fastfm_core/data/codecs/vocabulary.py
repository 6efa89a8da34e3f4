"""Vocabularies: each text that training holds often enough owns a row.

Rows, from the field's first: 0 unknown, 1 missing, 2.. the vocabulary by descending training count, then text.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfm_core.data.codecs.codec import Slots
from fastfm_core.data.columns import (
    RowError,
    Table,
    column_of,
    counting_from,
    decimals,
    first_row,
    single_of,
    take,
    texts_of,
)
from fastfm_core.data.schema import Categorical, Field, History, MultiHot
from fastfm_core.data.text import Bags, TextIndex, Texts, grown

UNKNOWN, MISSING, FIRST_VALUE = 0, 1, 2
WEIGHT = ":"


class VocabularyFitter:
    """Counts texts."""

    def __init__(self, min_count: int) -> None:
        self.min_count = min_count
        self._index = TextIndex()
        self._counts = np.zeros(16, np.int64)
        self._missing = False

    def observe(
        self, field: Categorical | MultiHot | History, table: Table, rows: np.ndarray, sampled: np.ndarray
    ) -> tuple[Texts, np.ndarray, bool]:
        """(distinct texts in a buffer of their own, how often each occurs, whether some cell is missing).

        Of a history the items of the rows themselves are counted; where it shares rows, those have been counted.
        """
        if isinstance(field, History) and field.share:
            return Texts.of([]), np.empty(0, np.int64), False
        if isinstance(field, MultiHot):
            with counting_from(rows):
                bags = bags_of(take(column_of(table, field.name), rows), field)
            texts, codes = bags.values.factorize()
            missing = bool((np.diff(bags.offsets) == 0).any())
        else:
            texts, codes = texts_of(take(single_of(table, field.columns[0]), rows))
            texts, codes = texts.factorize() if codes is None else (texts, codes)
            missing = not isinstance(field, History) and bool((texts.starts == texts.ends).any())
        return texts.packed(), np.bincount(codes, minlength=len(texts)), missing

    def merge(self, seen: tuple[Texts, np.ndarray, bool]) -> None:
        """Adds a piece's counts."""
        texts, counts, missing = seen
        codes = self._index.add(texts)
        self._counts = grown(self._counts, len(self._index))
        self._counts[codes] += counts
        self._missing |= missing

    def finish(self, field: Categorical | MultiHot | History) -> VocabularyCodec:
        """Keeps the texts met at least ``min_count`` times."""
        counted = zip((-self._counts).tolist(), self._index.texts.tolist(), strict=False)
        met = [pair for pair in counted if pair[1]]
        kept = sorted(pair for pair in met if -pair[0] >= self.min_count)
        return CODECS[type(field)](field, [text for _, text in kept], len(kept) < len(met), self._missing)


class VocabularyCodec:
    """Texts -> rows; the base of the categorical and the multi-hot codec."""

    has_values = False
    has_unknown = True

    def __init__(self, field: Any, vocabulary: list[str], rare_training: bool, missing_seen: bool) -> None:
        self.field = field
        self.vocabulary = vocabulary
        self.rare_training = rare_training
        self.missing_seen = missing_seen
        self.rows = FIRST_VALUE + len(vocabulary)
        self.untrained_rows = [UNKNOWN] if missing_seen else [UNKNOWN, MISSING]
        self._index = TextIndex(["", *vocabulary])

    def look_up(self, texts: Texts) -> np.ndarray:
        """Texts [k] -> rows [k] int64; the index knows "" as number 0, its row is MISSING."""
        return self._index.find(texts) + MISSING

    def encode(self, table: Table) -> Slots:
        """Overridden: what a cell holds is the codec's own matter."""
        raise NotImplementedError

    def note(self) -> str | None:
        return None

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; the texts are kept as they are."""
        return {"vocabulary": self.vocabulary, "rare_training": self.rare_training, "missing_seen": self.missing_seen}

    @classmethod
    def from_dict(cls, field: Field, state: dict[str, Any]) -> VocabularyCodec:
        return cls(field, **state)


class CategoricalCodec(VocabularyCodec):
    """One value, one entry."""

    def encode(self, table: Table) -> Slots:
        texts, codes = texts_of(single_of(table, self.field.name))
        rows = self.look_up(texts)
        return Slots(rows if codes is None else rows[codes])


class MultiHotCodec(VocabularyCodec):
    """A cell's values, each an entry with its coefficient as value; a cell without values is missing.

    With pooling "none" it is an empty bag: a libsvm line without entries.
    """

    def encode(self, table: Table) -> Slots:
        bags = bags_of(column_of(table, self.field.name), self.field)
        lengths = np.diff(bags.offsets)
        ids, weights = self.look_up(bags.values), bags.weights
        if self.field.pooling != "none" and (lengths == 0).any():
            filled = np.repeat(lengths > 0, np.maximum(lengths, 1))
            ids = _spread(ids, filled, MISSING)
            weights = None if weights is None else _spread(weights, filled, 1.0)
            lengths = np.maximum(lengths, 1)
        return Slots(ids, lengths, _coefficients(self.field.pooling, lengths, weights))


class HistoryCodec(VocabularyCodec):
    """A history's items, each an entry with its coefficient as value; no row is missing, an empty history is empty.

    The table has the histories as a ``Past``, under the field's name.
    """

    def encode(self, table: Table) -> Slots:
        past = table[self.field.name]
        met = np.zeros(len(past.items), bool)
        met[past.codes] = True
        rows = np.empty(len(met), np.int64)
        rows[met] = self.look_up(past.items[met])
        lengths = np.diff(past.offsets)
        return Slots(rows[past.codes], lengths, _coefficients(self.field.pooling, lengths, None))


CODECS: dict[type, type[VocabularyCodec]] = {
    Categorical: CategoricalCodec,
    MultiHot: MultiHotCodec,
    History: HistoryCodec,
}


def bags_of(column: Any, field: MultiHot) -> Bags:
    """A column's cells as bags, split as the field says. RowError for a weight that is no finite number."""
    if isinstance(column, Bags):
        return column
    texts, codes = texts_of(column)
    texts = texts if codes is None else texts[codes]
    values, offsets = texts.split(field.separator)
    if not field.weighted:
        return Bags(values, offsets)
    values, after = values.cut_at_last(WEIGHT)
    weights = decimals(after)
    weights[after.starts == after.ends] = 1.0
    if (wrong := ~np.isfinite(weights)).any():
        row = int(np.searchsorted(offsets, first_row(wrong) - 1, side="right"))
        what = f": the weight {after[first_row(wrong) - 1]!r} is not a finite number: correct the cell"
        raise RowError(f"column {field.name!r}, ", row, what)
    return Bags(values, offsets, weights)


def _coefficients(pooling: str, lengths: np.ndarray, weights: np.ndarray | None) -> np.ndarray | None:
    """[N] float32, of bags with ``lengths`` [n] values and their weights [N]; None: all 1."""
    power = {"mean": -1.0, "sqrtn": -0.5}.get(pooling)
    if power is None:
        return None if weights is None else weights.astype(np.float32)
    shares = np.repeat(np.maximum(lengths, 1) ** power, lengths)
    return (shares if weights is None else shares * weights).astype(np.float32)


def _spread(values: np.ndarray, filled: np.ndarray, rest: float) -> np.ndarray:
    """The values at the places [N] that are filled, ``rest`` at the others."""
    spread = np.full(len(filled), rest, values.dtype)
    spread[filled] = values
    return spread
