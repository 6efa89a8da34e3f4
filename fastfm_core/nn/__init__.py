"""Layers with parameters."""

from fastfm_core.nn.field_embedding import FieldEmbedding
from fastfm_core.nn.layers import MLP, BatchNorm, Dropout, Linear, parameter
from fastfm_core.nn.module import Module
from fastfm_core.nn.uses import Uses

__all__ = ["MLP", "BatchNorm", "Dropout", "FieldEmbedding", "Linear", "Module", "Uses", "parameter"]
