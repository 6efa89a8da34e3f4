"""Tensor: an array, the backend whose kernels it belongs to, and its place on the tape."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from fastfm_core.backends import Backend

_state = threading.local()


class Tensor:
    """An array that may ask for a gradient.

    data           NumPy array, float32 or float64; a parameter's is changed in place by optimizers
    grad           sum of the gradients of all backward passes since it was set to None: an array of data's shape, or a
                   ``RowGradient`` where the tensor is a table that was only looked up
    requires_grad  whether backward passes reach it
    version        counts in-place changes; a lazy row gradient is refused once the table has moved on
    """

    def __init__(self, data: np.ndarray, backend: Backend, *, requires_grad: bool = False) -> None:
        self.data = data
        self.backend = backend
        self.requires_grad = requires_grad
        self.grad: Any = None
        self.version = 0
        self.node: Any = None  # the context that computed it; None for leaves
        self.index = 0  # which of the node's outputs it is

    def item(self) -> float:
        """The value of a tensor with one element."""
        return float(self.data.item())

    def backward(self, gradient: np.ndarray | None = None) -> None:
        """Add d(self)/d(leaf), weighted by ``gradient`` (1 without it), to the grad of every leaf that asks for one."""
        from fastfm_core.autograd.engine import backward

        weights = np.broadcast_to(1 if gradient is None else gradient, self.data.shape)
        backward([self], [np.array(weights, self.data.dtype, order="C")])


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
