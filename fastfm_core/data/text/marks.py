"""What the compiled functions and their callers agree on: bytes with a meaning, and answers."""

from __future__ import annotations

import numpy as np

LINE_FEED, RETURN, QUOTE, SPACE, TAB, COLON, HASH = 10, 13, 34, 32, 9, 58, 35
WRONG_WIDTH, OPEN_QUOTE, AFTER_QUOTE = 1, 2, 3  # what stopped ``scan_cells``
FREE = -1  # a slot of an index without a key, and the number of a text that is none
EMPTY, EASY, HARD = 0, 1, 2  # what ``parse_decimals`` found


def no_mistake() -> np.ndarray:
    """[3] int64 zeros, for a scanner to report in."""
    return np.zeros(3, np.int64)
