"""FTRL-Proximal (McMahan et al., KDD 2013): a learning rate for each weight, and L1 that makes weights exactly 0.

A row without gradient does not move, so the lazy row path without l2 is the dense rule, whatever the schedule of lr.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfm_core.autograd import Tensor
from fastfm_core.errors import InputError
from fastfm_core.optim.optimizer import Optimizer


class FTRL(Optimizer):
    """n += g^2;  z = u + g - r w with r = (beta + sqrt(n)) / lr;  w = -(z - sign(z) l1) / (r + ridge), or 0.

    u is -sign(w) l1 - ridge w, or z where w is 0. Weights start where the model drew them.

    beta   above 0; keeps the first steps small
    l1     weights with |z| <= l1 are exactly 0
    ridge  the paper's lambda_2: (ridge/2) |w|^2 once, where embedding_l2 is a term of the loss of every step
    """

    states = ("dual", "accumulator")

    def __init__(
        self, parameters: dict[str, Tensor], *, beta: float = 1.0, l1: float = 0.0, ridge: float = 0.0, **options: Any
    ) -> None:
        if beta <= 0:
            raise InputError(f"FTRL's beta must be above 0, got {beta:g}")
        self.beta = beta
        self.l1 = l1
        self.ridge = ridge
        super().__init__(parameters, **options)

    def update(self, kernels: Any, rows: Any, state: Any, plan: Any, source: Any, l2: float, grad_scale: float) -> None:
        """One call of the row kernel."""
        kernels.update_rows_ftrl_(
            rows, state["dual"], state["accumulator"], plan, source, lr=self.lr, beta=self.beta, l1=self.l1,
            ridge=self.ridge, l2=l2, grad_scale=grad_scale,
        )  # fmt: skip

    def replay(
        self, kernels: Any, rows: Any, state: Any, last: Any, selected: Any, step: int, rates: np.ndarray
    ) -> None:
        """One call of the catch-up kernel."""
        kernels.catch_up_rows_ftrl_(
            rows, state["dual"], state["accumulator"], last, selected, step=step, rates=rates, beta=self.beta,
            l1=self.l1, ridge=self.ridge, l2=self.embedding_l2,
        )  # fmt: skip
