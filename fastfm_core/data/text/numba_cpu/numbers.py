"""Decimal text into float64, correctly rounded.

A number with at most 15 significant digits and a power of ten within +-22 is one exact integer times or divided by one
exact power, hence rounded once (Clinger, "How to Read Floating Point Numbers Accurately", PLDI 1990). Whatever else a
cell holds is left to Python's float.
"""

from __future__ import annotations

import numpy as np

from fastfm_core.compilation import kernel
from fastfm_core.data.text.marks import EASY, EMPTY, HARD
from fastfm_core.data.text.numba_cpu.bytes import byte_at

POWERS_OF_TEN = 10.0 ** np.arange(23)
MOST_DIGITS = 15


def parse_decimals(buffers, starts, ends, values, kinds):
    """C columns of n texts -> values [C, n] float64, NaN where empty or not settled here; kinds [C, n] uint8.

    A kind is EMPTY, EASY or HARD. Returns how many are not settled, hence HARD.
    """
    return sum(map(_parse_column, buffers, starts, ends, values, kinds))


@kernel
def _parse_column(buffer, starts, ends, values, kinds):
    hard = len(starts)
    for text in range(len(starts)):
        position, end = starts[text], ends[text]
        while position < end and byte_at(buffer, position) == 32:
            position += 1
        while end > position and byte_at(buffer, end - 1) == 32:
            end -= 1
        values[text] = np.nan
        if position == end:
            kinds[text] = EMPTY
            hard -= 1
            continue
        kinds[text] = HARD
        negative = byte_at(buffer, position) == 45
        if negative or byte_at(buffer, position) == 43:
            position += 1
        digits = whole = decimals = 0
        mantissa = np.int64(0)
        after_point = False
        while position < end:
            char = byte_at(buffer, position)
            if 48 <= char <= 57:
                whole += 1
                if after_point:
                    decimals += 1
                if digits > 0 or char > 48:
                    digits += 1
                    if digits <= MOST_DIGITS:
                        mantissa = mantissa * 10 + (char - 48)
            elif char == 46 and not after_point:
                after_point = True
            else:
                break
            position += 1
        exponent = 0
        if position < end and whole > 0 and (byte_at(buffer, position) == 101 or byte_at(buffer, position) == 69):
            position += 1
            below = position < end and byte_at(buffer, position) == 45
            if below or (position < end and byte_at(buffer, position) == 43):
                position += 1
            if position == end:
                continue
            while position < end and 48 <= byte_at(buffer, position) <= 57 and exponent < 1000:
                exponent = exponent * 10 + (byte_at(buffer, position) - 48)
                position += 1
            if below:
                exponent = -exponent
        exponent -= decimals
        if position < end or whole == 0 or digits > MOST_DIGITS or not -22 <= exponent <= 22:
            continue
        value = np.float64(mantissa)
        value = value / POWERS_OF_TEN[-exponent] if exponent < 0 else value * POWERS_OF_TEN[exponent]
        values[text] = -value if negative else value
        kinds[text] = EASY
        hard -= 1
    return hard


@kernel
def standardize(values, means, scales, farthest, bases, missing, places, ids, entries, raw_places, raw):
    """values [C, n], NaN where missing -> (values - means [C]) / scales [C], within +-farthest.

    ids, entries  [n, F], column places[c]: bases[c] and the number, where it is missing bases[c] + missing and 1
    raw           [n, I], column raw_places[c]: the number, 0 where it is missing;  place -1: left out
    """
    for column in range(len(values)):
        place, raw_place = places[column], raw_places[column]
        for row in range(values.shape[1]):
            value = (values[column, row] - means[column]) / scales[column]
            absent = np.isnan(value)
            near = min(max(value, -farthest), farthest)
            if place >= 0:
                ids[row, place] = bases[column] + (missing if absent else 0)
                entries[row, place] = 1.0 if absent else near
            if raw_place >= 0:
                raw[row, raw_place] = 0.0 if absent else near
