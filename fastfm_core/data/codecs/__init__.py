"""From columns to rows of the arena: a fitter per kind of field, and the codec that it becomes."""

from __future__ import annotations

from typing import Any

from fastfm_core.data.codecs.codec import Codec, Fitter, Slots
from fastfm_core.data.codecs.hashing import HashingCodec, HashingFitter
from fastfm_core.data.codecs.numeric import NumericCodec, NumericFitter, QuantileCodec
from fastfm_core.data.codecs.vocabulary import CODECS, UNKNOWN, VocabularyCodec, VocabularyFitter
from fastfm_core.data.schema import Categorical, Cross, Field, Numeric


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


__all__ = ["UNKNOWN", "Codec", "Fitter", "Slots", "VocabularyCodec", "codec_of", "fitter_of"]
