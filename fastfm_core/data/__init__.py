"""The data room: from a file to the batches a model trains on. Arrays out, no other room used."""

from __future__ import annotations

from fastfm_core.data.batches import Batches
from fastfm_core.data.encode import Encoder
from fastfm_core.data.encoded import Encoded
from fastfm_core.data.readers import read_table
from fastfm_core.data.schema import Categorical, MultiHot, Numeric, Schema

__all__ = ["Batches", "Categorical", "Encoded", "Encoder", "MultiHot", "Numeric", "Schema", "read_table"]
