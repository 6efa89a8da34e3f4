"""fastfm_core's kernels inside your own @njit functions: libfastfm's, called by name, with NumPy arrays as they lie.

Outputs are arrays of yours, the last of the positional arguments; nothing is allocated and nothing copied but the three
arrays of a plan. Formulas and shapes: docs/contract.md, under the same names; ids may be [B, F], one a field, or [N]
with ``fields`` and ``offsets``. float32 alone. ValueError in the words of libfastfm, which name the argument.

All of them are inlined into the function that calls them, so they are compiled, and cached, with it.
"""

from __future__ import annotations

from fastfm_numba.library import MAX, MEAN, NONE, SQRTN, SUM
from fastfm_numba.lookup import (
    bi_interaction,
    bi_interaction_backward,
    check_ids,
    embedding_bag,
    embedding_fm,
    embedding_gather,
    entry_slots,
    fm_interaction,
    fm_interaction_backward,
    pooling_coefficients,
)
from fastfm_numba.loss import bce_with_logits
from fastfm_numba.rows import (
    catch_up_rows_adam_,
    catch_up_rows_adamw_,
    materialize_rows,
    plan_rows,
    row_gradient_norm2,
    row_source,
    update_rows_adagrad_,
    update_rows_adam_,
    update_rows_adamw_,
    update_rows_ftrl_,
    update_rows_rowwise_adagrad_,
    update_rows_sgd_,
)

__all__ = [
    "MAX",
    "MEAN",
    "NONE",
    "SQRTN",
    "SUM",
    "bce_with_logits",
    "bi_interaction",
    "bi_interaction_backward",
    "catch_up_rows_adam_",
    "catch_up_rows_adamw_",
    "check_ids",
    "embedding_bag",
    "embedding_fm",
    "embedding_gather",
    "entry_slots",
    "fm_interaction",
    "fm_interaction_backward",
    "materialize_rows",
    "plan_rows",
    "pooling_coefficients",
    "row_gradient_norm2",
    "row_source",
    "update_rows_adagrad_",
    "update_rows_adam_",
    "update_rows_adamw_",
    "update_rows_ftrl_",
    "update_rows_rowwise_adagrad_",
    "update_rows_sgd_",
]
