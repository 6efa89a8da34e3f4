"""Layers with parameters."""

from fastfm_core.nn.field_embedding import FieldEmbedding
from fastfm_core.nn.layers import MLP, BatchNorm, Dropout, Linear, parameter
from fastfm_core.nn.module import Module

__all__ = ["MLP", "BatchNorm", "Dropout", "FieldEmbedding", "Linear", "Module", "parameter"]
