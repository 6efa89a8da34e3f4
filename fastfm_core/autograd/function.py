"""Function: one differentiable operation, and the context that an application of it leaves on the tape.

``forward(context, *inputs, **options)`` sees arrays where ``apply`` was given tensors, keeps what backward will want in
``context.saved`` and returns an array or a tuple of arrays (None allowed). ``backward(context, *grads)`` gets one
gradient for each output (None where none arrived) and returns one for each positional input (None where there is none).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastfm_core.autograd.tensor import Tensor, recording
from fastfm_core.errors import InputError


class Context:
    """One application of a function: a node of the tape."""

    def __init__(self, function: type[Function], inputs: tuple[Any, ...]) -> None:
        backends = {x.backend.name: x.backend for x in inputs if isinstance(x, Tensor)}
        if len(backends) != 1:
            found = " and ".join(sorted(backends)) or "no tensor"
            raise InputError(f"{function.__name__} needs tensors of one backend, got {found}")
        self.function = function
        self.inputs = inputs
        self.backend = next(iter(backends.values()))
        self.needs = [isinstance(x, Tensor) and x.requires_grad for x in inputs]
        self.saved: tuple[Any, ...] = ()
        self.outputs = 1

    def parents(self) -> list[tuple[int, Tensor]]:
        """(position, tensor) of the inputs that need a gradient."""
        return [(i, self.inputs[i]) for i, needed in enumerate(self.needs) if needed]


class Function:
    """Base of every differentiable operation: static methods ``forward`` and ``backward``, see above."""

    forward: Callable[..., Any]
    backward: Callable[..., tuple[Any, ...]]

    @classmethod
    def apply(cls, *inputs: Any, **options: Any) -> Any:
        """Run forward and, where a gradient is asked for, record it; returns a Tensor or a tuple of them."""
        context = Context(cls, inputs)
        result = cls.forward(context, *(x.data if isinstance(x, Tensor) else x for x in inputs), **options)
        arrays = result if isinstance(result, tuple) else (result,)
        context.outputs = len(arrays)
        recorded = recording() and any(context.needs)
        outputs = tuple(x if x is None else Tensor(x, context.backend, requires_grad=recorded) for x in arrays)
        for index, tensor in enumerate(outputs):
            if tensor is not None and recorded:
                tensor.node, tensor.index = context, index
        return outputs if isinstance(result, tuple) else outputs[0]
