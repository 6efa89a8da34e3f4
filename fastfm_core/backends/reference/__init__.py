"""The reference backend: NumPy, naive, any float dtype. It is the definition of truth and is never tuned.

Every function follows ``fastfm_core.contract.Kernels``, which holds signatures, shapes and formulas; the loops here go
over slots, entries and rows in the order the contract sums in. One file per family of kernels.
"""

from __future__ import annotations

from fastfm_core.backends.reference.catch_up import (
    catch_up_rows_adagrad_,
    catch_up_rows_adam_,
    catch_up_rows_adamw_,
    catch_up_rows_ftrl_,
    catch_up_rows_rowwise_adagrad_,
    catch_up_rows_sgd_,
)
from fastfm_core.backends.reference.dense import (
    batch_norm,
    batch_norm_backward,
    bias_relu_dropout_,
    bias_relu_dropout_backward,
    dropout,
    matmul,
)
from fastfm_core.backends.reference.interaction import (
    bi_interaction,
    bi_interaction_backward,
    fm_interaction,
    fm_interaction_backward,
)
from fastfm_core.backends.reference.lookup import (
    embedding_bag,
    embedding_fm,
    embedding_gather,
    entry_slots,
    pooling_coefficients,
)
from fastfm_core.backends.reference.loss import (
    bce_with_logits,
    bpr,
    mean_squared_error,
    softmax_cross_entropy,
)
from fastfm_core.backends.reference.pair import (
    pair_interaction,
    pair_interaction_backward,
    pair_products,
    pair_products_backward,
)
from fastfm_core.backends.reference.rows import (
    materialize_rows,
    merge_plans,
    plan_rows,
    row_gradient_norm2,
    value_gradient,
)
from fastfm_core.backends.reference.updates import (
    update_rows_adagrad_,
    update_rows_adam_,
    update_rows_adamw_,
    update_rows_ftrl_,
    update_rows_rowwise_adagrad_,
    update_rows_sgd_,
)

name = "reference"
