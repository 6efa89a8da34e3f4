"""Adam (Kingma & Ba, ICLR 2015) and AdamW (Loshchilov & Hutter, ICLR 2019).

Both move every row of a table in every step, looked up or not; with ``rows="lazy"`` a row's moments decay only in steps
that look it up, which is another rule.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfm_core.autograd import Tensor
from fastfm_core.optim.optimizer import Optimizer


class Adam(Optimizer):
    """Bias-corrected first and second moments; the correction counts all steps, of lazy rows too."""

    states = ("moment1", "moment2")

    def __init__(
        self,
        parameters: dict[str, Tensor],
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        **options: Any,
    ) -> None:
        self.beta1 = beta1
        self.beta2 = beta2
        self.eps = eps
        super().__init__(parameters, **options)

    def update(self, kernels: Any, rows: Any, state: Any, plan: Any, source: Any, l2: float, grad_scale: float) -> None:
        """One call of the row kernel."""
        kernels.update_rows_adam_(
            rows, state["moment1"], state["moment2"], plan, source, step=self.steps, lr=self.lr,
            beta1=self.beta1, beta2=self.beta2, eps=self.eps, l2=l2, grad_scale=grad_scale,
        )  # fmt: skip

    def replay(
        self, kernels: Any, rows: Any, state: Any, last: Any, selected: Any, step: int, rates: np.ndarray
    ) -> None:
        """One call of the catch-up kernel."""
        kernels.catch_up_rows_adam_(
            rows, state["moment1"], state["moment2"], last, selected, step=step, rates=rates,
            beta1=self.beta1, beta2=self.beta2, eps=self.eps, l2=self.embedding_l2,
        )  # fmt: skip

    def moves_other_rows(self) -> bool:
        """Always: moments decay and move the weights on."""
        return True


class AdamW(Adam):
    """Adam with decoupled weight decay: w is multiplied with 1 - lr weight_decay at every step, all parameters' w."""

    def __init__(self, parameters: dict[str, Tensor], *, weight_decay: float = 0.01, **options: Any) -> None:
        self.weight_decay = weight_decay
        super().__init__(parameters, **options)

    def update(self, kernels: Any, rows: Any, state: Any, plan: Any, source: Any, l2: float, grad_scale: float) -> None:
        """One call of the row kernel."""
        kernels.update_rows_adamw_(
            rows, state["moment1"], state["moment2"], plan, source, step=self.steps, lr=self.lr, beta1=self.beta1,
            beta2=self.beta2, eps=self.eps, weight_decay=self.weight_decay, l2=l2, grad_scale=grad_scale,
        )  # fmt: skip

    def replay(
        self, kernels: Any, rows: Any, state: Any, last: Any, selected: Any, step: int, rates: np.ndarray
    ) -> None:
        """One call of the catch-up kernel."""
        kernels.catch_up_rows_adamw_(
            rows, state["moment1"], state["moment2"], last, selected, step=step, rates=rates, beta1=self.beta1,
            beta2=self.beta2, eps=self.eps, weight_decay=self.weight_decay, l2=self.embedding_l2,
        )  # fmt: skip
