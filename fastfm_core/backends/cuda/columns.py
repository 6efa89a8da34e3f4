"""The second half of every sum over samples: partial sums of pieces, one row each, are added in a fixed order."""

from __future__ import annotations

from typing import Any

from fastfm_core.backends.cuda.device import instance, launch, xp
from fastfm_core.backends.cuda.shapes import FLOATS

FILE = "columns.cu"
INSTANCES = {FILE: [instance("column_sums", dtype) for dtype in FLOATS]}
ACROSS = 8  # columns of a block: one sector of memory a row


def column_sums(parts: Any) -> Any:
    """parts [pieces, columns] -> [columns]."""
    rows, columns = parts.shape
    out = xp.empty(columns, parts.dtype)
    launch(
        "columns.cu",
        instance("column_sums", parts.dtype),
        -(-columns // ACROSS),
        parts,
        out,
        rows,
        columns,
        ACROSS,
        rows,
    )
    return out
