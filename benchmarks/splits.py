"""Train, validation and test parts of the quality benchmarks: row positions, disjoint, covering all rows.

The same positions are handed to every model of a comparison, so that no split differs between them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastfm_core.random import generator

RESPONDENT = (
    "gender", "age", "maritalStatus", "has_children", "education", "occupation", "income", "car",
    "Bar", "CoffeeHouse", "CarryAway", "RestaurantLessThan20", "Restaurant20To50",
)  # fmt: skip
SPLIT_STREAM = 1


class Parts(NamedTuple):
    """Row positions, int64: train, valid, test."""

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray


def cut(order: np.ndarray, valid: float, test: float) -> Parts:
    """The last ``test`` share of the order, the ``valid`` share before it, the rest."""
    test_rows, valid_rows = round(len(order) * test), round(len(order) * valid)
    ends = [len(order) - test_rows - valid_rows, len(order) - test_rows]
    return Parts(*(np.sort(part) for part in np.split(order, ends)))


def random_parts(rows: int, seed: int, valid: float, test: float) -> Parts:
    """Uniformly random parts of 0..rows-1."""
    return cut(generator(seed, SPLIT_STREAM).permutation(rows), valid, test)


def stratified_parts(labels: np.ndarray, seed: int, valid: float, test: float) -> Parts:
    """Random parts with the same share of positives: each class is cut on its own. labels [n] of 0 and 1."""
    draw = generator(seed, SPLIT_STREAM)
    classes = [cut(draw.permutation(np.flatnonzero(labels == value)), valid, test) for value in np.unique(labels)]
    return Parts(*(np.sort(np.concatenate(part)) for part in zip(*classes, strict=True)))


def grouped_parts(groups: np.ndarray, seed: int, valid: float, test: float) -> Parts:
    """Random parts in which no group is in two: whole groups are cut. groups [n] int."""
    by_group = cut(generator(seed, SPLIT_STREAM).permutation(int(groups.max()) + 1), valid, test)
    return Parts(*(np.flatnonzero(np.isin(groups, part)) for part in by_group))


def respondents(columns: dict[str, list[str]]) -> np.ndarray:
    """[n] int64 number of the respondent of each coupon row, told by equal demographic and habit columns."""
    numbers: dict[tuple[str, ...], int] = {}
    keys = zip(*(columns[name] for name in RESPONDENT), strict=True)
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)
