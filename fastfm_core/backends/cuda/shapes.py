"""How sums over rows are cut into pieces: by shapes alone, so that they keep their order."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastfm_core.backends.cuda.device import THREADS

FLOATS = (np.float32, np.float64)
WIDTHS = ((np.float32, 4), (np.float32, 1), (np.float64, 1))  # dtypes with the numbers that are one access
BLOCKS = 1024  # that fill a device, a few to each of its processors
ACROSS = 32  # threads of a block side by side in a row, at most


class Cut(NamedTuple):
    """Columns and rows as blocks share them: ``ColumnTile`` of columns.cuh.

    across  threads side by side
    height  rows of a piece
    pieces  how many pieces there are
    blocks  pieces times the blocks that a piece's columns take
    """

    across: int
    height: int
    pieces: int
    blocks: int


def cut_columns(rows: int, columns: int, width: int, most_across: int = ACROSS) -> Cut:
    """Pieces of rows so that there are about BLOCKS blocks, each thread of which has at least four rows."""
    vectors = max(columns // width, 1)
    tiles = -(-vectors // most_across)
    across = -(-vectors // tiles)
    height = max(4 * (THREADS // across), -(-rows * tiles // BLOCKS))
    pieces = -(-rows // height)
    return Cut(across, height, pieces, pieces * -(-columns // (across * width)))
