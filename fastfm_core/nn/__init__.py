"""Layers with parameters."""

from fastfm_core.nn.crosses import Crosses
from fastfm_core.nn.field_embedding import FieldEmbedding
from fastfm_core.nn.layers import MLP, BatchNorm, Dropout, FieldLinear, Linear, Tower, parameter
from fastfm_core.nn.mixed_embedding import MixedEmbedding, Ranges
from fastfm_core.nn.module import Module
from fastfm_core.nn.pair_pool import PairPool
from fastfm_core.nn.sides import Sides
from fastfm_core.nn.uses import Uses

__all__ = [
    "MLP",
    "BatchNorm",
    "Crosses",
    "Dropout",
    "FieldEmbedding",
    "FieldLinear",
    "Linear",
    "MixedEmbedding",
    "Module",
    "PairPool",
    "Ranges",
    "Sides",
    "Tower",
    "Uses",
    "parameter",
]
