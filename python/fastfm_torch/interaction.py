"""FM interactions of given field vectors as operators: all pairs summed, or kept per dim (bi-interaction)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from fastfm_core.errors import InputError
from fastfm_torch import arrays
from fastfm_torch.define import operator


def fm_interaction(fields: Tensor) -> Tensor:
    """e [B, F, D] -> 1/2 sum_d ((sum_f e_fd)^2 - sum_f e_fd^2), [B]."""
    return _fm(fields)


def bi_interaction(fields: Tensor) -> Tensor:
    """e [B, F, D] -> 1/2 ((sum_f e_f)^2 - sum_f e_f^2), [B, D]."""
    return _bi(fields)


def _interaction(name: str, shape: Callable[[Tensor], Any]) -> Any:
    """The kernel ``name`` and its backward pass as operators; halves are computed with in float32."""

    def forward(fields: Tensor) -> Tensor:
        if fields.dim() != 3:
            raise InputError(f"{name} takes vectors [B, F, D], got {list(fields.shape)}")
        return _call(name, fields)

    def backward(grad: Tensor, fields: Tensor) -> Tensor:
        return _call(f"{name}_backward", fields, grad)

    def formula(ctx: Any, grad: Tensor) -> Tensor:
        (fields,) = ctx.saved_tensors
        return backward_operator(grad, fields)

    made = operator(name, forward, "(Tensor fields) -> Tensor")
    backward_operator = operator(f"{name}_backward", backward, "(Tensor grad, Tensor fields) -> Tensor")
    made.register_fake(lambda fields: fields.new_empty(shape(fields)))
    backward_operator.register_fake(lambda grad, fields: fields.new_empty(fields.shape))
    made.register_autograd(formula, setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs))
    return made


def _call(kernel: str, fields: Tensor, grad: Tensor | None = None) -> Tensor:
    with arrays.queued(fields):
        given = [tensor for tensor in (grad, fields) if tensor is not None]
        own = [arrays.array_of(t.to(arrays.computed(fields.dtype)).contiguous()) for t in given]
        made = getattr(arrays.kernels_for(fields), kernel)(*own)
        return arrays.tensor_of(made).to(fields.dtype)


_fm = _interaction("fm_interaction", lambda fields: fields.shape[:1])
_bi = _interaction("bi_interaction", lambda fields: (fields.shape[0], fields.shape[2]))
