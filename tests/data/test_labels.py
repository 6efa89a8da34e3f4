"""Labels: which values are 1, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from fastfm_core.data.labels import describe_label, label_values, parse_expression, parse_label
from fastfm_core.errors import InputError

from .tables import text_column


@pytest.mark.parametrize(
    "column",
    [
        text_column("0", "1", "1"),
        text_column("0.0", "1.0", " 1 "),
        text_column("-1", "1", "1"),
        text_column("False", "TRUE", "true"),
        text_column("no", "Yes", "yes"),
        np.array([False, True, True]),
        np.array([0, 1, 1], np.int8),
        np.array([0.0, 1.0, 1.0]),
    ],
)
def test_binary_labels(column: np.ndarray) -> None:
    labels = parse_label(column, "binary")
    assert labels.dtype == np.float32
    assert labels.tolist() == [0, 1, 1]


def test_one_class_alone_keeps_its_side() -> None:
    assert parse_label(text_column("yes", "yes")).tolist() == [1, 1]
    assert parse_label(text_column("0", "0")).tolist() == [0, 0]


def test_regression_labels() -> None:
    assert parse_label(text_column("1.5", "-2", "3"), "regression").tolist() == [1.5, -2, 3]


def test_conditions() -> None:
    table = {"rating": text_column("3", "4.0", "10"), "income": text_column("<=50K", ">50K", ">50K")}
    assert label_values(table, "rating>=4").tolist() == [0, 1, 1]
    assert label_values(table, "rating >= 4.5").tolist() == [0, 0, 1]
    assert label_values(table, "income==>50K").tolist() == [0, 1, 1]


def test_a_column_named_like_a_condition_is_a_column() -> None:
    assert parse_expression("a>=1", ["a>=1", "a"]).column == "a>=1"
    assert parse_expression("a>=1", ["a"]) == ("a", ">=", "1")


def test_what_counts_as_one_is_said() -> None:
    table = {"y": text_column("no", "yes"), "r": text_column("3", "4")}
    assert describe_label(table, "y") == "label y: 'yes' is 1, 'no' is 0"
    assert describe_label(table, "r>=4") == "label r: 1 where r >= 4"
    assert describe_label(table, "r", "regression") == "label r: a number"


@pytest.mark.parametrize("missing", ["", " ", "nan", "NaN"])
@pytest.mark.parametrize("expression", ["y", "y>=1", "y==1"])
def test_a_missing_label_is_named(missing: str, expression: str) -> None:
    with pytest.raises(InputError, match="'y' is missing in data row 2"):
        label_values({"y": text_column("1", missing, "0")}, expression)


@pytest.mark.parametrize(
    ("column", "task", "message"),
    [
        (np.array([0.0, 1.0, np.nan]), "binary", "missing in data row 3"),
        (np.array([0.0, np.nan]), "regression", "missing in data row 2"),
        (text_column("1", "5", "3"), "binary", "write --label 'y>=X'"),
        (text_column("a", "b"), "binary", "'y==b'"),
        (text_column("1", "b"), "regression", "data row 2"),
    ],
)
def test_unreadable_labels_are_refused(column: np.ndarray, task: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_label(column, task, "y")  # pyright: ignore


@pytest.mark.parametrize(
    ("expression", "task", "message"),
    [
        ("ratin", "binary", "label: there is no column 'ratin': did you mean 'rating'"),
        ("ratin>=4", "binary", "did you mean 'rating'"),
        ("rating>=four", "binary", "'four' is not a number"),
        ("rating>=4", "regression", "is a condition"),
    ],
)
def test_wrong_expressions_are_refused(expression: str, task: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        label_values({"rating": text_column("3", "4")}, expression, task)  # pyright: ignore
