"""The data room: from a table, in a file or in memory, to the batches a model trains on. Arrays out."""

from __future__ import annotations

from fastfm_core.data.batches import Batches
from fastfm_core.data.encode import Encoder
from fastfm_core.data.encoded import Encoded
from fastfm_core.data.readers import open_table, read_table
from fastfm_core.data.schema import Categorical, Cross, History, MultiHot, Numeric, Schema

__all__ = [
    "Batches",
    "Categorical",
    "Cross",
    "Encoded",
    "Encoder",
    "History",
    "MultiHot",
    "Numeric",
    "Schema",
    "open_table",
    "read_table",
]
