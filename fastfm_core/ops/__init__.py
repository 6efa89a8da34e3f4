"""Differentiable operations, a family a file. Each is a ``Function`` whose arithmetic is done by backend kernels."""

from fastfm_core.ops.arrange import as_vectors, concatenate, flatten, squeeze, take_fields
from fastfm_core.ops.dense import dropout, field_linear, linear, linear_relu, project, relu
from fastfm_core.ops.elementwise import add, inner, multiply, scale, sum_fields
from fastfm_core.ops.interaction import bi_interaction, fm_interaction
from fastfm_core.ops.lookup import embedding, embedding_bag, embedding_fm
from fastfm_core.ops.loss import bce_with_logits, bpr, mse, softmax_cross_entropy
from fastfm_core.ops.normalization import batch_norm, normalize
from fastfm_core.ops.pair import pair_interaction, pair_products, pool_pairs

__all__ = [
    "add",
    "as_vectors",
    "batch_norm",
    "bce_with_logits",
    "bi_interaction",
    "bpr",
    "concatenate",
    "dropout",
    "embedding",
    "embedding_bag",
    "embedding_fm",
    "field_linear",
    "flatten",
    "fm_interaction",
    "inner",
    "linear",
    "linear_relu",
    "mse",
    "multiply",
    "normalize",
    "pair_interaction",
    "pair_products",
    "pool_pairs",
    "project",
    "relu",
    "scale",
    "softmax_cross_entropy",
    "squeeze",
    "sum_fields",
    "take_fields",
]
