"""Columns of any dtype as texts and numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastfm_core.data.columns import column_of, factorize, numbers, ragged_positions, table_length
from fastfm_core.errors import InputError

from .tables import text_column


def texts_of(column: np.ndarray) -> list[str]:
    texts, codes = factorize(column)
    assert len(set(texts)) == len(texts)
    return [texts[code] for code in codes]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (np.array([2**64 - 1, 2**63, 5], np.uint64), ["18446744073709551615", "9223372036854775808", "5"]),
        (np.array([-1, 7, -1]), ["-1", "7", "-1"]),
        (np.array([5.0, np.nan, 2.5, np.nan, -0.0]), ["5", "", "2.5", "", "0"]),
        (np.array([True, False]), ["1", "0"]),
        (np.array([None, "x", float("nan"), 3, 3.0, np.nan, "3", b"x"], object), ["", "x", "", "3", "3", "", "3", "x"]),
        (np.array(["b", "a", "b"]), ["b", "a", "b"]),
    ],
    ids=["uint64", "int64", "float", "bool", "object", "str"],
)
def test_factorize_keeps_the_text_of_every_dtype(column: np.ndarray, expected: list[str]) -> None:
    assert texts_of(column) == expected


@given(st.lists(st.text(max_size=4)))
def test_factorize_round_trips_any_text(texts: list[str]) -> None:
    assert texts_of(text_column(*texts)) == texts


@given(st.lists(st.integers(0, 2**64 - 1)))
def test_factorize_round_trips_unsigned_integers(ids: list[int]) -> None:
    assert texts_of(np.array(ids, np.uint64)) == [str(number) for number in ids]


@given(st.lists(st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False))))
def test_numbers_read_back_what_was_written(values: list[float | None]) -> None:
    read = numbers(text_column(*("" if value is None else repr(value) for value in values)), "x")
    np.testing.assert_array_equal(read, np.array([np.nan if value is None else value for value in values], float))


@pytest.mark.parametrize("wrong", ["abc", "1_000", "inf", "1,5"])
def test_a_cell_that_is_no_number_is_named(wrong: str) -> None:
    with pytest.raises(InputError, match=r"'price', data row 3: '.+' is not a finite number"):
        numbers(text_column("1", "", wrong, wrong), "price")


def test_an_infinite_float_is_named() -> None:
    with pytest.raises(InputError, match="data row 2"):
        numbers(np.array([1.0, np.inf]), "price")


def test_unknown_column_names_close_matches() -> None:
    with pytest.raises(InputError, match="'gendre': did you mean 'gender'"):
        column_of({"gender": text_column("a"), "age": text_column("1")}, "gendre")


def test_columns_of_unequal_length_are_refused() -> None:
    with pytest.raises(InputError, match="'b' has 2 values"):
        table_length({"a": text_column("1"), "b": text_column("1", "2")})


@given(st.lists(st.integers(0, 4), min_size=1), st.data())
def test_ragged_positions_equal_a_loop(lengths: list[int], data: st.DataObject) -> None:
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    rows = np.array(data.draw(st.lists(st.integers(0, len(lengths) - 1))), np.int64)
    positions, taken = ragged_positions(offsets, rows)
    expected = [position for row in rows for position in range(offsets[row], offsets[row + 1])]
    assert positions.tolist() == expected
    assert np.diff(taken).tolist() == [lengths[row] for row in rows]
