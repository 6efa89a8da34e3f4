"""gradcheck: the tape's derivative along random directions against central differences, in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastfm_core.autograd.engine import backward
from fastfm_core.autograd.row_gradient import RowGradient
from fastfm_core.autograd.tensor import Tensor


def gradcheck(
    function: Callable[..., Any], inputs: list[Tensor], *, seed: int = 0, step: float = 1e-6, tolerance: float = 1e-6
) -> None:
    """Raise AssertionError unless the derivative of a random projection of ``function(*inputs)`` is right.

    inputs     float64 tensors; those that require a gradient are moved, each along a random direction u
    function   returns a Tensor or a tuple of them; it must be smooth within ``step`` of the inputs (no kinks, no ties)
    tolerance  on |<gradient, u> - (f(x + step u) - f(x - step u)) / (2 step)|, relative to the larger of 1 and both
    """
    random = np.random.default_rng(seed)
    weights = [y.backend.to_device(random.standard_normal(y.data.shape)) for y in _outputs(function, inputs)]
    for tensor in inputs:
        tensor.grad = None
    backward(_outputs(function, inputs), weights)
    for position, tensor in enumerate(inputs):
        if not tensor.requires_grad:
            continue
        assert tensor.data.dtype == np.float64, "gradcheck needs float64: in float32 the difference is rounding noise"
        grad = tensor.grad.dense() if isinstance(tensor.grad, RowGradient) else tensor.grad
        direction = tensor.backend.to_device(random.standard_normal(tensor.data.shape))
        analytic = 0.0 if grad is None else float(np.vdot(grad, direction))
        origin, values = tensor.data.copy(), []
        for sign in (1, -1):
            tensor.data[...] = origin + sign * step * direction
            outputs = _outputs(function, inputs)
            values.append(sum(float(np.vdot(y.data, w)) for y, w in zip(outputs, weights, strict=True)))
        tensor.data[...] = origin
        numeric = (values[0] - values[1]) / (2 * step)
        error = abs(analytic - numeric) / max(1.0, abs(analytic), abs(numeric))
        assert error <= tolerance, f"input {position}: tape says {analytic:.9g}, differences say {numeric:.9g}"


def _outputs(function: Callable[..., Any], inputs: list[Tensor]) -> list[Tensor]:
    result = function(*inputs)
    return [y for y in (result if isinstance(result, tuple) else (result,)) if y is not None]
