"""How an operator is registered, and where one is not needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_transform: Any = getattr(torch._C, "_functorch").peek_interpreter_stack  # noqa: B009
_PLAIN = (Tensor, torch.nn.Parameter)


def operator(name: str, function: Callable[..., Any], schema: str) -> Any:
    """The operator ``fastfm::name``, to be called, and to be given its fake and its autograd. It writes to nothing."""
    return torch.library.custom_op(f"fastfm::{name}", function, mutates_args=(), schema=schema)


def traced(*tensors: Tensor | None) -> bool:
    """Whether somebody but the machine sees this call: a compiler, a tracer, a transform, a tensor of another class.

    Then an operator is called; else its function, which saves the dispatch.
    """
    return (
        torch.compiler.is_compiling()
        or any(tensor is not None and type(tensor) not in _PLAIN for tensor in tensors)
        or torch._C._len_torch_dispatch_stack() > 0
        or _transform() is not None
    )
