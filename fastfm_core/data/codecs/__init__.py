"""From columns to rows of the arena: a fitter per kind of field, and the codec that it becomes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastfm_core.data.codecs.codec import Codec, Fitter, Placed, Rows, Slots
from fastfm_core.data.codecs.hashing import HashingCodec, HashingFitter
from fastfm_core.data.codecs.numeric import NumericCodec, NumericFitter, QuantileCodec
from fastfm_core.data.codecs.vocabulary import CODECS, UNKNOWN, VocabularyCodec, VocabularyFitter
from fastfm_core.data.columns import Table
from fastfm_core.data.schema import Categorical, Cross, Field, Numeric
from fastfm_core.data.text import Texts


def fitter_of(field: Field, min_count: int) -> Fitter:
    """A fresh fitter; ``min_count`` is used where the field does not name its own."""
    if isinstance(field, Cross) or (isinstance(field, Categorical) and field.buckets):
        return HashingFitter()
    if isinstance(field, Numeric):
        return NumericFitter()
    return VocabularyFitter(field.min_count or min_count)


def codec_of(field: Field, state: dict[str, Any]) -> Codec:
    """The codec whose ``to_dict`` gave the state."""
    if isinstance(field, Cross) or (isinstance(field, Categorical) and field.buckets):
        return HashingCodec.from_dict(field, state)
    if isinstance(field, Numeric):
        return (QuantileCodec if field.transform == "quantile" else NumericCodec).from_dict(field, state)
    return CODECS[type(field)].from_dict(field, state)


def write_rows(placed: Sequence[Placed], table: Table, rows: Rows) -> None:
    """Encodes fields with one entry a sample.

    All fields of a kind whose columns are texts take one compiled call: the kernels then work on a few rows of all
    columns at a time, and between calls a thread waits for the interpreter, which the other threads use as well.
    """
    done = set()
    for kind in (HashingCodec, NumericCodec):
        texts = {each: text for each in placed if isinstance(each.codec, kind) and (text := _texts(each, table))}
        if texts:
            kind.write_texts(list(texts), list(texts.values()), rows)
            done.update(texts)
    for each in placed:
        if each not in done:
            _write_slots(each, each.codec.encode(table), rows)


def _texts(placed: Placed, table: Table) -> Texts | None:
    """The column of a field that is made of one column of texts."""
    name, *more = placed.codec.field.columns
    return column if not more and isinstance(column := table.get(name), Texts) else None


def _write_slots(placed: Placed, slots: Slots, rows: Rows) -> None:
    if slots.ids is not None:
        np.add(slots.ids, placed.base, out=rows.ids[:, placed.field], casting="same_kind")
    if slots.values is not None:
        rows.values[:, placed.field] = slots.values
    if slots.raw is not None:
        rows.raw[:, placed.raw] = slots.raw


__all__ = [
    "UNKNOWN",
    "Codec",
    "Fitter",
    "Placed",
    "Rows",
    "Slots",
    "VocabularyCodec",
    "codec_of",
    "fitter_of",
    "write_rows",
]
