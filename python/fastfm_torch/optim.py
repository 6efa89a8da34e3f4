"""Optimizers that move rows in place: SGD, Adagrad, RowwiseAdagrad, Adam. Each is a ``torch.optim.Optimizer``.

    optimizer = optim.Adagrad(model.parameters(), lr=0.05)                     # dense and sparse gradients, in step()
    optimizer = optim.Adagrad(model.parameters(), lr=0.05, in_backward=True)   # rows move in the backward pass

One optimizer serves the whole model. Names of arguments and states are torch.optim's, as are the rules; ``rows`` and
``in_backward`` are explained in ``optimizer``. Formulas: ``fastfm_core.contract``.
"""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor

from fastfm_core.errors import InputError
from fastfm_torch import arrays
from fastfm_torch.optimizer import RowOptimizer

__all__ = ["SGD", "Adagrad", "Adam", "RowOptimizer", "RowwiseAdagrad"]


class SGD(RowOptimizer):
    """w -= lr (g + weight_decay w)."""

    def __init__(self, params: Any, lr: float = 1e-3, *, weight_decay: float = 0.0, **options: Any) -> None:
        super().__init__(params, _numbers(lr=lr, weight_decay=weight_decay), **options)

    def update(self, kernels: Any, group: Any, rows: Any, state: Any, plan: Any, source: Any, step: int) -> None:
        """One call of the row kernel."""
        kernels.update_rows_sgd_(rows, plan, source, lr=float(group["lr"]), l2=group["weight_decay"])

    def missed(
        self, kernels: Any, group: Any, rows: Any, state: Any, last: Any, selected: Any, step: int, rates: Any
    ) -> None:
        """One call of the catch-up kernel."""
        kernels.catch_up_rows_sgd_(rows, last, selected, step=step, rates=rates, l2=group["weight_decay"])


class Adagrad(RowOptimizer):
    """a += g^2;  w -= lr g / (sqrt(a) + eps), with g the gradient plus weight_decay w."""

    states = ("sum",)
    kernel = "adagrad"

    def __init__(
        self, params: Any, lr: float = 1e-2, *, weight_decay: float = 0.0, initial_accumulator_value: float = 0.0,
        eps: float = 1e-10, **options: Any,
    ) -> None:  # fmt: skip
        self.initial_state = initial_accumulator_value
        numbers = _numbers(lr=lr, weight_decay=weight_decay, eps=eps)
        super().__init__(params, {**numbers, "initial_accumulator_value": initial_accumulator_value}, **options)

    def update(self, kernels: Any, group: Any, rows: Any, state: Any, plan: Any, source: Any, step: int) -> None:
        """One call of the row kernel."""
        kernel = getattr(kernels, f"update_rows_{self.kernel}_")
        kernel(rows, state["sum"], plan, source, lr=float(group["lr"]), eps=group["eps"], l2=group["weight_decay"])

    def missed(
        self, kernels: Any, group: Any, rows: Any, state: Any, last: Any, selected: Any, step: int, rates: Any
    ) -> None:
        """One call of the catch-up kernel."""
        kernel = getattr(kernels, f"catch_up_rows_{self.kernel}_")
        numbers = {"eps": group["eps"], "l2": group["weight_decay"]}
        kernel(rows, state["sum"], last, selected, step=step, rates=rates, **numbers)


class RowwiseAdagrad(Adagrad):
    """a += mean_d(g_d^2), one number for each row of a table or weight matrix; else as Adagrad."""

    kernel = "rowwise_adagrad"

    def initial(self, parameter: Tensor, line: int) -> Any:
        """[rows]"""
        kernels, rows = arrays.kernels_for(parameter), len(parameter) if parameter.dim() == 2 else parameter.numel()
        return kernels.aligned_zeros((rows,), arrays.number_type(parameter.dtype), line=line)

    def _arrays(self, parameter: Tensor) -> dict[str, Any]:
        return {"sum": arrays.array_of(self.state[parameter]["sum"])}


class Adam(RowOptimizer):
    """m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2;  w -= lr m / (1-b1^t) / (sqrt(v / (1-b2^t)) + eps).

    Every row of a table moves in every step, looked up or not (rows="exact"). With rows="lazy" a row's moments decay
    only in steps that look it up, which is another rule: that of torch.optim.SparseAdam.
    """

    states = ("exp_avg", "exp_avg_sq")
    decays = True

    def __init__(
        self, params: Any, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0.0, *, rows: Literal["exact", "lazy"] = "exact", in_backward: bool = False,
    ) -> None:  # fmt: skip
        if not all(0.0 <= beta < 1.0 for beta in betas):
            raise InputError(f"betas must be in [0, 1), got {betas}")
        numbers = _numbers(lr=lr, eps=eps, weight_decay=weight_decay)
        super().__init__(params, {**numbers, "betas": tuple(betas)}, rows=rows, in_backward=in_backward)

    def update(self, kernels: Any, group: Any, rows: Any, state: Any, plan: Any, source: Any, step: int) -> None:
        """One call of the row kernel."""
        kernels.update_rows_adam_(
            rows, state["exp_avg"], state["exp_avg_sq"], plan, source, step=step, lr=float(group["lr"]),
            **_constants(group),
        )  # fmt: skip

    def missed(
        self, kernels: Any, group: Any, rows: Any, state: Any, last: Any, selected: Any, step: int, rates: Any
    ) -> None:
        """One call of the catch-up kernel."""
        kernels.catch_up_rows_adam_(
            rows, state["exp_avg"], state["exp_avg_sq"], last, selected, step=step, rates=rates, **_constants(group)
        )


def _constants(group: Any) -> dict[str, float]:
    beta1, beta2 = group["betas"]
    return {"beta1": float(beta1), "beta2": float(beta2), "eps": group["eps"], "l2": group["weight_decay"]}


def _numbers(**numbers: float) -> dict[str, Any]:
    for name, number in numbers.items():
        if not float(number) >= 0:
            raise InputError(f"{name} must be 0 or more, got {number}")
    return dict(numbers)
