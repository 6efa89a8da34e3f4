"""Columns into rows: NumPy's own strided copies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def interleave_ids(columns: Sequence[np.ndarray], bases: np.ndarray, ids: np.ndarray) -> None:
    """C columns [n] int64, each with its base [C] int64 added -> ids [n, C] int32 or int64."""
    for place, (column, base) in enumerate(zip(columns, bases.tolist(), strict=True)):
        ids[:, place] = column + base


def interleave_values(columns: Sequence[np.ndarray | None], values: np.ndarray) -> None:
    """C columns [n] float32, None: all 1 -> values [n, C] float32."""
    for place, column in enumerate(columns):
        values[:, place] = 1 if column is None else column
