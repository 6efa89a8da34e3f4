"""Parquet through pyarrow: numbers stay numbers (unsigned 64-bit included), everything else becomes text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fastfm_core.data.columns import Table
from fastfm_core.errors import InputError


def read_parquet(path: Path) -> Table:
    """Integers, floats and booleans (as 0/1) keep their type, text is an object array of str.

    Missing is NaN in floats; a column of integers or booleans with gaps becomes text, "" where missing, so that no
    digit is lost. InputError when pyarrow is absent, or the file is broken, empty or holds nested columns.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise InputError(f"{path}: reading Parquet needs pyarrow, pip install 'fastfm-core[parquet]'") from None
    try:
        table = pyarrow.parquet.ParquetFile(path).read()
    except pyarrow.ArrowInvalid as error:
        raise InputError(f"{path} is not a readable Parquet file: {str(error).splitlines()[0]}") from None
    names = table.column_names
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{path}: column {name!r} occurs twice, rename one")
    if not table.num_rows:
        raise InputError(f"{path} holds columns and no data: add data rows")
    return {name: _column(column, name, path) for name, column in zip(names, table.columns, strict=True)}


def _column(column: Any, name: str, path: Path) -> np.ndarray:
    """A chunked Arrow column -> [n] array."""
    import pyarrow
    from pyarrow import types

    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if types.is_boolean(column.type):
        column = column.cast(pyarrow.int8())
    if types.is_floating(column.type) or (types.is_integer(column.type) and not column.null_count):
        return column.to_numpy()
    try:
        text = column.cast(pyarrow.string()).fill_null("")
    except (pyarrow.ArrowNotImplementedError, pyarrow.ArrowInvalid):
        raise InputError(f"{path}: column {name!r} is {column.type}, which is neither number nor text") from None
    return np.array(text.to_pylist(), dtype=object)
