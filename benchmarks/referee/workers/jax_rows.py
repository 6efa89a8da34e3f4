"""JAX, jit-compiled: take, FM and MLP; Adagrad on the rows by hand, in buffers that are donated; Adam likewise.

Settings: "sorted" sums the gradients of each distinct row (unique, segment_sum) and updates those alone; "scatter"
adds all gradients into a table of zeros and updates every row, where no gradient means no change: the same, dense.
"""

from __future__ import annotations

import functools
import os
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.referee.problem import ADAM_RATE, RATE, Problem
from benchmarks.referee.worker import main


def logits_of(rest: Any, rows: Any, numbers: Any) -> Any:
    """[B] from rows [B, F, D + 1]; rest holds the bias and the MLP's (weight, bias) pairs."""
    e = rows[..., :-1]
    total = e.sum(1)
    logits = rest["bias"] + rows[..., -1].sum(1) + 0.5 * (total * total - (e * e).sum(1)).sum(1)
    if rest["mlp"]:
        x = jnp.concatenate([e.reshape(len(e), -1), numbers], 1)
        for weight, bias in rest["mlp"][:-1]:
            x = jax.nn.relu(x @ weight + bias)
        weight, bias = rest["mlp"][-1]
        logits += (x @ weight + bias)[:, 0]
    return logits


def loss_of(rest: Any, rows: Any, numbers: Any, labels: Any) -> Any:
    """Mean log-loss."""
    z = logits_of(rest, rows, numbers)
    return jnp.mean(jnp.maximum(z, 0) - z * labels + jnp.log1p(jnp.exp(-jnp.abs(z))))


def adam(weights: Any, gradient: Any, moments: Any, step: Any) -> tuple[Any, Any]:
    """Kingma and Ba, ICLR 2015."""
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, moments[0], gradient)
    second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, moments[1], gradient)

    def moved(w: Any, m: Any, v: Any) -> Any:
        return w - ADAM_RATE * (m / (1 - 0.9**step)) / (jnp.sqrt(v / (1 - 0.999**step)) + 1e-8)

    return jax.tree.map(moved, weights, first, second), (first, second)


def adagrad_sorted(table: Any, state: Any, ids: Any, gradient: Any) -> tuple[Any, Any]:
    """Adagrad on the distinct rows."""
    flat, size = ids.reshape(-1), len(table)
    distinct, place = jnp.unique(flat, return_inverse=True, size=len(flat), fill_value=size)
    summed = jax.ops.segment_sum(gradient.reshape(len(flat), -1), place.reshape(-1), num_segments=len(flat))
    state = state.at[distinct].add(summed * summed, mode="drop")
    divisor = jnp.sqrt(state.at[distinct].get(mode="fill", fill_value=1.0)) + 1e-10
    return table.at[distinct].add(-RATE * summed / divisor, mode="drop"), state


def adagrad_scatter(table: Any, state: Any, ids: Any, gradient: Any) -> tuple[Any, Any]:
    """Adagrad on all rows."""
    summed = jnp.zeros_like(table).at[ids].add(gradient)
    state = state + summed * summed
    return table - RATE * summed / (jnp.sqrt(state) + 1e-10), state


@functools.partial(jax.jit, static_argnames=("settings",), donate_argnums=(0, 1, 2, 3))
def train(
    table: Any, state: Any, rest: Any, moments: Any, step: Any, ids: Any, numbers: Any, labels: Any, settings: str
) -> Any:
    """One step; the arrays' new contents and the loss."""
    loss, (of_rest, of_rows) = jax.value_and_grad(loss_of, (0, 1))(rest, table[ids], numbers, labels)
    update = adagrad_sorted if settings == "sorted" else adagrad_scatter
    table, state = update(table, state, ids, of_rows)
    rest, moments = adam(rest, of_rest, moments, step)
    return table, state, rest, moments, loss


@jax.jit
def score(table: Any, rest: Any, ids: Any, numbers: Any) -> Any:
    """Logits [B]."""
    return logits_of(rest, jnp.take(table, ids, axis=0, mode="clip"), numbers)


class Model:
    """Weights, and the batches, on the device that the CPU is."""

    def __init__(self, problem: Problem, settings: str, given: bool) -> None:
        self.problem, self.settings = problem, settings
        self.table = jnp.asarray(problem.rows)
        layers = [(jnp.asarray(weight), jnp.zeros(weight.shape[1])) for weight in problem.layers]
        self.rest = {"bias": jnp.zeros(()), "mlp": layers}
        self.made = [jax.device_put(self._gathered(n)) for n in range(problem.batches)] if given else None

    def _gathered(self, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        samples = self.problem.samples(number)
        return self.problem.ids[samples], self.problem.numbers[samples], self.problem.labels[samples]

    def batch(self, number: int) -> Any:
        """ids, numbers, labels."""
        return self.made[number % len(self.made)] if self.made else self._gathered(number)


class Step(Model):
    """A training step."""

    def __init__(self, problem: Problem, settings: str, given: bool) -> None:
        super().__init__(problem, settings, given)
        self.state = jnp.full_like(self.table, problem.accumulator)
        self.moments = tuple(jax.tree.map(jnp.zeros_like, self.rest) for _ in range(2))
        self.steps = 0

    def __call__(self, number: int) -> float:
        self.steps += 1
        arrays = self.table, self.state, self.rest, self.moments
        found = train(*arrays, float(self.steps), *self.batch(number), settings=self.settings)
        self.table, self.state, self.rest, self.moments, loss = found
        return float(loss)

    def rows(self, ids: np.ndarray) -> np.ndarray:
        """[k, D + 1]."""
        return np.asarray(self.table[ids])

    def logits(self, samples: np.ndarray) -> np.ndarray:
        """Of the trained model."""
        return np.asarray(score(self.table, self.rest, self.problem.ids[samples], self.problem.numbers[samples]))


class Score(Model):
    """Logits of batches that are given."""

    def __call__(self, number: int) -> Any:
        ids, numbers, _ = self.batch(number)
        return score(self.table, self.rest, ids, numbers).block_until_ready()


def build(problem: Problem, kind: str, settings: str) -> Any:
    """Every kind; the settings differ in training alone."""
    if kind in ("kernel", "score"):
        return Score(problem, settings, given=True) if settings == "sorted" else None
    return Step(problem, settings, given=kind == "update")


if __name__ == "__main__":
    main(build)
