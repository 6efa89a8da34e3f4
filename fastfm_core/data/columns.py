"""Reads the values of one table column, [n] of any dtype: as texts with codes, or as numbers.

A table is a dict of column name -> [n] array, all of one length. Missing is "" in text, NaN in floats, None in object
arrays. Integers keep every digit (unsigned 64-bit ids survive); a float that is a whole number reads like the integer,
so that a column of integers with gaps, which some files store as floats, keeps its vocabulary.
"""

from __future__ import annotations

import difflib
import math
from collections import defaultdict
from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np

from fastfm_core.errors import InputError

Table = dict[str, np.ndarray]


def column_of(table: Table, name: str) -> np.ndarray:
    """The named column; InputError with close matches when the table has none of that name."""
    if name not in table:
        raise InputError(unknown_column(name, table))
    return np.asarray(table[name])


def unknown_column(name: str, names: Iterable[str]) -> str:
    """The one-line message for a column name that is not among ``names``."""
    names = list(names)
    close = difflib.get_close_matches(name, names, n=3)
    mend = f"did you mean {' or '.join(map(repr, close))}?" if close else f"the columns are {', '.join(names)}"
    return f"there is no column {name!r}: {mend}"


def table_length(table: Table) -> int:
    """n, the common length of all columns; InputError naming the column that differs."""
    lengths = {name: len(column) for name, column in table.items()}
    count = next(iter(lengths.values()), 0)
    for name, length in lengths.items():
        if length != count:
            raise InputError(f"column {name!r} has {length} values where the first column has {count}: make them equal")
    return count


def first_seen(values: Iterable[Hashable]) -> tuple[list[Any], np.ndarray]:
    """Distinct values in the order met, and for each value its position among them, int64."""
    index: defaultdict[Any, int] = defaultdict()
    index.default_factory = index.__len__
    codes = np.fromiter(map(index.__getitem__, values), np.int64)
    return list(index), codes


def text_of(value: Any) -> str:
    """One value as text: None and NaN are "", True is "1", 5.0 is "5", an integer keeps every digit."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool | np.bool_):
        return str(int(value))
    if isinstance(value, float | np.floating):
        if math.isnan(value):
            return ""
        return str(int(value)) if abs(value) < 2**53 and float(value).is_integer() else repr(float(value))
    return value.decode() if isinstance(value, bytes) else str(value)


def factorize(column: np.ndarray) -> tuple[list[str], np.ndarray]:
    """[n] -> (distinct texts, [n] int64 positions in them); missing is the text ""."""
    if column.dtype.kind in "iufb":
        values, codes = np.unique(column, return_inverse=True)
        values = values.tolist()
    else:
        values, codes = first_seen(column.tolist())
    texts, merged = first_seen(map(text_of, values))
    return texts, codes if len(texts) == len(values) else merged[codes]


def parse_number(text: str) -> float:
    """A finite number, or NaN for missing; ValueError for everything else, infinities and 1_000 included."""
    if not text.strip():
        return math.nan
    number = float(text)
    if math.isinf(number) or "_" in text:
        raise ValueError(text)
    return number


def numbers(column: np.ndarray, name: str) -> np.ndarray:
    """[n] -> [n] float64 with NaN for missing. InputError naming column and data row where a value is no number."""
    if column.dtype.kind in "iufb":
        converted = column.astype(np.float64)
    else:
        texts, codes = factorize(column)
        converted = np.array([_parse_or_infinity(text) for text in texts], np.float64)[codes]
    wrong = np.isinf(converted)
    if wrong.any():
        row = first_row(wrong)
        found = f"column {name!r}, data row {row}: {text_of(column[row - 1])!r} is not a finite number"
        raise InputError(f"{found}: correct the cell, or make the column categorical")
    return converted


def _parse_or_infinity(text: str) -> float:
    try:
        return parse_number(text)
    except ValueError:
        return math.inf


def first_row(mask: np.ndarray) -> int:
    """The first data row, counted from 1, where the mask [n] is true."""
    return int(np.argmax(mask)) + 1


def ragged_positions(offsets: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Concatenates the ranges offsets[r]:offsets[r+1] of the given rows [k].

    Returns the entry positions [N] and the [k+1] int64 offsets of the new ranges.
    """
    starts = offsets[rows]
    taken = np.zeros(len(rows) + 1, np.int64)
    np.cumsum(offsets[np.add(rows, 1)] - starts, out=taken[1:])
    positions = np.repeat(starts - taken[:-1], np.diff(taken))
    positions += np.arange(len(positions))
    return positions, taken
