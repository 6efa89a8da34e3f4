"""fastfm_core's kernels in JAX, on the CPU: lookups and FM interactions with gradients, and rows trained in place.

    embedding_gather, embedding_bag, embedding_fm, fm_interaction, bi_interaction     functions to be differentiated
    sgd, adagrad, rowwise_adagrad, adam                                               optimizers of a table's rows

Formulas and sources: ``fastfm_core.contract``. How to train with it: docs/hosts/jax.md.
"""

from fastfm_jax import library as _library

_library.require()

from fastfm_jax.interaction import bi_interaction, fm_interaction  # noqa: E402
from fastfm_jax.lookup import Looked, embedding_bag, embedding_fm, embedding_gather  # noqa: E402
from fastfm_jax.rows import RowOptimizer, RowState, adagrad, adam, rowwise_adagrad, sgd  # noqa: E402

__all__ = [
    "Looked", "RowOptimizer", "RowState", "adagrad", "adam", "bi_interaction", "embedding_bag", "embedding_fm",
    "embedding_gather", "fm_interaction", "rowwise_adagrad", "sgd",
]  # fmt: skip
