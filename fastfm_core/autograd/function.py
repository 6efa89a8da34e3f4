"""Function: one differentiable operation, and the node that an application of it leaves on the tape.

    class Square(Function):
        @staticmethod
        def forward(context, x):
            context.save(x)
            return x * x

        @staticmethod
        def backward(context, grad):
            (x,) = context.saved
            return (2 * x * grad,)

    y = Square.apply(x)

``forward`` sees arrays where ``apply`` was given tensors, and returns an array or a tuple of arrays (None allowed).
``backward`` gets one gradient for each output (None where none arrived) and returns one for each positional input of
``apply``, None where there is nothing to pass on. Keyword arguments are options without gradient.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfm_core.autograd.tensor import Tensor, array_of, recording
from fastfm_core.backends import Backend
from fastfm_core.errors import InputError


class Context:
    """What forward leaves for backward: saved values, the backend, the input tensors and which of them need a gradient."""

    def __init__(self, backend: Backend, inputs: tuple[Any, ...]) -> None:
        self.backend = backend
        self.inputs = inputs
        self.needs = tuple(isinstance(x, Tensor) and x.requires_grad for x in inputs)
        self.saved: tuple[Any, ...] = ()

    def save(self, *values: Any) -> None:
        """Keep values for backward."""
        self.saved = values


class Node:
    """One application of a function: its context and how many outputs it has."""

    __slots__ = ("context", "function", "outputs")

    def __init__(self, function: type[Function], context: Context, outputs: int) -> None:
        self.function = function
        self.context = context
        self.outputs = outputs

    def parents(self) -> list[tuple[int, Tensor]]:
        """(position, tensor) of the inputs that need a gradient."""
        return [(i, self.context.inputs[i]) for i, needed in enumerate(self.context.needs) if needed]


class Function:
    """Base of every differentiable operation."""

    @staticmethod
    def forward(context: Context, *inputs: Any, **options: Any) -> Any:
        """Arrays in, arrays out."""
        raise NotImplementedError

    @staticmethod
    def backward(context: Context, *grads: Any) -> tuple[Any, ...]:
        """Gradients of the outputs in, gradients of the inputs out."""
        raise NotImplementedError

    @classmethod
    def apply(cls, *inputs: Any, **options: Any) -> Any:
        """Run forward and, where a gradient is asked for, record it; returns a Tensor or a tuple of them."""
        context = Context(_backend_of(cls, inputs), inputs)
        result = cls.forward(context, *map(array_of, inputs), **options)
        arrays = result if isinstance(result, tuple) else (result,)
        node = Node(cls, context, len(arrays)) if recording() and any(context.needs) else None
        outputs = tuple(_output(array, context.backend, node, index) for index, array in enumerate(arrays))
        return outputs if isinstance(result, tuple) else outputs[0]


def _output(array: np.ndarray | None, backend: Backend, node: Node | None, index: int) -> Tensor | None:
    if array is None:
        return None
    tensor = Tensor(array, backend, requires_grad=node is not None)
    tensor.node, tensor.index = node, index
    return tensor


def _backend_of(function: type[Function], inputs: tuple[Any, ...]) -> Backend:
    backends = {x.backend.name: x.backend for x in inputs if isinstance(x, Tensor)}
    if len(backends) != 1:
        found = " and ".join(sorted(backends)) or "no tensor"
        raise InputError(f"{function.__name__} needs tensors of one backend, got {found}")
    return next(iter(backends.values()))
