"""Cuts the rows of a table into training, validation and test part, as the seed alone decides.

All functions return three ascending int64 arrays of row numbers that together hold every row once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastfm_core.data.columns import factorize
from fastfm_core.errors import InputError
from fastfm_core.random import generator

Fractions = tuple[float, float, float]
Parts = tuple[np.ndarray, np.ndarray, np.ndarray]
SPLIT_STREAM = 3
DEFAULT_FRACTIONS: Fractions = (0.7, 0.1, 0.2)


def stratified(labels: np.ndarray, fractions: Fractions = DEFAULT_FRACTIONS, seed: int = 0) -> Parts:
    """Splits rows at random; with at most two distinct labels every part gets its exact share of each.

    labels [n]. A part's number of rows of a class differs from fraction * (rows of the class) by less than 1.
    """
    labels = np.asarray(labels)
    classes = np.unique(labels)
    if len(classes) > 2:
        labels, classes = np.zeros(len(labels)), np.zeros(1)
    draw = generator(seed, 0, 0, SPLIT_STREAM)
    cuts = []
    for label in classes:
        rows = draw.permutation(np.flatnonzero(labels == label))
        cuts.append(np.split(rows, np.rint(len(rows) * _borders(fractions)).astype(np.int64)))
    return _sorted_parts([np.concatenate(part) for part in zip(*cuts, strict=True)], fractions, len(labels))


def grouped(
    groups: np.ndarray | Sequence[np.ndarray], fractions: Fractions = DEFAULT_FRACTIONS, seed: int = 0
) -> Parts:
    """Splits so that all rows of a group land in one part. Groups are drawn in random order, parts fill up in turn.

    groups   [n] of any dtype, or several such columns that name a group together
    """
    columns = [groups] if isinstance(groups, np.ndarray) else list(groups)
    codes = np.stack([factorize(column)[1] for column in columns])
    group_of_row = np.unique(codes, axis=1, return_inverse=True)[1].reshape(-1)
    sizes = np.bincount(group_of_row)
    order = generator(seed, 0, 0, SPLIT_STREAM).permutation(len(sizes))
    middles = np.cumsum(sizes[order]) - sizes[order] / 2
    part_of_group = np.empty(len(sizes), np.int64)
    part_of_group[order] = np.searchsorted(len(group_of_row) * _borders(fractions), middles, side="right")
    part_of_row = part_of_group[group_of_row]
    return _sorted_parts([np.flatnonzero(part_of_row == part) for part in range(3)], fractions, len(group_of_row))


def in_order(rows: int, fractions: Fractions = DEFAULT_FRACTIONS) -> Parts:
    """The first rows train, the last ones test."""
    return _sorted_parts(np.split(np.arange(rows), _cuts(rows, fractions)), fractions, rows)


def by_time(times: np.ndarray, fractions: Fractions = DEFAULT_FRACTIONS) -> Parts:
    """The earliest rows train, the latest test; rows of the same time stay together, on the earlier side.

    times [n], numbers or anything else that sorts
    """
    order = np.argsort(times, kind="stable")
    ordered = times[order]
    lasts = [ordered[cut - 1] for cut in _cuts(len(times), fractions) if cut]
    ends = np.searchsorted(ordered, lasts, side="right").tolist()
    cuts = [0] * (2 - len(ends)) + ends
    return _sorted_parts(np.split(order, cuts), fractions, len(times))


def _cuts(rows: int, fractions: Fractions) -> list[int]:
    return np.rint(rows * _borders(fractions)).astype(np.int64).tolist()


def _borders(fractions: Fractions) -> np.ndarray:
    """Where validation and test begin, as shares of the rows."""
    if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-9:
        raise InputError(f"fractions are {fractions}: give three that are not negative and sum to 1")
    return np.cumsum(fractions)[:2]


def _sorted_parts(parts: list[np.ndarray], fractions: Fractions, rows: int) -> Parts:
    for part, fraction in zip(parts, fractions, strict=True):
        if fraction and not len(part):
            raise InputError(f"{rows} rows are too few, or in too few groups, to split as {fractions}")
    training, validation, test = (np.sort(part) for part in parts)
    return training, validation, test
