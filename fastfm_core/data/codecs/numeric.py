"""Numbers: transformed, standardised by the training rows' mean and scale, or cut into bins of equal counts.

Rows, from the field's first: 0 the value row (entered with value x), 1 the missing row (entered with value 1); with
quantile bins 0 the missing row, 1.. the bins. A field that is a raw number alone owns none; missing is then 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastfm_core.data.codecs.codec import Placed, Rows, Slots
from fastfm_core.data.columns import Table, counting_from, numbers, numbers_of_texts, single_of, take
from fastfm_core.data.schema import Numeric
from fastfm_core.data.text import Texts, engine

VALUE, MISSING = 0, 1
MISSING_BIN = 0
HEAVY_TAIL_KURTOSIS = 10.0
CONSTANT_SPREAD = 1e-10  # a standard deviation below this share of the mean is rounding noise: the scale is 1
FARTHEST = 1e6  # standard deviations, so that float32 stays finite


def _signed(function: Callable[..., np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """sign(x) function(abs(x)); in one new array, for each costs page faults."""

    def transform(x: np.ndarray) -> np.ndarray:
        size = np.abs(x)
        return np.copysign(function(size, out=size), x, out=size)

    return transform


TRANSFORMS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "standardize": lambda x: x,
    "log1p": _signed(np.log1p),
    "sqrt": _signed(np.sqrt),
    "square": lambda x: np.minimum(np.abs(x), 1e150) ** 2,
    "none": lambda x: x,
}


class NumericFitter:
    """Keeps the sampled training numbers, in order."""

    def __init__(self) -> None:
        self._pieces = [np.empty(0)]

    def observe(self, field: Numeric, table: Table, rows: np.ndarray, sampled: np.ndarray) -> np.ndarray:
        """[k] float64, NaN where missing."""
        name = field.columns[0]
        with counting_from(sampled):
            return numbers(take(single_of(table, name), sampled), name)

    def merge(self, seen: np.ndarray) -> None:
        self._pieces.append(seen)

    def finish(self, field: Numeric) -> NumericCodec | QuantileCodec:
        values = np.concatenate(self._pieces)
        known = values[~np.isnan(values)]
        missing_seen = len(known) < len(values)
        if field.transform == "quantile":
            return QuantileCodec(field, _bin_edges(known, field.bins), missing_seen)
        transform = field.transform
        if transform == "auto":
            transform = "log1p" if _kurtosis(known) > HEAVY_TAIL_KURTOSIS else "standardize"
        known = TRANSFORMS[transform](known)
        mean, deviation = (float(known.mean()), float(known.std())) if len(known) else (0.0, 0.0)
        scale = deviation if deviation > CONSTANT_SPREAD * abs(mean) else 1.0
        if transform == "none":
            mean, scale = 0.0, 1.0
        return NumericCodec(field, transform, mean, scale, missing_seen)


class NumericCodec:
    """(transformed x - mean) / scale."""

    has_unknown = False
    rare_training = False

    def __init__(self, field: Numeric, transform: str, mean: float, scale: float, missing_seen: bool) -> None:
        self.field = field
        self.transform, self.mean, self.scale, self.missing_seen = transform, mean, scale, missing_seen
        self.rows = 0 if field.use == ("raw",) else 2
        self.has_values = self.rows > 0
        self.untrained_rows = [] if missing_seen or not self.rows else [MISSING]

    def encode(self, table: Table) -> Slots:
        name = self.field.columns[0]
        values = numbers(single_of(table, name), name)[None]
        shape = values.shape[1], 1
        rows = Rows(np.empty(shape, np.int64), np.empty(shape, np.float32), np.empty(shape, np.float32))
        self._write([Placed(self, 0, 0, 0)], values, rows)
        raw = rows.raw[:, 0] if "raw" in self.field.use else None
        return Slots(rows.ids[:, 0], values=rows.values[:, 0], raw=raw) if self.rows else Slots(None, raw=raw)

    @classmethod
    def write_texts(cls, placed: list[Placed], columns: list[Texts], rows: Rows) -> None:
        """Writes C fields, each of one column of n texts; RowError for what is no finite number."""
        for transform in dict.fromkeys(each.codec.transform for each in placed):
            some = [column for column, each in enumerate(placed) if each.codec.transform == transform]
            group = [placed[column] for column in some]
            names = [each.codec.field.columns[0] for each in group]
            cls._write(group, numbers_of_texts([columns[column] for column in some], names), rows)

    @staticmethod
    def _write(placed: list[Placed], values: np.ndarray, rows: Rows) -> None:
        """Writes C fields with one transform, whose numbers are ``values`` [C, n]."""
        values = TRANSFORMS[placed[0].codec.transform](values)
        means, scales = (np.array([getattr(each.codec, name) for each in placed]) for name in ("mean", "scale"))
        bases, fields, raw = np.array([each[1:] for each in placed], np.int64).T.copy()
        engine.kernels.standardize(
            values, means, scales, FARTHEST, bases, MISSING, fields, rows.ids, rows.values, raw, rows.raw
        )

    def note(self) -> str | None:
        if self.field.transform == "auto" and self.transform == "log1p":
            return f"{self.field.name}: heavy-tailed, so its signed logarithm is used"
        return None

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; floats come back bit for bit."""
        names = ("transform", "mean", "scale", "missing_seen")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_dict(cls, field: Numeric, state: dict[str, Any]) -> NumericCodec:
        return cls(field, **state)


class QuantileCodec:
    """The bin that x falls in: bin k, counted from 0, holds edges[k-1] < x <= edges[k]."""

    has_values = False
    has_unknown = False
    rare_training = False

    def __init__(self, field: Numeric, edges: list[float], missing_seen: bool) -> None:
        self.field = field
        self.edges, self.missing_seen = edges, missing_seen
        self.rows = len(edges) + 2
        self.untrained_rows = [] if missing_seen else [MISSING_BIN]

    def encode(self, table: Table) -> Slots:
        name = self.field.columns[0]
        values = numbers(single_of(table, name), name)
        bins = 1 + np.searchsorted(self.edges, values)
        return Slots(np.where(np.isnan(values), MISSING_BIN, bins))

    def note(self) -> str | None:
        return f"{self.field.name}: {len(self.edges) + 1} bins of about equal training counts"

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; floats come back bit for bit."""
        return {"edges": self.edges, "missing_seen": self.missing_seen}

    @classmethod
    def from_dict(cls, field: Numeric, state: dict[str, Any]) -> QuantileCodec:
        return cls(field, **state)


def _bin_edges(values: np.ndarray, bins: int) -> list[float]:
    """Quantiles that are values themselves, and below the largest, so that every bin between them holds some value."""
    if not len(values):
        return []
    edges = np.unique(np.quantile(values, np.arange(1, bins) / bins, method="inverted_cdf"))
    return edges[edges < values.max()].tolist()


def _kurtosis(values: np.ndarray) -> float:
    """Fourth standardised moment: 1.8 uniform, 3 normal, 9 exponential; 0 for constant or no values."""
    scale = values.std() if len(values) else 0.0
    return float((((values - values.mean()) / scale) ** 4).mean()) if scale > 0 else 0.0
