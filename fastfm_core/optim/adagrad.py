"""Adagrad (Duchi et al., JMLR 2011), and its row-wise form with one accumulator a row.

Both lazy row paths without l2 are the dense rules: a row without gradient would not move.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfm_core.autograd import Tensor
from fastfm_core.optim.optimizer import Optimizer, as_rows


class Adagrad(Optimizer):
    """a += g^2;  w -= lr g / (sqrt(a) + eps), a starting at ``initial_accumulator``."""

    states = ("accumulator",)

    def __init__(
        self, parameters: dict[str, Tensor], *, eps: float = 1e-10, initial_accumulator: float = 0.0, **options: Any
    ) -> None:
        self.eps = eps
        self.initial_state = initial_accumulator
        super().__init__(parameters, **options)

    def update(self, kernels: Any, rows: Any, state: Any, plan: Any, source: Any, l2: float, grad_scale: float) -> None:
        """One call of the row kernel."""
        kernels.update_rows_adagrad_(
            rows, state["accumulator"], plan, source, lr=self.lr, eps=self.eps, l2=l2, grad_scale=grad_scale
        )

    def replay(
        self, kernels: Any, rows: Any, state: Any, last: Any, selected: Any, step: int, rates: np.ndarray
    ) -> None:
        """One call of the catch-up kernel."""
        kernels.catch_up_rows_adagrad_(
            rows, state["accumulator"], last, selected, step=step, rates=rates, eps=self.eps, l2=self.embedding_l2
        )


class RowWiseAdagrad(Adagrad):
    """a += mean_d(g_d^2), one number for each row of a table or of a weight matrix; else as Adagrad."""

    def update(self, kernels: Any, rows: Any, state: Any, plan: Any, source: Any, l2: float, grad_scale: float) -> None:
        """One call of the row kernel."""
        kernels.update_rows_rowwise_adagrad_(
            rows, state["accumulator"], plan, source, lr=self.lr, eps=self.eps, l2=l2, grad_scale=grad_scale
        )

    def replay(
        self, kernels: Any, rows: Any, state: Any, last: Any, selected: Any, step: int, rates: np.ndarray
    ) -> None:
        """One call of the catch-up kernel."""
        kernels.catch_up_rows_rowwise_adagrad_(
            rows, state["accumulator"], last, selected, step=step, rates=rates, eps=self.eps, l2=self.embedding_l2
        )

    def _initial(self, tensor: Tensor) -> dict[str, np.ndarray]:
        accumulator = tensor.backend.aligned_zeros((len(as_rows(tensor.data)),), tensor.data.dtype, line=2)
        accumulator += self.initial_state
        return {"accumulator": accumulator}
