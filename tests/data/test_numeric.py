"""Numbers: every transform against NumPy, the raw number beside its row, bins of equal counts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastfm_core.data import Categorical, Numeric

from .fitting import fitted, values_of
from .tables import text_column

NUMBERS = np.array([-3.0, -2.0, 0.0, 0.5, 1.0, 4.0, 9.0, 100.0])


def standardized(x: np.ndarray) -> np.ndarray:
    return (x - x.mean()) / x.std()


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        ("standardize", standardized),
        ("log1p", lambda x: standardized(np.sign(x) * np.log1p(np.abs(x)))),
        ("sqrt", lambda x: standardized(np.sign(x) * np.sqrt(np.abs(x)))),
        ("square", lambda x: standardized(x**2)),
        ("none", lambda x: x),
    ],
)
@pytest.mark.parametrize("as_text", [True, False])
def test_transforms_equal_their_formula(transform, expected: Callable, as_text: bool) -> None:
    column = text_column(*map(repr, NUMBERS.tolist())) if as_text else NUMBERS
    _, encoded = fitted({"x": column}, Numeric("x", transform=transform))
    assert encoded.ids.tolist() == [[0]] * len(NUMBERS)
    np.testing.assert_array_equal(values_of(encoded)[:, 0], expected(NUMBERS).astype(np.float32))


def test_mean_and_scale_are_those_of_the_training_rows() -> None:
    encoder, _ = fitted({"x": np.array([1.0, 4.0, 9.0])}, Numeric("x", transform="sqrt"))
    scaled = (np.sqrt([16.0]) - 2) / np.std([1, 2, 3])
    np.testing.assert_array_equal(values_of(encoder.transform({"x": np.array([16.0])}))[0], scaled.astype(np.float32))


@pytest.mark.parametrize("transform", ["standardize", "log1p", "sqrt", "square", "none"])
def test_a_missing_number_has_the_row_after_it_and_value_one(transform) -> None:
    encoder, encoded = fitted({"x": text_column("1", "", "3", "nan")}, Numeric("x", transform=transform))
    assert encoded.ids[:, 0].tolist() == [0, 1, 0, 1]
    assert values_of(encoded)[[1, 3], 0].tolist() == [1, 1]
    assert encoder.rows == 2 and encoder.zero_rows.tolist() == []


def test_the_raw_number_beside_its_row() -> None:
    table = {"x": text_column("1", "", "3"), "c": text_column("a", "b", "a")}
    encoder, encoded = fitted(table, Numeric("x", use="first,pairs,raw"), Categorical("c"))
    assert encoder.field_names == ["x", "c"] and encoder.dense_names == ["x"]
    assert encoded.ids[:, 0].tolist() == [0, 1, 0]
    assert values_of(encoded)[:, 0].tolist() == [-1, 1, 1]
    assert encoded.dense is not None and encoded.dense.tolist() == [[-1], [0], [1]]
    assert encoder.uses is not None
    assert [part.tolist() for part in encoder.uses] == [[True, True], [True, True], [False, True]]


def test_uses_says_where_each_field_takes_part() -> None:
    table = {name: text_column("1", "2") for name in "abc"}
    encoder, _ = fitted(table, Categorical("a", use="pairs"), Numeric("b", use=("deep", "first")), Categorical("c"))
    assert encoder.uses is not None
    first, pairs, deep = (part.tolist() for part in encoder.uses)
    assert (first, pairs, deep) == ([False, True, True], [True, False, True], [False, True, True])
    assert fitted(table, Categorical("a"), Numeric("b"))[0].uses is None


def test_quantile_bins_hold_equal_counts_and_missing_has_row_zero() -> None:
    column = np.append(np.random.default_rng(0).permutation(1000).astype(float), np.nan)
    encoder, encoded = fitted({"x": column}, Numeric("x", transform="quantile", bins=4))
    expected = np.append(1 + column[:-1] // 250, 0)
    assert encoded.ids[:, 0].tolist() == expected.tolist()
    assert np.bincount(encoded.ids[:, 0]).tolist() == [1, 250, 250, 250, 250]
    assert encoded.values is None and encoder.rows == 5
    far = encoder.transform({"x": text_column("-1e300", "1e300", "")})
    assert far.ids[:, 0].tolist() == [1, 4, 0]
    assert encoder.notes() == ["x: 4 bins of about equal training counts"]


@given(st.lists(st.integers(-3, 3).map(float), min_size=1), st.integers(1, 9))
def test_no_bin_is_empty_and_larger_numbers_have_later_bins(column: list[float], bins: int) -> None:
    encoder, encoded = fitted({"x": np.array(column)}, Numeric("x", transform="quantile", bins=bins))
    rows = encoded.ids[:, 0]
    assert set(rows.tolist()) == set(range(1, encoder.rows)) and encoder.rows <= 1 + bins
    assert (np.diff(rows[np.argsort(column)]) >= 0).all()


def test_a_count_that_is_mostly_zero_is_told_from_zero() -> None:
    _, encoded = fitted({"x": np.array([0.0] * 9 + [5.0])}, Numeric("x", transform="quantile", bins=8))
    assert encoded.ids[:, 0].tolist() == [1] * 9 + [2]


def test_one_column_may_be_used_in_several_ways() -> None:
    column = np.array([0.0, 1.0, 2.0, 3.0])
    encoder, encoded = fitted({"x": column}, Numeric("x"), Numeric("half", source="x", transform="quantile", bins=2))
    assert encoder.field_names == ["x", "half"]
    np.testing.assert_array_equal(values_of(encoded)[:, 0], standardized(column).astype(np.float32))
    assert (encoded.ids[:, 1] - encoder.bases[1]).tolist() == [1, 1, 2, 2]
