"""DeepFM in JAX, its tables trained in place by fastfm_jax: the library's own loss curve on the bundled data.

    python python/examples/curve.py FOLDER && python python/examples/deepfm_jax.py FOLDER

The model, the rule and the tolerance are in curve.py. The step is jit-compiled; tables, their state and the dense
parameters are donated, so nothing is copied.
"""

from __future__ import annotations

import argparse
import functools
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

import curve
import fastfm_jax
from fastfm_jax import Looked

OPTIMIZER = fastfm_jax.adagrad(curve.LR, initial_accumulator=curve.INITIAL)


def loss_of(looked: Looked, dense: dict[str, Any], labels: Any) -> Any:
    """Mean binary cross-entropy of DeepFM behind a lookup."""
    hidden = jax.nn.relu(looked.deep @ dense["weight1"] + dense["bias1"])
    logits = looked.first + looked.pair + hidden @ dense["weight2"] + dense["bias2"] + dense["bias"]
    return jnp.mean(jax.nn.softplus(logits) - labels * logits)


def adagrad(weight: Any, state: Any, gradient: Any) -> tuple[Any, Any]:
    """The same rule for a dense parameter; optax.adagrad puts its eps elsewhere."""
    state = state + gradient**2
    return weight - curve.LR * gradient / (jnp.sqrt(state) + 1e-10), state


@functools.partial(jax.jit, donate_argnums=(0, 1, 2, 3))
def train_step(tables: Any, rows_state: Any, dense: Any, dense_state: Any, ids: Any, labels: Any) -> Any:
    """One step: all that changes, and the loss before it."""
    looked, sums = fastfm_jax.embedding_fm(*tables, ids, deep=True, sums=True)
    loss, (by_looked, by_dense) = jax.value_and_grad(loss_of, (0, 1))(looked, dense, labels)
    tables, rows_state = OPTIMIZER.apply(tables, rows_state, ids, by_looked, sums)
    moved = {name: adagrad(dense[name], dense_state[name], by_dense[name]) for name in dense}
    dense, dense_state = ({name: pair[k] for name, pair in moved.items()} for k in range(2))
    return tables, rows_state, dense, dense_state, loss


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="DeepFM in JAX against the library's curve")
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    given = curve.read(folder)
    tables = jnp.array(given["table"]), jnp.array(given["linear"])
    rows_state = OPTIMIZER.init(tables)
    dense = {name: jnp.array(given[name]) for name in curve.WEIGHTS}
    dense_state = jax.tree.map(lambda weight: jnp.full_like(weight, curve.INITIAL), dense)
    losses = []
    for ids, labels in zip(given["ids"], given["labels"], strict=True):
        state = tables, rows_state, dense, dense_state
        tables, rows_state, dense, dense_state, loss = train_step(*state, ids, labels)
        losses.append(float(loss))
    return curve.show(losses, folder)


if __name__ == "__main__":
    sys.exit(main())
