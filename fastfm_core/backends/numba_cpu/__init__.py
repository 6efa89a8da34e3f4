"""The CPU backend without a compiler: Numba kernels with vectors, prefetch and sums in registers.

One file per kernel family; ``vector`` is the language they are written in, ``launch`` how they are
cut over threads, ``fastfm_core.compilation`` how they become machine code.
"""

from fastfm_core.backends.numba_cpu.catch_up import (
    catch_up_rows_adagrad_,
    catch_up_rows_adam_,
    catch_up_rows_adamw_,
    catch_up_rows_ftrl_,
    catch_up_rows_rowwise_adagrad_,
    catch_up_rows_sgd_,
)
from fastfm_core.backends.numba_cpu.dense import (
    batch_norm,
    batch_norm_backward,
    bias_relu_dropout_,
    bias_relu_dropout_backward,
    dropout,
    matmul,
)
from fastfm_core.backends.numba_cpu.interaction import (
    bi_interaction,
    bi_interaction_backward,
    fm_interaction,
    fm_interaction_backward,
)
from fastfm_core.backends.numba_cpu.lookup import (
    embedding_bag,
    embedding_fm,
    embedding_gather,
)
from fastfm_core.backends.numba_cpu.loss import (
    bce_with_logits,
    bpr,
    mean_squared_error,
    softmax_cross_entropy,
)
from fastfm_core.backends.numba_cpu.pair import (
    pair_interaction,
    pair_interaction_backward,
    pair_products,
    pair_products_backward,
)
from fastfm_core.backends.numba_cpu.plan import plan_rows
from fastfm_core.backends.numba_cpu.sources import materialize_rows, row_gradient_norm2, value_gradient
from fastfm_core.backends.numba_cpu.updates import (
    update_rows_adagrad_,
    update_rows_adam_,
    update_rows_adamw_,
    update_rows_ftrl_,
    update_rows_rowwise_adagrad_,
    update_rows_sgd_,
)
from fastfm_core.backends.shared import entry_slots, merge_plans, pooling_coefficients
from fastfm_core.compilation import compilation

name = "numba"
