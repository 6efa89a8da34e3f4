"""Tables held by Python programs: every value arrives exactly, gaps become missing, libraries are not imported."""

from __future__ import annotations

import datetime
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from fastfm_core.data.columns import factorize
from fastfm_core.data.tables import as_table
from fastfm_core.errors import InputError

BIG = 2**64 - 1
MOMENT, DAY = datetime.datetime(2024, 5, 1, 10, 30), datetime.date(2024, 5, 1)

PANDAS = {
    "uint64": (np.array([BIG, BIG - 1, 5], np.uint64), [str(BIG), str(BIG - 1), "5"]),
    "nullable uint64": (pd.array([BIG, None, 5], dtype="UInt64"), [str(BIG), "", "5"]),
    "nullable int64 without gaps": (pd.array([1, 2, 3], dtype="Int64"), ["1", "2", "3"]),
    "nullable float64": (pd.array([1.5, None, 2.0], dtype="Float64"), ["1.5", "", "2"]),
    "arrow uint64": (pd.array([BIG, None, 5], dtype="uint64[pyarrow]"), [str(BIG), "", "5"]),
    "categorical numbers": (pd.Categorical([BIG, None, BIG - 2]), [str(BIG), "", str(BIG - 2)]),
    "categorical text": (pd.Categorical(["a", None, "b"]), ["a", "", "b"]),
    "bool": ([True, False, True], ["1", "0", "1"]),
    "nullable bool": (pd.array([True, None, False], dtype="boolean"), ["1", "", "0"]),
    "object text": (np.array(["a", None, np.nan], object), ["a", "", ""]),
    "string": (pd.array(["a", pd.NA, "b"], dtype="string"), ["a", "", "b"]),
    "mixed": (np.array([1, "a", None], object), ["1", "a", ""]),
    "float": ([1.5, np.nan, 2.0], ["1.5", "", "2"]),
    "moments": (pd.to_datetime([MOMENT, None, MOMENT]), ["2024-05-01T10:30:00", "", "2024-05-01T10:30:00"]),
    "moments in seconds": (np.array([MOMENT] * 3, "datetime64[s]"), ["2024-05-01T10:30:00"] * 3),
    "moments of a zone": (pd.to_datetime([MOMENT] * 3).tz_localize("UTC"), ["2024-05-01T10:30:00+00:00"] * 3),
}
POLARS = {
    "uint64": (pl.Series([BIG, BIG - 1, 5], dtype=pl.UInt64), [str(BIG), str(BIG - 1), "5"]),
    "uint64 with gaps": (pl.Series([BIG, None, 5], dtype=pl.UInt64), [str(BIG), "", "5"]),
    "int128": (pl.Series([BIG, 5, 7], dtype=pl.Int128), [str(BIG), "5", "7"]),
    "categorical": (pl.Series(["a", None, "b"], dtype=pl.Categorical), ["a", "", "b"]),
    "enum": (pl.Series(["a", "b", "b"], dtype=pl.Enum(["a", "b"])), ["a", "b", "b"]),
    "bool": (pl.Series([True, False, True]), ["1", "0", "1"]),
    "bool with gaps": (pl.Series([True, None, False]), ["1", "", "0"]),
    "text": (pl.Series(["a", None, "b"]), ["a", "", "b"]),
    "float": (pl.Series([1.5, None, float("nan")]), ["1.5", "", ""]),
    "days": (pl.Series([DAY, DAY, DAY]), ["2024-05-01"] * 3),
    "days with gaps": (pl.Series([DAY, None, DAY]), ["2024-05-01", "", "2024-05-01"]),
    "moments": (pl.Series([MOMENT] * 3), ["2024-05-01T10:30:00"] * 3),
    "moments with gaps": (pl.Series([MOMENT, None, MOMENT]), ["2024-05-01T10:30:00", "", "2024-05-01T10:30:00"]),
}


def texts_of(column: np.ndarray) -> list[str]:
    assert isinstance(column, np.ndarray) and column.shape == (3,)
    texts, codes = factorize(column)
    return [texts[code] for code in codes]


@pytest.mark.parametrize("kind", PANDAS)
def test_pandas_columns_keep_their_values(kind: str) -> None:
    values, texts = PANDAS[kind]
    assert texts_of(as_table(pd.DataFrame({"c": values}))["c"]) == texts


@pytest.mark.parametrize("kind", POLARS)
def test_polars_columns_keep_their_values(kind: str) -> None:
    values, texts = POLARS[kind]
    assert texts_of(as_table(pl.DataFrame({"c": values}))["c"]) == texts


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([1, "a", None], ["1", "a", ""]),
        (["a", "b", "c"], ["a", "b", "c"]),
        (np.array([BIG, 0, 1], np.uint64), [str(BIG), "0", "1"]),
        (np.array([DAY] * 3, "datetime64[D]"), ["2024-05-01"] * 3),
        ((1.5, None, 2), ["1.5", "", "2"]),
    ],
)
def test_dicts_of_arrays_and_lists(values: Any, texts: list[str]) -> None:
    assert texts_of(as_table({"c": values})["c"]) == texts


def test_numbers_stay_numbers() -> None:
    frame = pd.DataFrame({"u": np.array([BIG], np.uint64), "f": [1.5], "b": [True]})
    for table in (as_table(frame), as_table(pl.from_dict(frame.to_dict("list"), schema_overrides={"u": pl.UInt64}))):
        assert [column.dtype for column in table.values()] == [np.uint64, np.float64, bool]


def test_arrays_get_names_by_position() -> None:
    table = as_table(np.arange(6.0).reshape(3, 2))
    assert {name: column.tolist() for name, column in table.items()} == {"x0": [0, 2, 4], "x1": [1, 3, 5]}


def test_pandas_index_and_numbered_columns_play_no_part() -> None:
    frame = pd.DataFrame({7: [1, 2, 3]}, index=[2, 2, 1])
    assert {name: column.tolist() for name, column in as_table(frame).items()} == {"7": [1, 2, 3]}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "column 'a' occurs twice"),
        ({"a": [1, 2], "b": [1]}, "column 'b' has 1 values where the first column has 2"),
        ({"a": np.zeros((2, 2))}, r"column 'a' has shape \(2, 2\): give one value a row"),
        ({"a": np.array([None, [1, 2]], object)}, "column 'a', data row 2 holds lists: join"),
        (pl.DataFrame({"a": [[1, 2], [3, 4]]}), "column 'a', data row 1 holds"),
        (pd.DataFrame({"a": [{"b": 1}]}), "column 'a', data row 1 holds dicts"),
        ([1, 2], "list: give a DataFrame"),
    ],
)
def test_what_is_no_table_is_named(source: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        as_table(source)
    assert "\n" not in str(caught.value)


def test_neither_library_is_imported() -> None:
    code = """
import sys
from fastfm_core.data.tables import as_table
as_table({"a": [1, "x"]})
print("pandas" in sys.modules, "polars" in sys.modules)
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.split() == ["False", "False"]
