"""The optimizers' rules on whole arrays, written from their papers in NumPy: what every path is compared with."""

from __future__ import annotations

from typing import Any

import numpy as np


class Rule:
    """One parameter: its weights, its state and how a gradient moves both; ``rows`` restricts the move to some rows."""

    def __init__(self, weights: np.ndarray) -> None:
        self.weights = weights.copy()
        self.first, self.second = np.zeros_like(weights), np.zeros_like(weights)
        self.steps = 0

    def step(self, gradient: np.ndarray, lr: float, rows: Any = slice(None)) -> None:
        """w, state <- the rule, on the given rows; the step is counted in any case."""
        self.steps += 1
        w, g = self.weights[rows], gradient[rows]
        move, self.first[rows], self.second[rows] = self.move(g, self.first[rows], self.second[rows])
        self.weights[rows] = w - lr * move

    def move(self, g: np.ndarray, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(step per unit of lr, new first state, new second state)."""
        raise NotImplementedError


class SGD(Rule):
    """w -= lr g."""

    def move(self, g: np.ndarray, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return g, first, second


class Adagrad(Rule):
    """a += g^2;  w -= lr g / (sqrt(a) + 1e-10)."""

    def move(self, g: np.ndarray, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        first = first + g**2
        return g / (np.sqrt(first) + 1e-10), first, second


class RowWiseAdagrad(Rule):
    """a += mean of g^2 over a row;  w -= lr g / (sqrt(a) + 1e-10). The elements of a vector are rows."""

    def move(self, g: np.ndarray, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        squares = g**2 if g.ndim == 1 else np.repeat((g**2).mean(axis=1, keepdims=True), g.shape[1], axis=1)
        first = first + squares
        return g / (np.sqrt(first) + 1e-10), first, second


class Adam(Rule):
    """m and v decay; w -= lr mhat / (sqrt(vhat) + 1e-8)."""

    def move(self, g: np.ndarray, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        first = 0.9 * first + 0.1 * g
        second = 0.999 * second + 0.001 * g**2
        unbiased = first / (1 - 0.9**self.steps), second / (1 - 0.999**self.steps)
        return unbiased[0] / (np.sqrt(unbiased[1]) + 1e-8), first, second


class AdamW(Adam):
    """Adam beside a decay of the weights by lr 0.01."""

    def step(self, gradient: np.ndarray, lr: float, rows: Any = slice(None)) -> None:
        decay = lr * 0.01 * self.weights[rows]
        super().step(gradient, lr, rows)
        self.weights[rows] -= decay


class FTRL(Rule):
    """n += g^2;  sigma = 1/eta - 1/eta of the weight's step before;  z += g - sigma w;  w from z in closed form.

    Weights that do not start at 0 start with the z that belongs to them.
    """

    def __init__(self, weights: np.ndarray, l1: float = 0.0, ridge: float = 0.0) -> None:
        super().__init__(weights)
        self.l1, self.ridge = l1, ridge
        self.first = -l1 * np.sign(weights) - ridge * weights
        self.inverse_eta = np.zeros_like(weights)

    def step(self, gradient: np.ndarray, lr: float, rows: Any = slice(None)) -> None:
        self.steps += 1
        w, g, n = self.weights[rows], gradient[rows], self.second[rows] + gradient[rows] ** 2
        inverse = (1 + np.sqrt(n)) / lr
        z = self.first[rows] + g - (inverse - self.inverse_eta[rows]) * w
        self.first[rows], self.second[rows], self.inverse_eta[rows] = z, n, inverse
        self.weights[rows] = np.where(np.abs(z) <= self.l1, 0, -(z - np.sign(z) * self.l1) / (inverse + self.ridge))


RULES: dict[str, type[Rule]] = {
    "sgd": SGD, "adagrad": Adagrad, "rowwise_adagrad": RowWiseAdagrad, "adam": Adam, "adamw": AdamW, "ftrl": FTRL,
}  # fmt: skip
