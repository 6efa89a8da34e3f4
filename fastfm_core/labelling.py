"""What a table says of its rows beside their features: labels and weights, and which columns that takes.

A table lacks the label where negatives are sampled and all its rows are positives.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastfm_core.data.bundled import COUPON_LABEL
from fastfm_core.data.columns import RowError, numbers, unknown_column
from fastfm_core.data.labels import Task, label_values, parse_expression
from fastfm_core.data.readers import Reader
from fastfm_core.data.stream import Gathered
from fastfm_core.errors import InputError
from fastfm_core.source import Source


def label_expression(source: Source, reader: Reader) -> str:
    """The label that was named, or the one that goes without saying."""
    if source.label:
        return source.label
    if not source.data:
        return COUPON_LABEL
    if "label" in reader.names or source.sampled:
        return "label"
    raise InputError(f"which column is the label? give --label COL; the columns are {', '.join(reader.names)}")


def require_sides(source: Source, names: Sequence[str]) -> None:
    """InputError when DATA lacks the column that names the user or the item for which negatives are sampled."""
    for side, column in source.columns_of_samples.items():
        if column not in names:
            raise InputError(f"--{side}: {unknown_column(column, names)}")


def require_group(group: str | None, names: Sequence[str], task: Task) -> None:
    """InputError when rows cannot be ranked within that column's values."""
    if group and group not in names:
        raise InputError(f"--group: {unknown_column(group, names)}")
    if group and task != "binary":
        raise InputError(f"--group {group}: ranks rows of 0/1 labels, which a {task} task has not; leave it out")


def unlabelled(source: Source, label: str, reader: Reader) -> bool:
    """Whether DATA lacks the label, so that all its rows are positives for which negatives are sampled."""
    try:
        parse_expression(label, reader.names)
        return False
    except InputError:
        if not source.sampled:
            raise
    if not {"valid", "test"} <= source.files.keys():
        raise InputError(f"no column {label!r}, so every row is a positive: give --valid and --test files with labels")
    return True


def require_classes(part: str, classes: np.ndarray, *, sampled: bool) -> None:
    """InputError when a part lacks one of the labels that it needs."""
    if sampled and part == "train":
        if 1 not in classes:
            raise InputError("all labels of the train part are 0; negatives are sampled for rows with label 1")
    elif len(classes) < 2:
        mend = f"name a table that has them with --{part}" if sampled else "give more rows"
        raise InputError(f"all labels of the {part} part are {classes[0]:g}; it needs 0 and 1: {mend}")


def gathered_labels(column: Gathered, name: str, label: str, task: Task) -> np.ndarray:
    """The labels [n] float32 that the expression makes of a whole column."""
    try:
        return label_values({name: column.texts}, label, task)[column.codes]
    except RowError as error:
        raise RowError(error.where, column.row_of(error.row), error.what) from None


def gathered_weights(column: Gathered, name: str) -> np.ndarray:
    try:
        weights = numbers(column.texts, name)[column.codes]
    except RowError as error:
        raise RowError(error.where, column.row_of(error.row), error.what) from None
    if (wrong := ~(weights >= 0)).any():
        row = int(np.argmax(wrong)) + 1
        raise RowError(f"column {name!r}, ", row, ": a sample weight must be a number of at least 0: correct the cell")
    return weights
