"""Turns a label column into the float32 [n] array that training reads.

A label is a column name, 'COL>=X' (1 where the number is at least X) or 'COL==X' (1 where the text is X).
A binary column holds 0/1, -1/1, or one of the word pairs whose order is plain (true/false, yes/no); anything else is
refused with the expression that would make it a label.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

import numpy as np

from fastfm_core.data.columns import (
    RowError,
    Table,
    factorize,
    first_row,
    numbers,
    parse_number,
    single_of,
    text_of,
    unknown_column,
)
from fastfm_core.errors import InputError

Task = Literal["binary", "regression"]
EXPRESSION = re.compile(r"(.+?)\s*(>=|==)\s*(.+)")
BINARY_PAIRS = (("0", "1"), ("-1", "1"), ("false", "true"), ("no", "yes"), ("n", "y"), ("f", "t"))


class LabelExpression(NamedTuple):
    """The label's column and, when it is a condition, the operator and what the column is compared with."""

    column: str
    operator: str = ""
    value: str = ""


def parse_expression(expression: str, names: Iterable[str]) -> LabelExpression:
    """Reads 'COL', 'COL>=X' or 'COL==X'. InputError when the table has no such column or X is no number for >=."""
    names = list(names)
    if expression in names:
        return LabelExpression(expression)
    match = EXPRESSION.fullmatch(expression)
    parsed = LabelExpression(*match.groups()) if match else LabelExpression(expression)
    if parsed.column not in names:
        raise InputError(f"label: {unknown_column(parsed.column, names)}")
    if parsed.operator == ">=":
        try:
            parse_number(parsed.value)
        except ValueError:
            raise InputError(f"label {expression!r}: {parsed.value!r} is not a number") from None
    return parsed


def label_values(columns: Table, expression: str, task: Task = "binary") -> np.ndarray:
    """The labels [n] float32 of a table. InputError naming the row of a label that is missing or cannot be read."""
    label = parse_expression(expression, columns)
    column = single_of(columns, label.column)
    if not label.operator:
        return parse_label(column, task, label.column)
    if task != "binary":
        raise InputError(f"label {expression!r} is a condition, hence 0/1: use the binary task or the column alone")
    _refuse_missing(column, label.column)
    if label.operator == ">=":
        return (numbers(column, label.column) >= float(label.value)).astype(np.float32)
    texts, codes = factorize(column)
    return np.array([text == label.value for text in texts], np.float32)[codes]


def parse_label(column: Any, task: Task = "binary", name: str = "label") -> np.ndarray:
    """One column as labels [n] float32: 0/1 for the binary task, any finite number for regression."""
    _refuse_missing(column, name)
    if task == "regression":
        values = numbers(column, name)
        if (large := np.abs(values) > np.finfo(np.float32).max).any():
            raise RowError(f"label {name!r}, ", first_row(large), ": beyond the range of float32: correct or scale it")
        return values.astype(np.float32)
    texts, codes = factorize(column)
    normal = [_normal(text) for text in texts]
    pair = _binary_pair(normal)
    if pair is None:
        raise _not_binary(texts, normal, codes, name)
    return np.array([text == pair[1] for text in normal], np.float32)[codes]


def describe_label(columns: Table, expression: str, task: Task = "binary") -> str:
    """One human line that says which values count as 1."""
    label = parse_expression(expression, columns)
    if task == "regression":
        return f"label {label.column}: a number"
    if label.operator:
        return f"label {label.column}: 1 where {label.column} {label.operator} {label.value}"
    pair = _binary_pair([_normal(text) for text in factorize(single_of(columns, label.column))[0]])
    return f"label {label.column}: {pair[1]!r} is 1, {pair[0]!r} is 0" if pair else f"label {label.column}: not binary"


def _refuse_missing(column: Any, name: str) -> None:
    texts, codes = factorize(column)
    missing = np.array([not text.strip() or text.strip().lower() == "nan" for text in texts], bool)[codes]
    if missing.any():
        raise RowError(f"label {name!r} is missing in ", first_row(missing), ": fill it or remove the row")


def _normal(text: str) -> str:
    try:
        return text_of(parse_number(text))
    except ValueError:
        return text.strip().lower()


def _binary_pair(normal: list[str]) -> tuple[str, str] | None:
    return next((pair for pair in BINARY_PAIRS if set(normal) <= set(pair)), None)


def _not_binary(texts: list[str], normal: list[str], codes: np.ndarray, name: str) -> RowError:
    """Names the first row that does not fit the pair that most of the distinct texts fit."""
    pair = max(BINARY_PAIRS, key=lambda pair: len(set(normal) & set(pair)))
    wrong = np.array([text not in pair for text in normal])
    mend = f"say which value is 1, as in --label '{name}=={texts[-1]}'"
    if all(re.fullmatch(r"[-+0-9.e]+", text) for text in normal):
        mend = f"write --label '{name}>=X', or --task regression"
    found = texts[int(np.argmax(wrong))]
    row = first_row(wrong[codes])
    return RowError(
        f"label {name!r}, ", row, f": {found!r} is neither {pair[0]} nor {pair[1]}: correct the cell, or {mend}"
    )
