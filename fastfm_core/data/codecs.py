"""One codec per column type: fitted on the training rows, it turns a column into rows of the arena or raw numbers.

Rows a codec owns, counted from its base (its range in the arena is contiguous):
  Categorical, MultiHot   0 unknown, 1 missing, 2.. the vocabulary by descending training count, then text
  Numeric, use "row"      0 the value row (entered with value x), 1 the missing row (entered with value 1)
  Numeric, use "raw"      none; missing is 0 after standardising
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np

from fastfm_core.data.columns import Table, column_of, factorize, first_seen, numbers, ragged_positions
from fastfm_core.data.schema import Categorical, Column, MultiHot, Numeric

UNKNOWN, MISSING, FIRST_VALUE = 0, 1, 2
VALUE = 0
HEAVY_TAIL_KURTOSIS = 10.0
CONSTANT_SPREAD = 1e-10  # a standard deviation below this share of the mean is rounding noise: the scale is 1
FARTHEST = 1e6  # standard deviations


class Slots(NamedTuple):
    """One column of n samples, encoded.

    ids      [N] int64, counted from the codec's base; empty for a raw number, which is nothing but values [n]
    lengths  [n] int64 entries per sample; None: one each, N = n
    values   [N] float32; None: all 1
    """

    ids: np.ndarray
    lengths: np.ndarray | None = None
    values: np.ndarray | None = None


class Codec(Protocol):
    """What the encoder asks of a fitted column.

    rows            rows it owns in the arena; 0 for a raw number
    has_unknown     row 0 is the unknown row
    rare_training   some training values fell to the unknown row, which thereby is trained
    untrained_rows  rows that no training sample reaches unless ids are dropped to them
    """

    rows: int
    has_unknown: bool
    rare_training: bool
    untrained_rows: list[int]

    def encode(self, table: Table) -> Slots: ...

    def to_dict(self) -> dict[str, Any]: ...


class VocabularyCodec:
    """Text values -> rows; the base of the categorical and the multi-hot codec."""

    has_unknown = True

    def __init__(self, column: Any, vocabulary: list[str], rare_training: bool, missing_seen: bool) -> None:
        self.column = column
        self.vocabulary = vocabulary
        self.rare_training = rare_training
        self.missing_seen = missing_seen
        self.rows = FIRST_VALUE + len(vocabulary)
        self.untrained_rows = [UNKNOWN] if missing_seen else [UNKNOWN, MISSING]
        self._row_of = {"": MISSING, **{text: row for row, text in enumerate(vocabulary, FIRST_VALUE)}}

    @classmethod
    def from_counts(cls, column: Any, texts: list[str], counts: np.ndarray, min_count: int) -> VocabularyCodec:
        """Keeps the texts met at least ``min_count`` times."""
        counted = [(-int(count), text) for text, count in zip(texts, counts, strict=True) if text]
        kept = sorted(pair for pair in counted if -pair[0] >= min_count)
        return cls(column, [text for _, text in kept], len(kept) < len(counted), "" in texts)

    def look_up(self, texts: list[str]) -> np.ndarray:
        """Texts [k] -> rows [k] int64."""
        return np.fromiter((self._row_of.get(text, UNKNOWN) for text in texts), np.int64, len(texts))

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; the texts are kept as they are."""
        return {"vocabulary": self.vocabulary, "rare_training": self.rare_training, "missing_seen": self.missing_seen}

    @classmethod
    def from_dict(cls, column: Any, state: dict[str, Any]) -> VocabularyCodec:
        return cls(column, **state)


class CategoricalCodec(VocabularyCodec):
    """One value, one entry."""

    @classmethod
    def fit(cls, column: Categorical, table: Table, train_rows: np.ndarray, min_count: int) -> VocabularyCodec:
        texts, codes = factorize(column_of(table, column.name)[train_rows])
        return cls.from_counts(column, texts, np.bincount(codes, minlength=len(texts)), min_count)

    def encode(self, table: Table) -> Slots:
        texts, codes = factorize(column_of(table, self.column.name))
        return Slots(self.look_up(texts)[codes])


class MultiHotCodec(VocabularyCodec):
    """A cell's values, each an entry with its pooling coefficient as value; a cell without values is missing."""

    @classmethod
    def fit(cls, column: MultiHot, table: Table, train_rows: np.ndarray, min_count: int) -> VocabularyCodec:
        cells, codes = factorize(column_of(table, column.name)[train_rows])
        texts, tokens, offsets = _split(cells, column.separator)
        cell_counts = np.bincount(codes, minlength=len(cells))
        counts = np.bincount(tokens, np.repeat(cell_counts, np.diff(offsets)), minlength=len(texts))
        return cls.from_counts(column, texts, counts, min_count)

    def encode(self, table: Table) -> Slots:
        cells, codes = factorize(column_of(table, self.column.name))
        texts, tokens, offsets = _split(cells, self.column.separator)
        positions, taken = ragged_positions(offsets, codes)
        lengths = np.diff(taken)
        values = None
        if self.column.pooling != "sum":
            power = -1.0 if self.column.pooling == "mean" else -0.5
            values = np.repeat(lengths**power, lengths).astype(np.float32)
        return Slots(self.look_up(texts)[tokens[positions]], lengths, values)


class NumericCodec:
    """A number, standardised by the mean and scale of the training rows, after a signed log1p when heavy-tailed."""

    has_unknown = False
    rare_training = False

    def __init__(self, column: Numeric, log: bool, mean: float, scale: float, missing_seen: bool) -> None:
        self.column = column
        self.log, self.mean, self.scale, self.missing_seen = log, mean, scale, missing_seen
        self.rows = 2 if column.use == "row" else 0
        self.untrained_rows = [] if missing_seen or column.use == "raw" else [MISSING]

    @classmethod
    def fit(cls, column: Numeric, table: Table, train_rows: np.ndarray, min_count: int) -> NumericCodec:
        values = numbers(column_of(table, column.name)[train_rows], column.name)
        known = values[~np.isnan(values)]
        log = _kurtosis(known) > HEAVY_TAIL_KURTOSIS
        if log:
            known = _signed_log(known)
        mean, deviation = (float(known.mean()), float(known.std())) if len(known) else (0.0, 0.0)
        scale = deviation if deviation > CONSTANT_SPREAD * abs(mean) else 1.0
        return cls(column, log, mean, scale, len(known) < len(values))

    def standardized(self, table: Table) -> np.ndarray:
        """[n] float64, NaN where missing, clipped far out so that float32 stays finite."""
        values = numbers(column_of(table, self.column.name), self.column.name)
        values = (_signed_log(values) if self.log else values) - self.mean
        return np.clip(values / self.scale, -FARTHEST, FARTHEST)

    def encode(self, table: Table) -> Slots:
        values = self.standardized(table)
        missing = np.isnan(values)
        if self.column.use == "raw":
            return Slots(np.empty(0, np.int64), values=np.where(missing, 0.0, values).astype(np.float32))
        ids = np.where(missing, MISSING, VALUE).astype(np.int64)
        return Slots(ids, values=np.where(missing, 1.0, values).astype(np.float32))

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; floats come back bit for bit."""
        return {"log": self.log, "mean": self.mean, "scale": self.scale, "missing_seen": self.missing_seen}

    @classmethod
    def from_dict(cls, column: Numeric, state: dict[str, Any]) -> NumericCodec:
        return cls(column, **state)


CODECS: dict[type[Column], Any] = {Categorical: CategoricalCodec, MultiHot: MultiHotCodec, Numeric: NumericCodec}


def _split(cells: list[str], separator: str) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Cells [k] -> (distinct values, codes [N] int64, offsets [k+1] int64); a cell without values holds the one ""."""
    values = [[value for value in cell.split(separator) if value] or [""] for cell in cells]
    offsets = np.zeros(len(cells) + 1, np.int64)
    np.cumsum([len(cell) for cell in values], out=offsets[1:])
    texts, codes = first_seen(value for cell in values for value in cell)
    return texts, codes, offsets


def _signed_log(values: np.ndarray) -> np.ndarray:
    return np.sign(values) * np.log1p(np.abs(values))


def _kurtosis(values: np.ndarray) -> float:
    """Fourth standardised moment: 1.8 uniform, 3 normal, 9 exponential; 0 for constant or no values."""
    scale = values.std() if len(values) else 0.0
    return float((((values - values.mean()) / scale) ** 4).mean()) if scale > 0 else 0.0
