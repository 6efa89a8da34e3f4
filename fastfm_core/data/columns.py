"""Reads the values of one table column: as texts with codes, or as numbers.

A table is a dict of column name -> column, all of one length. A column is an array [n] of any dtype, ``Texts`` [n] or
``Bags`` [n]. Missing is "" in text, NaN in floats, None in object arrays. Integers keep every digit (unsigned 64-bit
ids survive); a float that is a whole number reads like the integer, so that a column of integers with gaps, which some
files store as floats, keeps its vocabulary.
"""

from __future__ import annotations

import difflib
import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from fastfm_core.data.text import Bags, Texts, concatenate, decimal_columns
from fastfm_core.errors import InputError

Table = dict[str, Any]


class RowError(InputError):
    """A mistake in one data row of a piece of a table; ``after`` counts the rows before the piece in.

    where  what stands before "data row N" in the message;  row  counted from 1;  what  stands after it
    """

    def __init__(self, where: str, row: int, what: str) -> None:
        super().__init__(f"{where}data row {row}{what}")
        self.where, self.row, self.what = where, row, what

    def after(self, rows: int) -> RowError:
        """The same mistake, ``rows`` rows further down."""
        return RowError(self.where, self.row + rows, self.what)


@contextmanager
def counting_from(rows: np.ndarray) -> Iterator[None]:
    """Whatever is wrong in one of the taken ``rows`` [k] is told with its number in the table they were taken from."""
    try:
        yield
    except RowError as error:
        raise RowError(error.where, int(rows[error.row - 1]) + 1, error.what) from None


def column_of(table: Table, name: str) -> Any:
    """The named column; InputError with close matches when the table has none of that name."""
    if name not in table:
        raise InputError(unknown_column(name, table))
    column = table[name]
    return column if isinstance(column, Texts | Bags) else np.asarray(column)


def single_of(table: Table, name: str) -> Any:
    """The named column; InputError when it holds several values a cell."""
    column = column_of(table, name)
    if isinstance(column, Bags):
        raise InputError(f"column {name!r} has several values a cell, which only a multi-hot column may: declare it so")
    return column


def take(column: Any, rows: np.ndarray) -> Any:
    """The column's cells at positions ``rows`` [k]."""
    if not isinstance(column, Bags):
        return column[rows]
    positions, offsets = ragged_positions(column.offsets, rows)
    return Bags(column.values[positions], offsets, None if column.weights is None else column.weights[positions])


def join_rows(tables: list[Table]) -> Table:
    """Tables with the same columns, one below the other."""
    return {name: _join([table[name] for table in tables]) for name in tables[0]}


def _join(columns: list[Any]) -> Any:
    if any(isinstance(column, Texts) for column in columns):
        return concatenate([_as_texts(column) for column in columns])
    if not isinstance(columns[0], Bags):
        return np.concatenate(columns)
    lengths = np.concatenate([np.diff(column.offsets) for column in columns])
    weights = None if columns[0].weights is None else np.concatenate([column.weights for column in columns])
    return Bags(concatenate([column.values for column in columns]), np.append(0, np.cumsum(lengths)), weights)


def _as_texts(column: Any) -> Texts:
    texts, codes = texts_of(column)
    return texts if codes is None else texts[codes]


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


def factorize(column: Any) -> tuple[list[str], np.ndarray]:
    """[n] -> (distinct texts, [n] int64 positions in them); missing is the text ""."""
    if isinstance(column, Texts):
        texts, codes = column.factorize()
        return texts.tolist(), codes
    if column.dtype.kind in "iufb":
        values, codes = np.unique(column, return_inverse=True)
        values = values.tolist()
    else:
        values, codes = first_seen(column.tolist())
    texts, merged = first_seen(map(text_of, values))
    return texts, codes if len(texts) == len(values) else merged[codes]


def texts_of(column: Any) -> tuple[Texts, np.ndarray | None]:
    """[n] -> texts and, unless text i is that of cell i, the position [n] of each cell's text among them."""
    if isinstance(column, Texts):
        return column, None
    texts, codes = factorize(column)
    return Texts.of(texts), codes


def parse_number(text: str) -> float:
    """A finite number, or NaN for missing; ValueError for everything else, infinities and 1_000 included."""
    if not text.strip():
        return math.nan
    number = float(text)
    if math.isinf(number) or "_" in text:
        raise ValueError(text)
    return number


def decimals(texts: Texts) -> np.ndarray:
    """Texts [n] -> [n] float64: NaN for missing, infinity for what is no finite number."""
    return _decimals([texts])[0]


def _decimals(columns: list[Texts]) -> np.ndarray:
    values, hard = decimal_columns(columns)
    for column, row in hard.tolist():
        values[column, row] = _parse_or_infinity(columns[column][row])
    return values


def numbers(column: Any, name: str) -> np.ndarray:
    """[n] -> [n] float64 with NaN for missing. RowError naming the column where a value is no finite number."""
    if isinstance(column, Texts):
        converted = decimals(column)
    elif column.dtype.kind in "iufb":
        converted = column.astype(np.float64)
    else:
        texts, codes = factorize(column)
        converted = np.array([_parse_or_infinity(text) for text in texts], np.float64)[codes]
    wrong = np.isinf(converted)
    if wrong.any():
        row = first_row(wrong)
        what = (
            f": {text_of(column[row - 1])!r} is not a finite number: correct the cell, or make the column categorical"
        )
        raise RowError(f"column {name!r}, ", row, what)
    return converted


def numbers_of_texts(columns: list[Texts], names: list[str]) -> np.ndarray:
    """C columns of n texts -> [C, n] float64 as ``numbers`` has them, and its RowError for the first wrong column."""
    converted = _decimals(columns)
    if np.isinf(converted).any():
        for column, name in zip(columns, names, strict=True):
            numbers(column, name)
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
