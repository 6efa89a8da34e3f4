"""Optimizer: what all optimizers share. Dense and row gradients go through the same update kernels, side by side.

A dense gradient is a row gradient whose plan names every row, so a rule is written once. With ``rows="lazy"`` a table
is updated on the rows of the batch alone, in one fused pass over their lazy gradient: rows outside the batch keep
weights and state. For SGD and Adagrad without l2 that is what the dense rule does; for Adam, and for l2, it is not
(they would move untouched rows too). ``rows="dense"`` builds every table's full gradient and applies the dense rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from fastfm_core.autograd import RowGradient, Tensor
from fastfm_core.backends.memory import aligned_like, copy_in
from fastfm_core.contract import RowPlan, RowSource, every_row, is_half
from fastfm_core.errors import InputError


class Optimizer:
    """Base of the optimizers.

    parameters     tensors by name
    lr             step size, may be changed between steps
    embedding_l2   lambda: adds (lambda/2)|w|^2 of the tables to the loss. Exact with rows="dense"; with rows="lazy"
                   only the rows of the batch feel it
    tables         names of the parameters that embedding_l2 and ``rows`` are about
    """

    states: tuple[str, ...] = ()  # names of the arrays of a parameter's shape that are kept for it
    initial_state = 0.0  # where they start

    def __init__(
        self, parameters: dict[str, Tensor], *, lr: float, embedding_l2: float = 0.0,
        tables: frozenset[str] = frozenset(), rows: Literal["lazy", "dense"] = "lazy",
    ) -> None:  # fmt: skip
        if rows not in ("lazy", "dense"):
            raise InputError(f"rows must be 'lazy' or 'dense', got {rows!r}")
        for name, tensor in parameters.items():
            if is_half(tensor.data.dtype):
                raise InputError(f"{name} is {tensor.data.dtype}: train in float32 and convert for serving")
        self.parameters = parameters
        self.lr = lr
        self.embedding_l2 = embedding_l2
        self.tables = tables
        self.rows = rows
        self.steps = 0
        self.state = {name: self._initial(tensor) for name, tensor in parameters.items()}

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for tensor in self.parameters.values():
            tensor.grad = None

    def step(self, grad_scale: float = 1.0) -> None:
        """Apply every parameter's gradient, multiplied by ``grad_scale``, in place."""
        self.steps += 1
        for name, tensor in self.parameters.items():
            if tensor.grad is None:
                continue
            plan, source = self._gradient(tensor)
            l2 = self.embedding_l2 if name in self.tables else 0.0
            self.update(tensor.backend, as_rows(tensor.data), self.state[name], plan, source, l2, grad_scale)
            tensor.version += 1

    def update(
        self, kernels: Any, rows: np.ndarray, state: dict[str, np.ndarray], plan: RowPlan, source: RowSource,
        l2: float, grad_scale: float,
    ) -> None:  # fmt: skip
        """Call the rule's kernel on one parameter seen as rows."""
        raise NotImplementedError(f"{type(self).__name__} has no update rule")

    def state_dict(self) -> dict[str, np.ndarray]:
        """The states by "parameter/state", and the number of steps."""
        arrays = {f"{name}/{key}": array for name, state in self.state.items() for key, array in state.items()}
        return {**arrays, "steps": np.array(self.steps)}

    def load_state_dict(self, saved: Mapping[str, np.ndarray]) -> None:
        """Copy saved states in. Names and shapes must agree; nothing is changed if they do not."""
        own = self.state_dict()
        if own.keys() != saved.keys():
            raise InputError(f"the saved optimizer state does not fit: {', '.join(sorted(own.keys() ^ saved.keys()))}")
        for name, array in own.items():
            if array.shape != saved[name].shape:
                raise InputError(f"the saved state {name} has shape {saved[name].shape}, this one's {array.shape}")
        for name, array in own.items():
            if name != "steps":
                copy_in(array, saved, name)
        self.steps = int(saved["steps"])

    def _gradient(self, tensor: Tensor) -> tuple[RowPlan, RowSource]:
        grad = tensor.grad
        if isinstance(grad, RowGradient):
            if self.rows == "lazy":
                return grad.combined()
            grad = grad.dense()
        rows = as_rows(grad)
        return every_row(len(rows)), RowSource(1, slot_grad=rows[:, None, :])

    def _initial(self, tensor: Tensor) -> dict[str, np.ndarray]:
        state = {key: aligned_like(as_rows(tensor.data), line=n + 2) for n, key in enumerate(self.states)}
        for array in state.values():
            array += self.initial_state
        return state


def as_rows(array: np.ndarray) -> np.ndarray:
    """A parameter as [rows, D]: matrices as they are, a vector as one number a row."""
    return array if array.ndim == 2 else array.reshape(-1, 1)


def gradient_norm(parameters: list[Tensor]) -> float:
    """Global norm of all gradients. Lazy row gradients are summed in a pass of their own, before the update's pass."""
    squares = 0.0
    for tensor in parameters:
        if isinstance(tensor.grad, RowGradient):
            squares += tensor.grad.norm2()
        elif tensor.grad is not None:
            squares += float(np.sum(np.square(tensor.grad, dtype=np.float64)))
    return squares**0.5
