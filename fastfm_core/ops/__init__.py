"""Differentiable operations, a family a file. Each is a ``Function`` whose arithmetic is done by backend kernels."""

from fastfm_core.ops.dense import add, dropout, linear, linear_relu, relu, squeeze
from fastfm_core.ops.interaction import bi_interaction, fm_interaction
from fastfm_core.ops.lookup import embedding, embedding_bag, embedding_fm
from fastfm_core.ops.loss import bce_with_logits, mse
from fastfm_core.ops.normalization import batch_norm, normalize

__all__ = [
    "add",
    "batch_norm",
    "bce_with_logits",
    "bi_interaction",
    "dropout",
    "embedding",
    "embedding_bag",
    "embedding_fm",
    "fm_interaction",
    "linear",
    "linear_relu",
    "mse",
    "normalize",
    "relu",
    "squeeze",
]
