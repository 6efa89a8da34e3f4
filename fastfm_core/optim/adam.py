"""Adam (Kingma & Ba, ICLR 2015). On tables the row path is *lazy*: a row's moments decay only in steps that look it up.

That is not dense Adam, which moves every row in every step; ``rows="dense"`` is, at the cost of the whole table a step.
"""

from __future__ import annotations

from typing import Any

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
