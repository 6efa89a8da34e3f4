"""Tensor: an array, the backend whose kernels it belongs to, and its place on the tape."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastfm_core.backends import Backend
from fastfm_core.errors import InputError

_state = threading.local()


class Tensor:
    """An array that may ask for a gradient.

    data           array of the backend, float32 or float64; a parameter's is changed in place by optimizers
    grad           sum of the gradients since it was set to None: an array, or a ``RowGradient`` of a looked-up table
    requires_grad  whether backward passes reach it
    version        counts in-place changes; gradients of what it was before are refused
    behind         None, or an optimizer's behind(rows [U] or None for all), which brings rows to the present
    """

    def __init__(self, data: Any, backend: Backend, *, requires_grad: bool = False) -> None:
        self.data, self.backend, self.requires_grad = data, backend, requires_grad
        self.grad: Any = None
        self.version = 0
        self.behind: Any = None
        self.node: Any = None  # the context that computed it; None for leaves
        self.index = 0  # which of the node's outputs it is

    def item(self) -> float:
        """The value of a tensor with one element; the host waits for a device that computes it."""
        return float(self.data.item())

    def backward(self, gradient: Any = 1) -> None:
        """Add d(self)/d(leaf), weighted by ``gradient``, to the grad of every leaf that asks for one."""
        from fastfm_core.autograd.engine import backward

        if not self.requires_grad:
            raise InputError("nothing to differentiate: the tensor was made without a gradient, or under no_grad")
        shape, dtype = self.data.shape, self.data.dtype
        # The gradient of a number is one of the host's: a loss then sees that it is 1 and nobody waits.
        backward([self], [self.backend.xp.full(shape, gradient, dtype) if shape else dtype.type(gradient)])


@contextmanager
def no_grad() -> Iterator[None]:
    """Within this block operations record nothing; the setting is the thread's own."""
    before, _state.recording = recording(), False
    try:
        yield
    finally:
        _state.recording = before


def recording() -> bool:
    """Whether operations of this thread are recorded."""
    return getattr(_state, "recording", True)
