"""Turns what Python programs hold a table in into a ``Table``: arrays, pandas and polars DataFrames, dicts of columns.

The libraries are recognised by what their objects offer and never imported. Numbers stay the numbers they are
(unsigned 64-bit ids included), gaps become NaN in floats and None elsewhere, dates and moments become ISO
text, whatever unit they came in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastfm_core.data.columns import Table, first_row, table_length
from fastfm_core.errors import InputError

FLOATS = {"float32", "float64"}
WHOLE = {"bool", "boolean", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))}


def is_table(source: Any) -> bool:
    """Whether it has named columns: a dict of columns, or a DataFrame."""
    return isinstance(source, Mapping) or (hasattr(source, "columns") and hasattr(source, "__getitem__"))


def as_table(source: Any) -> Table:
    """A DataFrame, a dict of columns or a 2-D array (its columns are called x0, x1, ...) as column name -> [n] array.

    InputError for a name that occurs twice, columns of unequal length, and cells that are neither number nor text.
    """
    if isinstance(source, np.ndarray) and source.ndim == 2:
        return {f"x{position}": column for position, column in enumerate(source.T)}
    if not is_table(source):
        raise InputError(f"{type(source).__name__}: give a DataFrame, a dict of columns or a 2-D array")
    labels = list(getattr(source, "columns", source))
    names = [str(label) for label in labels]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"column {name!r} occurs twice: rename one")
    table = {name: _checked(_column(source[label]), name) for name, label in zip(names, labels, strict=True)}
    table_length(table)
    return table


def _column(series: Any) -> np.ndarray:
    """One column as [n] array, whatever keeps each of its values exact."""
    missing = _missing(series)
    if missing is None:
        array = np.asarray(series)
        missing = np.zeros(len(array), bool)
    elif (kind := str(series.dtype).lower()) in FLOATS or (kind in WHOLE and not missing.any()):
        array = np.asarray(series)
    else:
        cells = _with_exact_categories(series).astype(object) if hasattr(series, "astype") else series.to_list()
        array = np.fromiter(cells, object, len(missing))
    if array.dtype.kind == "M":
        array = array.astype("datetime64[D]" if array.dtype == "datetime64[D]" else "datetime64[us]").astype(object)
    if array.dtype.kind not in "OUS":
        return array
    texts = (cell.isoformat() if hasattr(cell, "isoformat") else cell for cell in array)
    array = np.fromiter(texts, object, len(array))
    array[missing] = None
    return array


def _missing(series: Any) -> np.ndarray | None:
    """[n] bool of a pandas or polars column; None for what has no such notion, an array or a list."""
    for name in ("isna", "is_null"):
        if hasattr(series, name):
            return np.asarray(getattr(series, name)(), bool)
    return None


def _with_exact_categories(series: Any) -> Any:
    """A pandas categorical with object categories: with gaps its integers would become floats."""
    categories = getattr(getattr(series, "cat", None), "categories", None)
    return series if categories is None else series.cat.set_categories(categories.astype(object), rename=True)


def _checked(array: np.ndarray, name: str) -> np.ndarray:
    if array.ndim != 1:
        raise InputError(f"column {name!r} has shape {array.shape}: give one value a row")
    if array.dtype.kind == "O":
        nested = np.fromiter((isinstance(cell, list | tuple | dict | set | np.ndarray) for cell in array), bool)
        if nested.any():
            found = f"column {name!r}, data row {first_row(nested)} holds {type(array[nested][0]).__name__}s"
            raise InputError(f"{found}: join their values with | and declare the column MultiHot")
    return array
