"""From bytes to columns of text and from text to numbers, compiled: the engine under readers and codecs."""

from __future__ import annotations

from fastfm_core.data.text.column import (
    Bags,
    TextIndex,
    Texts,
    bucket_columns,
    concatenate,
    decimal_columns,
    grown,
)

__all__ = ["Bags", "TextIndex", "Texts", "bucket_columns", "concatenate", "decimal_columns", "grown"]
