"""SGD: w -= lr g. Its lazy row path without l2 is the dense rule."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfm_core.optim.optimizer import Optimizer


class SGD(Optimizer):
    """Plain stochastic gradient descent."""

    def update(self, kernels: Any, rows: Any, state: Any, plan: Any, source: Any, l2: float, grad_scale: float) -> None:
        """One call of the row kernel."""
        kernels.update_rows_sgd_(rows, plan, source, lr=self.lr, l2=l2, grad_scale=grad_scale)

    def replay(
        self, kernels: Any, rows: Any, state: Any, last: Any, selected: Any, step: int, rates: np.ndarray
    ) -> None:
        """One call of the catch-up kernel."""
        kernels.catch_up_rows_sgd_(rows, last, selected, step=step, rates=rates, l2=self.embedding_l2)
