"""Optimizer: what all optimizers share. Dense and row gradients go through the same update kernels, side by side.

A dense gradient is a row gradient whose plan names every row, so a rule is written once. A table is updated on the rows
of the batch alone, in one fused pass over their lazy gradient. ``rows`` says what becomes of its other rows:

exact  what the dense rule makes of them, up to rounding: a row catches up with the steps it has missed before it is
       read (``missed``), all rows do so in ``catch_up``, which ``state_dict`` and the model's ``state_dict`` call
lazy   nothing: they keep weights and state. For SGD, Adagrad and FTRL without l2 that is exact, too
dense  the full gradient is built and the dense rule applied, at the cost of the whole table a step
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from fastfm_core.autograd import RowGradient, Tensor
from fastfm_core.backends.memory import copy_in, to_host
from fastfm_core.contract import RowPlan, RowSource, every_row, is_half
from fastfm_core.errors import InputError
from fastfm_core.optim.missed import MissedSteps

ROWS = ("exact", "lazy", "dense")


class Optimizer:
    """Base of the optimizers.

    parameters     tensors by name
    lr             step size, may be changed between steps; the rule's other numbers may not under rows="exact"
    embedding_l2   lambda: adds (lambda/2)|w|^2 of all rows of the tables to the loss of every step; with rows="lazy"
                   only the rows of the batch feel it
    tables         names of the parameters that embedding_l2 and ``rows`` are about
    """

    states: tuple[str, ...] = ()  # names of the arrays of a parameter's shape that are kept for it
    initial_state = 0.0  # where they start

    def __init__(
        self, parameters: dict[str, Tensor], *, lr: float, embedding_l2: float = 0.0,
        tables: frozenset[str] = frozenset(), rows: Literal["exact", "lazy", "dense"] = "exact",
    ) -> None:  # fmt: skip
        if rows not in ROWS:
            raise InputError(f"rows must be 'exact', 'lazy' or 'dense', got {rows!r}")
        for name, tensor in parameters.items():
            if is_half(tensor.data.dtype):
                raise InputError(f"{name} is {tensor.data.dtype}: train in float32 and convert for serving")
            if tensor.behind is not None:
                tensor.behind()  # with the optimizer that had it before
        self.parameters = parameters
        self.lr = lr
        self.embedding_l2 = embedding_l2
        self.tables = tables
        self.rows = rows
        self.steps = 0
        self.state = {name: self._initial(tensor) for name, tensor in parameters.items()}
        self.missed: dict[str, MissedSteps] = {}
        if rows == "exact" and self.moves_other_rows():
            moved = ((name, parameters[name]) for name in tables & parameters.keys())
            self.missed = {name: MissedSteps(len(tensor.data), tensor.backend) for name, tensor in moved}

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for tensor in self.parameters.values():
            tensor.grad = None

    def step(self, grad_scale: float = 1.0, l2_scale: float = 1.0) -> None:
        """Apply every parameter's gradient in place, multiplied by ``grad_scale``, embedding_l2 by ``l2_scale``.

        Row gradients are of rows that a lookup has read since the step before. ``l2_scale`` is for rows="dense".
        """
        self.steps += 1
        for name, tensor in self.parameters.items():
            if name in self.missed and not isinstance(tensor.grad, RowGradient):
                self._catch_up(name)
            if tensor.grad is None:
                if name in self.missed:
                    self.missed[name].reset(self.steps)
                continue
            plan, source = self._gradient(tensor)
            l2 = self.embedding_l2 * l2_scale if name in self.tables else 0.0
            self.update(tensor.backend, as_rows(tensor.data), self.state[name], plan, source, l2, grad_scale)
            tensor.version += 1
            if name in self.missed:
                self._record(name, plan.touched)

    def catch_up(self) -> None:
        """Brings all rows of all tables to the present; nothing is left to do with rows="lazy" or "dense"."""
        for name in self.missed:
            self._catch_up(name)

    def moves_other_rows(self) -> bool:
        """Whether the rule moves rows of tables whose data gradient is 0."""
        return self.embedding_l2 != 0

    def update(
        self, kernels: Any, rows: np.ndarray, state: dict[str, np.ndarray], plan: RowPlan, source: RowSource,
        l2: float, grad_scale: float,
    ) -> None:  # fmt: skip
        """Call the rule's kernel on one parameter seen as rows."""
        raise NotImplementedError(f"{type(self).__name__} has no update rule")

    def replay(
        self, kernels: Any, rows: np.ndarray, state: dict[str, np.ndarray], last: np.ndarray,
        selected: np.ndarray | None, step: int, rates: np.ndarray,
    ) -> None:  # fmt: skip
        """Call the rule's catch-up kernel on one table seen as rows."""
        raise NotImplementedError(f"{type(self).__name__} has no catch-up rule")

    def state_dict(self) -> dict[str, np.ndarray]:
        """The states by "parameter/state", and the number of steps. All rows, the model's too, catch up first."""
        self.catch_up()
        return {name: to_host(array) for name, array in self._arrays().items()}

    def load_state_dict(self, saved: Mapping[str, np.ndarray]) -> None:
        """Copy saved states in. Names and shapes must agree; nothing is changed if they do not. The weights are taken
        to be those of the same moment."""
        own = self._arrays()
        if own.keys() != saved.keys():
            raise InputError(f"the saved optimizer state does not fit: {', '.join(sorted(own.keys() ^ saved.keys()))}")
        for name, array in own.items():
            if array.shape != saved[name].shape:
                raise InputError(f"the saved state {name} has shape {saved[name].shape}, this one's {array.shape}")
        for name, array in own.items():
            if name != "steps":
                copy_in(array, saved, name, self.parameters[name.rpartition("/")[0]].backend.to_device)
        self.steps = int(saved["steps"])
        for name, missed in self.missed.items():
            missed.reset(self.steps)
            self.parameters[name].behind = None

    def loss_gradient_norm(self) -> float:
        """As ``gradient_norm``, with the part of embedding_l2 on every row; InputError unless rows="dense"."""
        if self.rows != "dense":
            raise InputError(f'the norm of embedding_l2 on every row needs rows="dense", not {self.rows!r}')
        squares: Any = 0.0
        for name, tensor in self.parameters.items():
            if isinstance(tensor.grad, RowGradient):
                tensor.grad = tensor.grad.dense()
            if tensor.grad is not None:
                l2 = self.embedding_l2 if name in self.tables else 0.0
                squares = squares + np.sum(np.square(tensor.grad + l2 * tensor.data, dtype=np.float64))
        return float(squares) ** 0.5

    def _arrays(self) -> dict[str, np.ndarray]:
        arrays = {f"{name}/{key}": array for name, state in self.state.items() for key, array in state.items()}
        return {**arrays, "steps": np.array(self.steps)}

    def _record(self, name: str, rows: Any) -> None:
        """Notes that a step has moved these rows of a table. While others may be behind it refers to the optimizer."""
        missed = self.missed[name]
        missed.taken(self.lr, rows)
        self.parameters[name].behind = functools.partial(self._catch_up, name)
        if missed.full:
            self._catch_up(name)

    def _catch_up(self, name: str, selected: np.ndarray | None = None) -> None:
        """Brings rows of a table, ascending, to the present; None: all of them."""
        missed, tensor = self.missed[name], self.parameters[name]
        if missed.count:
            rows, state = as_rows(tensor.data), self.state[name]
            self.replay(tensor.backend, rows, state, missed.last, selected, missed.step, missed.rates)
        if selected is None:
            missed.count = 0
            tensor.behind = None

    def _gradient(self, tensor: Tensor) -> tuple[RowPlan, RowSource]:
        grad = tensor.grad
        if isinstance(grad, RowGradient):
            if self.rows != "dense":
                return grad.combined()
            grad = grad.dense()
        rows = as_rows(grad)
        return every_row(len(rows)), RowSource(1, slot_grad=rows[:, None, :])

    def _initial(self, tensor: Tensor) -> dict[str, np.ndarray]:
        rows = as_rows(tensor.data)
        state = {key: tensor.backend.aligned_like(rows, line=n + 2) for n, key in enumerate(self.states)}
        for array in state.values():
            array += self.initial_state
        return state


def as_rows(array: np.ndarray) -> np.ndarray:
    """A parameter as [rows, D]: matrices as they are, a vector as one number a row."""
    return array if array.ndim == 2 else array.reshape(-1, 1)


def gradient_norm(parameters: list[Tensor]) -> float:
    """Global norm of all gradients. Lazy row gradients are summed in a pass of their own, before the update's pass.

    The host waits for a device once, for the norm.
    """
    squares: Any = 0.0
    for tensor in parameters:
        if isinstance(tensor.grad, RowGradient):
            squares = squares + tensor.grad.norm2()
        elif tensor.grad is not None:
            squares = squares + np.sum(np.square(tensor.grad, dtype=np.float64))
    return float(squares) ** 0.5
