"""Small functions that tests put on the tape."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfm_core.autograd import Context, Function


class Scale(Function):
    """factor * x."""

    @staticmethod
    def forward(context: Context, x: np.ndarray, *, factor: float = 2.0) -> np.ndarray:
        context.saved = (factor,)
        return factor * x

    @staticmethod
    def backward(context: Context, grad: np.ndarray) -> tuple[Any, ...]:
        return (context.saved[0] * grad,)


class Product(Function):
    """x * y."""

    @staticmethod
    def forward(context: Context, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        context.saved = x, y
        return x * y

    @staticmethod
    def backward(context: Context, grad: np.ndarray) -> tuple[Any, ...]:
        x, y = context.saved
        return grad * y, grad * x


class SquareAndCube(Function):
    """x^2, nothing, x^3: an operation of several outputs, one of them absent."""

    @staticmethod
    def forward(context: Context, x: np.ndarray) -> tuple[Any, ...]:
        context.saved = (x,)
        return x**2, None, x**3

    @staticmethod
    def backward(context: Context, by_square: Any, by_nothing: Any, by_cube: Any) -> tuple[Any, ...]:
        assert by_nothing is None
        (x,) = context.saved
        square = 0 if by_square is None else 2 * x * by_square
        cube = 0 if by_cube is None else 3 * x**2 * by_cube
        return (square + cube,)


class WrongSine(Function):
    """sin(x) with a derivative whose last element is 1 % too large."""

    @staticmethod
    def forward(context: Context, x: np.ndarray) -> np.ndarray:
        context.saved = (x,)
        return np.sin(x)

    @staticmethod
    def backward(context: Context, grad: np.ndarray) -> tuple[Any, ...]:
        slope = np.cos(context.saved[0])
        slope[-1] *= 1.01
        return (grad * slope,)
