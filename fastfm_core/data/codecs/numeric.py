"""Numbers: transformed, standardised by the training rows' mean and scale, or cut into bins of equal counts.

Rows, from the field's first: 0 the value row (entered with value x), 1 the missing row (entered with value 1); with
quantile bins 0 the missing row, 1.. the bins. A field that is a raw number alone owns none; missing is then 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastfm_core.data.codecs.codec import Slots
from fastfm_core.data.columns import Table, counting_from, numbers, single_of, take
from fastfm_core.data.schema import Numeric
from fastfm_core.data.text import engine

VALUE, MISSING = 0, 1
MISSING_BIN = 0
HEAVY_TAIL_KURTOSIS = 10.0
CONSTANT_SPREAD = 1e-10  # a standard deviation below this share of the mean is rounding noise: the scale is 1
FARTHEST = 1e6  # standard deviations, so that float32 stays finite

TRANSFORMS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "standardize": lambda x: x,
    "log1p": lambda x: np.copysign(np.log1p(np.abs(x)), x),
    "sqrt": lambda x: np.sign(x) * np.sqrt(np.abs(x)),
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
        self.untrained_rows = [] if missing_seen or not self.rows else [MISSING]

    def encode(self, table: Table) -> Slots:
        name = self.field.columns[0]
        values = TRANSFORMS[self.transform](numbers(single_of(table, name), name))
        ids, narrow = np.empty(len(values), np.int64), np.empty(len(values), np.float32)
        engine.kernels.standardize(values, self.mean, self.scale, FARTHEST, ids, MISSING, narrow)
        raw = np.where(ids == MISSING, np.float32(0), narrow) if "raw" in self.field.use else None
        return Slots(ids, values=narrow, raw=raw) if self.rows else Slots(None, raw=raw)

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
