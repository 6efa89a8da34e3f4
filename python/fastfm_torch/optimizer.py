"""RowOptimizer: what the optimizers share. Dense, sparse and lazy row gradients go through the same kernels, in place.

``rows`` says what becomes of a table's rows that a step did not look up, where the rule moves them (Adam's moments,
weight decay):

exact  what the dense rule makes of them: a row catches up with the steps it has missed before a lookup reads it, and
       all rows do so in ``state_dict`` (of the optimizer, and of a model made of this package's modules) and in
       ``catch_up``, to be called before a weight is read in another way
lazy   nothing: they keep weights and state

With ``in_backward=True`` the backward pass of lookups moves their rows: no gradient is built, and ``step`` does the
rest. A dense parameter is updated in ``step`` as ever.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from fastfm_core.contract import EveryRow, RowPlan, RowSource, every_row
from fastfm_core.errors import InputError
from fastfm_torch import arrays, follow
from fastfm_torch.follow import Follower
from fastfm_torch.guard import MovedInBackward, refuse_ranks, refuse_scaler


class RowOptimizer(torch.optim.Optimizer):
    """Base of the optimizers; a rule has ``update``, ``replay``, and names its states as torch.optim does."""

    states: tuple[str, ...] = ()
    initial_state = 0.0
    decays = False  # whether rows without gradient move even without weight decay

    def __init__(
        self, params: Any, defaults: dict[str, Any], *, rows: Literal["exact", "lazy"] = "exact",
        in_backward: bool = False,
    ) -> None:  # fmt: skip
        if rows not in ("exact", "lazy"):
            raise InputError(f"rows must be 'exact' or 'lazy', got {rows!r}")
        if in_backward:
            refuse_ranks()
        self.rows, self.in_backward = rows, in_backward
        self.proven = False  # a whole step was taken, so nobody scales, clips or accumulates
        self._step_supports_amp_scaling = in_backward  # a GradScaler hands itself over then, and is refused
        super().__init__(params, defaults)

    # ---- what torch.optim.Optimizer has ----

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As torch's; InputError for parameters of halves, which lose steps below half a unit in their last place."""
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        for place, parameter in enumerate(group["params"]):
            if parameter.dtype not in arrays.FLOATS:
                raise InputError(
                    f"parameter {place} of {list(parameter.shape)} is {parameter.dtype}: these optimizers train "
                    "float32 and float64; train in float32 and convert for serving"
                )
            self._follow(group, parameter)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Applies every parameter's gradient in place. Nothing has moved yet where it is refused."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if self.in_backward:
            refuse_scaler(self)
        moved = [(group, p, p.grad) for group in self.param_groups for p in group["params"] if p.grad is not None]
        for group, parameter, grad in moved:
            self._refuse(group, parameter, grad)
        for group, parameter, grad in moved:
            if not isinstance(grad, MovedInBackward):
                self._apply(group, parameter, grad)
        for follower in self._followers():
            follower.finish()
        self.proven = True
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """As torch's; what has arrived in a backward pass and was not applied is dropped, too."""
        super().zero_grad(set_to_none)
        for follower in self._followers():
            if not follower.moved:
                follower.forget()

    def state_dict(self) -> dict[str, Any]:
        """As torch's. All rows, the model's too, catch up first."""
        self.catch_up()
        return super().state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As torch's; that of torch.optim's same rule is taken, too. The weights are those of the same moment."""
        super().load_state_dict(state_dict)
        for group in self.param_groups:
            for name, value in self.defaults.items():
                group.setdefault(name, value)
            for parameter in group["params"]:
                step = int(self.state[parameter].get("step", 0)) if parameter in self.state else 0
                if follower := follow.of(parameter):
                    follower.reset(step)
                self._follow(group, parameter)  # the group's numbers are others
                if follower := follow.of(parameter):
                    follower.reset(step)
        self.proven = False

    # ---- what it adds ----

    def catch_up(self) -> None:
        """Brings all rows to the present: call it before reading a weight other than through a lookup."""
        for group in self.param_groups:
            follow.catch_up(*group["params"])

    def update(
        self, kernels: Any, group: dict[str, Any], rows: Any, state: Any, plan: Any, source: Any, step: int
    ) -> None:
        """Calls the rule's kernel on one parameter seen as rows; ``state``: its arrays by name."""
        raise NotImplementedError(f"{type(self).__name__} has no update rule")

    def missed(
        self, kernels: Any, group: dict[str, Any], rows: Any, state: Any, last: Any, selected: Any, step: int,
        rates: np.ndarray,
    ) -> None:  # fmt: skip
        """Calls the rule's catch-up kernel."""
        raise NotImplementedError(f"{type(self).__name__} has no catch-up rule")

    def move(self, group: dict[str, Any], parameter: Tensor, plan: Any, source: Any) -> None:
        """One step of one parameter, whose rows in the plan are current."""
        state = self._state(parameter)
        state["step"] += 1
        step = int(state["step"])
        self.update(arrays.kernels_for(parameter), group, _rows(parameter), self._arrays(parameter), plan, source, step)
        torch.autograd.graph.increment_version(parameter)
        if (follower := follow.of(parameter)) and follower.optimizer is self:
            if isinstance(plan, EveryRow):
                follower.reset(step)
            else:
                follower.record(float(group["lr"]), plan.touched, step)

    def replay(
        self, kernels: Any, group: dict[str, Any], parameter: Tensor, last: Any, selected: Any, step: int,
        rates: np.ndarray,
    ) -> None:  # fmt: skip
        """Brings rows of a table, ascending, to the present; None: all of them."""
        self.missed(kernels, group, _rows(parameter), self._arrays(parameter), last, selected, step, rates)

    # ---- inside ----

    def _follow(self, group: dict[str, Any], parameter: Tensor) -> None:
        exact = self.rows == "exact" and (self.decays or group["weight_decay"] != 0)
        follow.catch_up(parameter)  # with the optimizer that had it before
        if (exact or self.in_backward) and parameter.dim() in (1, 2):
            Follower(self, group, parameter, self.in_backward, exact)
        elif follow.of(parameter):
            del parameter._fastfm_follower  # type: ignore[attr-defined]

    def _followers(self) -> list[Follower]:
        parameters = (parameter for group in self.param_groups for parameter in group["params"])
        return [f for f in map(follow.of, parameters) if f is not None and f.optimizer is self and f.in_backward]

    def _refuse(self, group: dict[str, Any], parameter: Tensor, grad: Tensor) -> None:
        follower = follow.of(parameter)
        if grad.is_sparse and follower and follower.rates is not None and not follower.was_read:
            raise InputError(
                f"{type(self).__name__} moves rows that were not looked up, so lookups must be this package's: use "
                "fastfm_torch's modules, or rows='lazy'"
            )
        if follower and follower.pending and not isinstance(grad, MovedInBackward):
            raise InputError("in_backward=True: a table has a gradient besides that of its lookups")
        if isinstance(grad, MovedInBackward) and not (follower and follower.optimizer is self):
            raise InputError("another optimizer, with in_backward=True, moves a parameter that this one has, too")

    def _apply(self, group: dict[str, Any], parameter: Tensor, grad: Tensor) -> None:
        with arrays.queued(parameter):
            if grad.is_sparse:
                self.move(group, parameter, *_sparse(parameter, grad))
                return
            follow.catch_up(parameter)
            rows = _rows(grad.to(parameter.dtype).contiguous())
            self.move(group, parameter, every_row(len(rows)), RowSource(1, slot_grad=rows[:, None, :]))

    def _state(self, parameter: Tensor) -> dict[str, Any]:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros(())
            for line, name in enumerate(self.states, 2):
                made = self.initial(parameter, line)
                made += self.initial_state
                state[name] = arrays.tensor_of(made)
        return state

    def initial(self, parameter: Tensor, line: int) -> Any:
        """Zeros for a state, placed off the table's cache sets."""
        made = arrays.kernels_for(parameter).aligned_like(_rows(parameter), line=line)
        return made if parameter.dim() == 2 else made.reshape(parameter.shape)

    def _arrays(self, parameter: Tensor) -> dict[str, Any]:
        state = self.state[parameter]
        return {name: _rows(state[name]) for name in self.states}


def _rows(tensor: Tensor) -> Any:
    """A parameter as the array [rows, D]: matrices as they are, anything else as one number a row."""
    if tensor.dim() != 2:
        if not tensor.is_contiguous():
            raise InputError(f"a parameter of shape {list(tensor.shape)} must be contiguous")
        tensor = tensor.detach().view(-1, 1)
    return arrays.table_of(tensor, "a parameter")


def _sparse(parameter: Tensor, grad: Tensor) -> tuple[Any, RowSource]:
    """Plan and source of a COO gradient, coalesced or not."""
    rows, values = grad._indices()[0], grad._values().to(parameter.dtype).contiguous()
    count, kernels = len(rows), arrays.kernels_for(parameter)
    own = arrays.array_of(rows.contiguous())
    if grad.is_coalesced() or (kernels.on_host and bool((own[1:] > own[:-1]).all())):
        plan = RowPlan(own, kernels.xp.arange(count + 1), kernels.xp.arange(count, dtype=np.int32))
    else:
        plan = kernels.plan_rows(own, len(parameter))
    return plan, RowSource(1, slot_grad=arrays.array_of(values.view(count, 1, -1)))
