"""Function: one differentiable operation, and the context that an application of it leaves on the tape.

``forward(context, *inputs, **options)`` sees arrays where ``apply`` was given tensors, keeps what backward will want in
``context.saved`` and returns an array or a tuple of arrays (None allowed). ``backward(context, *grads)`` gets one
gradient for each output (None where none arrived) and returns one for each positional input (None where there is none).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastfm_core.autograd.tensor import Tensor, recording
from fastfm_core.errors import InputError, StaleGradient


class Context:
    """One application of a function: a node of the tape."""

    def __init__(self, function: type[Function], inputs: tuple[Any, ...], options: dict[str, Any]) -> None:
        self.tensors = [x for x in inputs if isinstance(x, Tensor)]
        names = sorted({x.backend.name for x in self.tensors})
        if len(names) != 1:
            raise InputError(f"{function.__name__} needs tensors of one backend, got {' and '.join(names) or 'none'}")
        self.function = function
        self.inputs: tuple[Any, ...] = inputs
        self.options = options
        self.backend = self.tensors[0].backend
        self.needs = [isinstance(x, Tensor) and x.requires_grad for x in inputs]
        self.versions = [x.version for x in self.tensors]
        self.saved: tuple[Any, ...] = ()
        self.outputs = 1

    def backward(self, grads: list[Any]) -> list[tuple[Tensor, Any]]:
        """Each input that needs a gradient, with it. Frees inputs and saved arrays, so a node is walked once."""
        if not self.inputs:
            raise InputError(f"the tape of {self.function.__name__} was walked already; run forward again")
        if self.versions != [x.version for x in self.tensors]:
            raise StaleGradient(f"an input of {self.function.__name__} changed after forward; run forward again")
        passed = zip(self.inputs, self.function.backward(self, *grads), self.needs, strict=True)
        arrivals = [(tensor, grad) for tensor, grad, needed in passed if needed]
        self.inputs, self.tensors, self.saved, self.options = (), [], (), {}
        return arrivals


class Function:
    """Base of every differentiable operation: static methods ``forward`` and ``backward``, see above."""

    forward: Callable[..., Any]
    backward: Callable[..., tuple[Any, ...]]

    @classmethod
    def apply(cls, *inputs: Any, **options: Any) -> Any:
        """Run forward and, where a gradient is asked for, record it; returns a Tensor or a tuple of them."""
        context = Context(cls, inputs, options)
        result = cls.forward(context, *[x.data if isinstance(x, Tensor) else x for x in inputs], **options)
        arrays = result if isinstance(result, tuple) else (result,)
        context.outputs = len(arrays)
        recorded = recording() and True in context.needs
        outputs = [x if x is None else Tensor(x, context.backend, requires_grad=recorded) for x in arrays]
        for index, tensor in enumerate(outputs):
            if tensor is not None and recorded:
                tensor.node, tensor.index = context, index
        return tuple(outputs) if isinstance(result, tuple) else outputs[0]
