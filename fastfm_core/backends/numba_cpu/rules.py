"""The optimizers' rules on vectors in registers, shared by updates and by the steps that rows catch up with.

``like`` is a pointer of the numbers' type. Formulas: the contract.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfm_core.backends.numba_cpu.vector import fill, root
from fastfm_core.compilation import helper


@helper
def sgd(like: Any, weight: Any, gradient: Any, lr: Any) -> Any:
    return weight - fill(like, lr) * gradient


@helper
def adagrad(like: Any, weight: Any, summed: Any, gradient: Any, lr: Any, eps: Any) -> Any:
    summed = summed + gradient * gradient
    return weight - fill(like, lr) * gradient / (root(summed) + fill(like, eps)), summed


@helper
def adam(
    like: Any, weight: Any, mean: Any, square: Any, gradient: Any,
    rate: Any, correction: Any, kept: Any, beta1: Any, beta2: Any, eps: Any,
) -> Any:  # fmt: skip
    mean = mean * fill(like, beta1) + gradient * fill(like, 1.0 - beta1)
    square = square * fill(like, beta2) + gradient * gradient * fill(like, 1.0 - beta2)
    step = fill(like, rate) * mean / (root(square) * fill(like, correction) + fill(like, eps))
    return weight * fill(like, kept) - step, mean, square


@helper
def ftrl(weight: Any, dual: Any, summed: Any, gradient: Any, lr: Any, beta: Any, l1: Any, ridge: Any) -> Any:
    """One number's; all are of one type."""
    summed = summed + gradient * gradient
    slope = (beta + np.sqrt(summed)) / lr
    if weight > 0:
        dual = -l1 - ridge * weight
    elif weight < 0:
        dual = l1 - ridge * weight
    dual = dual + gradient - slope * weight
    if dual > l1:
        weight = (l1 - dual) / (slope + ridge)
    elif dual < -l1:
        weight = (-l1 - dual) / (slope + ridge)
    else:
        weight = l1 - l1
    return weight, dual, summed
