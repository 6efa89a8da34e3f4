"""Values of a sample in the making of a program: where their columns are, and which side they depend on.

A value is a list of segments, columns that lie side by side wherever each of them is, so that to take, concatenate and
reshape costs nothing; or a sum of such lists that nobody has added up yet.

    USER, ITEM   what depends on the user's fields alone, or on the item's
    PAIR         what depends on both
    FUSED        what depends on the item's fields or on both, where items are not kept
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

USER, ITEM, PAIR, FUSED = range(4)
ROW = -1  # where columns are, beside given matrices from 0 on: csrc/library/program.hpp


class Columns(NamedTuple):
    """Some columns of a side's rows or given matrices."""

    side: int
    of: int
    begin: int
    width: int


class Fixed(NamedTuple):
    """Numbers that are the same for all samples, [K]."""

    array: np.ndarray

    @property
    def width(self) -> int:
        return len(self.array)


Segments = list[Columns | Fixed]


class Sum(NamedTuple):
    """factor * segments, to be added up; all of one width."""

    terms: list[tuple[Segments, float]]


Value = Segments | Sum


def side_of(segments: Sequence[Columns | Fixed]) -> int:
    """Where a value is known; what is fixed is known to all, the user's side among them."""
    sides = {segment.side for segment in columns_of(segments)}
    return max(sides, default=USER) if len(sides) < 2 or FUSED in sides else PAIR


def identity(segment: Columns | Fixed) -> Columns | bytes:
    """Equal for equal segments, and hashable."""
    return segment if isinstance(segment, Columns) else segment.array.tobytes()


def width_of(segments: Segments) -> int:
    """Of all segments."""
    return sum(segment.width for segment in segments)


def cut(segments: Segments, width: int, numbers: Sequence[int]) -> Segments:
    """Of columns in groups of ``width``, the groups with these numbers."""
    return merged(part for number in numbers for part in _between(segments, number * width, (number + 1) * width))


def _between(segments: Segments, begin: int, end: int) -> Iterable[Columns | Fixed]:
    at = 0
    for segment in segments:
        low, high = max(begin - at, 0), min(end - at, segment.width)
        if low < high and isinstance(segment, Columns):
            yield segment._replace(begin=segment.begin + low, width=high - low)
        elif low < high and isinstance(segment, Fixed):
            yield Fixed(segment.array[low:high])
        at += segment.width


def merged(segments: Iterable[Columns | Fixed]) -> Segments:
    """Neighbouring columns as one segment, empty ones left out."""
    found: Segments = []
    for segment in segments:
        last = found[-1] if found else None
        if not segment.width:
            continue
        if isinstance(segment, Columns) and isinstance(last, Columns) and _follows(last, segment):
            found[-1] = last._replace(width=last.width + segment.width)
        else:
            found.append(segment)
    return found


def _follows(last: Columns, segment: Columns) -> bool:
    return (last.side, last.of, last.begin + last.width) == (segment.side, segment.of, segment.begin)


def columns_of(segments: Iterable[Columns | Fixed]) -> list[Columns]:
    """Those that are not fixed."""
    return [segment for segment in segments if isinstance(segment, Columns)]


def terms_of(value: Value) -> list[tuple[Segments, float]]:
    """What a value is the sum of."""
    return value.terms if isinstance(value, Sum) else [(value, 1.0)]
