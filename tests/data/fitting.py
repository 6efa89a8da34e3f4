"""One field fitted and encoded alone: what the tests of the codecs look at."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfm_core.data import Encoded, Encoder, Schema
from fastfm_core.data.columns import Table


def fitted(table: Table, *fields: Any, min_count: int = 1) -> tuple[Encoder, Encoded]:
    """The encoder fitted on the whole table, and the table encoded."""
    encoder = Encoder.fit(table, Schema(fields), min_count=min_count)
    return encoder, encoder.transform(table)


def values_of(encoded: Encoded) -> np.ndarray:
    """The entries' values, which must be there and float32."""
    assert encoded.values is not None and encoded.values.dtype == np.float32
    return encoded.values


def assert_same_encoded(left: Encoded, right: Encoded) -> None:
    """Every array of both is equal in dtype, shape and bits."""
    for name in ("ids", "offsets", "values", "dense", "labels", "weights", "unknown_rows"):
        first, second = getattr(left, name), getattr(right, name)
        assert (first is None) == (second is None), name
        if first is not None:
            assert (first.dtype, first.shape, first.tobytes()) == (second.dtype, second.shape, second.tobytes()), name
