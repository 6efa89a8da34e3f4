"""The CUDA backend: the kernels of csrc/cuda, compiled and launched through CuPy.

Arrays are CuPy's; work is queued on CuPy's current stream and nothing waits for the device, but where a function says
so. Losses and norms are 0-d arrays on the device. Formulas, shapes and dtypes: ``fastfm_core.contract``.
"""

from __future__ import annotations

from fastfm_core.backends.cuda import memory
from fastfm_core.backends.cuda.dense import bias_relu_dropout_, bias_relu_dropout_backward, dropout
from fastfm_core.backends.cuda.device import compilation, xp
from fastfm_core.backends.cuda.interaction import (
    bi_interaction,
    bi_interaction_backward,
    fm_interaction,
    fm_interaction_backward,
)
from fastfm_core.backends.cuda.lookup import (
    embedding_bag,
    embedding_fm,
    embedding_gather,
    entry_slots,
    pooling_coefficients,
)
from fastfm_core.backends.cuda.loss import bce_with_logits, bpr, mean_squared_error, softmax_cross_entropy
from fastfm_core.backends.cuda.norm import batch_norm, batch_norm_backward
from fastfm_core.backends.cuda.pair import (
    pair_interaction,
    pair_interaction_backward,
    pair_products,
    pair_products_backward,
)
from fastfm_core.backends.cuda.plan import merge_plans, plan_rows
from fastfm_core.backends.cuda.products import matmul
from fastfm_core.backends.cuda.rows import materialize_rows, row_gradient_norm2, value_gradient
from fastfm_core.backends.cuda.updates import (
    catch_up_rows_adagrad_,
    catch_up_rows_adam_,
    catch_up_rows_adamw_,
    catch_up_rows_ftrl_,
    catch_up_rows_rowwise_adagrad_,
    catch_up_rows_sgd_,
    update_rows_adagrad_,
    update_rows_adam_,
    update_rows_adamw_,
    update_rows_ftrl_,
    update_rows_rowwise_adagrad_,
    update_rows_sgd_,
)

name = "cuda"
