"""What stands in ``.grad`` of a table that is moved in the backward pass, and what such a table refuses.

It has the table's shape and no memory. Whoever computes with it, such as gradient clipping or a GradScaler, finds one
line that names what does not go together; setting it to zero, or dropping it, is nothing.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fastfm_core.errors import InputError

_USERS = (
    ("unscale", "GradScaler"), ("_amp_", "GradScaler"), ("norm", "gradient clipping (clip_grad_norm_)"),
    ("clamp", "gradient clipping (clip_grad_value_)"), ("mul", "gradient clipping (clip_grad_norm_)"),
    ("add", "a second gradient of the same table"),
)  # fmt: skip
_NOTHING = ("detach", "zero_", "requires_grad", "_foreach_zero")


class MovedInBackward(torch.Tensor):
    """The gradient that nobody can have: the rows were moved by it, or will be in ``step``."""

    @staticmethod
    def __new__(cls, parameter: Tensor) -> MovedInBackward:
        return torch.Tensor._make_wrapper_subclass(
            cls, parameter.shape, dtype=parameter.dtype, device=parameter.device, requires_grad=False
        )

    def __init__(self, parameter: Tensor) -> None:
        pass

    def __repr__(self, **_: Any) -> str:
        return f"MovedInBackward({list(self.shape)})"

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function.overloadpacket.__name__
        if any(word in name for word in _NOTHING):
            return args[0] if "detach" in name else None if name.startswith("_foreach") else args[0]
        user = next((known for word, known in _USERS if word in name), name)
        raise InputError(
            f"in_backward=True has no gradient to give to {user}: rows move in the backward pass; "
            "use in_backward=False with sparse=True for it"
        )


def refuse_scaler(optimizer: Any) -> None:
    """InputError where a GradScaler has taken the step."""
    if getattr(optimizer, "grad_scale", None) is not None or hasattr(optimizer, "found_inf"):
        raise InputError(
            "in_backward=True cannot be used with a GradScaler: rows would move by scaled gradients; "
            "use bfloat16 autocast, which needs none, or in_backward=False"
        )


def refuse_ranks() -> None:
    """InputError where there are several ranks, whose tables would part."""
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1:
        raise InputError(
            "in_backward=True moves rows before DistributedDataParallel can exchange their gradients; "
            "use in_backward=False on several ranks"
        )
