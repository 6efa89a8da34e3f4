"""What ties a parameter to the optimizer that moves its rows outside ``step``: before a lookup or in a backward pass.

A ``Follower`` is set on parameters of optimizers that need it: rows that have missed steps catch up before a lookup
reads them, and lookups under ``in_backward`` hand their row gradients over. Copies of a parameter have none.
"""

from __future__ import annotations

import threading
import weakref
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fastfm_core.errors import InputError
from fastfm_torch import arrays
from fastfm_torch.guard import MovedInBackward, refuse_ranks

LONGEST = 4096  # steps whose learning rates are kept; then all rows are brought to the present
alive = False  # whether any parameter is followed; compiled code asks for this and is compiled anew when it changes
_living: set[int] = set()
_changing = threading.RLock()  # a collection of garbage may end a follower while its thread begins another


def of(parameter: Tensor | None) -> Follower | None:
    """The parameter's follower."""
    return getattr(parameter, "_fastfm_follower", None)


def catch_up(*parameters: Tensor | None) -> None:
    """Brings all rows of followed parameters to the present."""
    for parameter in parameters:
        if follower := of(parameter):
            follower.catch_up()


def bring(ids: Tensor, check: bool, *tables: Tensor | None) -> Any:
    """Brings the rows about to be read to the present; the plan of the ids, where that took one."""
    plan = None
    for table in tables:
        follower = of(table)
        if follower is not None and table is not None:
            plan = follower.bring(ids, check, plan)
    return plan


class Follower:
    """One parameter's.

    in_backward  whether the backward pass of lookups moves the rows
    rates        learning rates of the steps that rows may have missed; None: no row misses any
    last         [V] int32 array where the table is, the step up to which each row is current
    steps        the steps taken so far
    """

    def __init__(self, optimizer: Any, group: dict[str, Any], parameter: Tensor, in_backward: bool, exact: bool):
        self.optimizer, self.group, self.parameter = optimizer, group, parameter
        self.in_backward = in_backward
        self.rates: list[float] | None = [] if exact else None
        self.last: Any = None
        self.steps = 0
        self.was_read = False
        self.pending: list[tuple[Any, Any]] = []
        self.awaited = 0  # lookups whose backward pass has not come
        self.complete = self.moved = False
        parameter._fastfm_follower = self  # type: ignore[attr-defined]
        _begin(id(self))
        weakref.finalize(self, _end, id(self)).atexit = False

    def __reduce__(self) -> tuple[Any, ...]:
        return type(None), ()  # a copy of the parameter is nobody's

    # ---- rows that have missed steps ----

    def bring(self, ids: Tensor, check: bool, plan: Any) -> Any:
        """Brings the rows of ids to the present; the plan, made if that needs one."""
        self.was_read = True
        if not self.rates:
            return plan
        kernels = arrays.kernels_for(self.parameter)
        with torch.no_grad(), arrays.queued(self.parameter):
            if plan is None:
                entries, _ = arrays.entries_of(ids, None, None, 1, "sum")
                if check:
                    arrays.check(entries, len(self.parameter))
                plan = kernels.plan_rows(entries.ids, len(self.parameter))
            self._replay(kernels, plan.touched)
        return plan

    def catch_up(self) -> None:
        """Brings all rows to the present."""
        if self.rates:
            with torch.no_grad(), arrays.queued(self.parameter):
                self._replay(arrays.kernels_for(self.parameter), None)
            self.rates.clear()
            torch.autograd.graph.increment_version(self.parameter)

    def record(self, lr: float, rows: Any, steps: int) -> None:
        """A step was taken that moved these rows, which were current."""
        self.steps, self.was_read = steps, False
        if self.rates is None:
            return
        if self.last is None:
            self.last = arrays.kernels_for(self.parameter).xp.full(len(self.parameter), steps - 1, np.int32)
        self.rates.append(lr)
        self.last[rows] = steps
        if len(self.rates) == LONGEST:
            self.catch_up()

    def reset(self, steps: int) -> None:
        """Every row is current up to this step, as it stands."""
        self.steps, self.was_read = steps, False
        self.last = None
        if self.rates is not None:
            self.rates.clear()

    def _replay(self, kernels: Any, rows: Any) -> None:
        self.optimizer.replay(kernels, self.group, self.parameter, self.last, rows, self.steps, np.array(self.rates))

    # ---- updates in the backward pass ----

    def expect(self) -> None:
        """A lookup was made that will be differentiated."""
        refuse_ranks()
        self.awaited += 1

    def arrived(self, plan: Any, source: Any) -> None:
        """A lookup's row gradient; None: nothing. The last that is awaited moves the rows, but in the first step."""
        refuse_ranks()
        grad = self.parameter.grad
        if grad is None and not self.moved:
            self.forget()
        if grad is not None and not isinstance(grad, MovedInBackward):
            raise InputError(
                "in_backward=True: a table has a gradient besides that of its lookups (a penalty on the whole weight?)"
            )
        if self.complete:
            raise InputError(
                "in_backward=True moves rows in the backward pass, so gradients cannot be accumulated: "
                "call optimizer.step() after each backward pass"
            )
        self.awaited = max(self.awaited - 1, 0)
        if source is not None:
            self.pending.append((plan, source))
        self.complete = self.awaited == 0
        self.parameter.grad = MovedInBackward(self.parameter)
        if self.complete and self.optimizer.proven:
            self.move()

    def move(self) -> None:
        """Applies what has arrived."""
        if self.pending:
            pending, self.pending = self.pending, []
            with torch.no_grad(), arrays.queued(self.parameter):
                if len(pending) > 1:
                    pending = [
                        arrays.kernels_for(self.parameter).combine_rows(arrays.array_of(self.parameter), pending)
                    ]
                self.optimizer.move(self.group, self.parameter, *pending[0])
        self.moved = True

    def finish(self) -> None:
        """The optimizer's step: applies what has not been, unless its gradient was dropped."""
        if self.parameter.grad is not None and not self.moved:
            self.move()
        self.forget()
        self.awaited = 0

    def forget(self) -> None:
        """Drops what has arrived."""
        self.pending, self.complete, self.moved = [], False, False


def _begin(follower: int) -> None:
    global alive
    with _changing:
        _living.add(follower)
        alive = True


def _end(follower: int) -> None:
    global alive
    with _changing:
        _living.discard(follower)
        alive = bool(_living)
