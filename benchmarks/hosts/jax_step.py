"""A training step in JAX, jit-compiled with donation: rows trained in place by fastfm_jax, and autodiff through take.

    python -m benchmarks.hosts.jax_step [--models fm deepfm] [--rule adagrad] [--threads 2] [--rounds 9] [--json FILE]

W1: a million rows, 26 fields, D = 16, batches of 4,096, Zipf ids, 13 numbers; Adagrad or row-wise Adagrad on the rows,
Adam on the MLP (64-64) and the bias, by the same JAX code on every side. Sides take turns in one process, some steps a
turn.

    ours           embedding_fm, the gradient by its result, RowOptimizer.apply
    ours, dense    embedding_fm differentiated by the tables, then the rule on every row, in JAX
    take           autodiff through jnp.take: a dense gradient, the rule on every row (no gradient changes no row)
    take, sorted   the gradient by the taken rows, summed by unique and segment_sum, the rule on the distinct rows

Each with the first order as a table of its own and as the table's lane [V, D + 1], where row-wise it shares the row's
sum of squares; but the dense one of ours. All sides are checked before they are timed: those of a layout have the same
losses over the first steps.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import fastfm_core as ff
import fastfm_jax
from benchmarks.timing import ratios, spread
from fastfm_core.bench.machine import print_header, print_table, version, write_json
from fastfm_core.bench.timing import interleave
from fastfm_core.bench.workload import Workload, initial_layers, initial_rows, workload
from fastfm_jax import Looked

RATE, INITIAL, ADAM_RATE, HIDDEN = 0.05, 0.1, 1e-3, (64, 64)
AGREE = 1e-4  # of a loss, between sides
RULES = {"adagrad": fastfm_jax.adagrad, "rowwise_adagrad": fastfm_jax.rowwise_adagrad}
BASE = "take"


def loss_of(dense: Any, looked: Looked, labels: Any) -> Any:
    """Mean log-loss; dense has the bias and the MLP's (weight, bias) pairs."""
    logits = dense["bias"] + looked.first + looked.pair
    if dense["mlp"]:
        x = looked.deep
        for weight, bias in dense["mlp"][:-1]:
            x = jax.nn.relu(x @ weight + bias)
        weight, bias = dense["mlp"][-1]
        logits += (x @ weight + bias)[:, 0]
    return jnp.mean(jnp.maximum(logits, 0) - logits * labels + jnp.log1p(jnp.exp(-jnp.abs(logits))))


def adam(dense: Any, grads: Any, moments: Any, step: Any) -> tuple[Any, Any]:
    """Kingma and Ba, ICLR 2015."""
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, moments[0], grads)
    second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, moments[1], grads)

    def moved(w: Any, m: Any, v: Any) -> Any:
        return w - ADAM_RATE * (m / (1 - 0.9**step)) / (jnp.sqrt(v / (1 - 0.999**step)) + 1e-8)

    return jax.tree.map(moved, dense, first, second), (first, second)


def combined(rows: Any, first: Any, numbers: Any) -> Looked:
    """What embedding_fm returns, of rows [B, F, D] and first-order weights [B, F]."""
    total = rows.sum(1)
    pair = 0.5 * (total * total - (rows * rows).sum(1)).sum(1)
    return Looked(first.sum(1), pair, jnp.concatenate([rows.reshape(len(rows), -1), numbers], 1))


def taken(tables: tuple[Any, ...], ids: Any) -> tuple[Any, ...]:
    """Rows of every table."""
    return tuple(jnp.take(table, ids, axis=0) for table in tables)


def split(rows: tuple[Any, ...]) -> tuple[Any, Any]:
    """(vectors, first order) of taken rows, be they one array with a lane or two."""
    return rows if len(rows) == 2 else (rows[0][..., :-1], rows[0][..., -1])


def squares_of(g: Any, state: Any) -> Any:
    """Of each number, or, where the state has one number for each row, their mean in it."""
    return (g * g).mean(-1) if g.ndim > state.ndim else g * g


def step_of(g: Any, state: Any) -> Any:
    """What is taken from rows whose sums of squares are these."""
    factor = RATE / (jnp.sqrt(state) + 1e-10)
    return g * (factor[:, None] if g.ndim > state.ndim else factor)


def every_row(table: Any, state: Any, g: Any) -> tuple[Any, Any]:
    """The rule on all rows."""
    state = state + squares_of(g, state)
    return table - step_of(g, state), state


def distinct_rows(table: Any, state: Any, distinct: Any, place: Any, g: Any) -> tuple[Any, Any]:
    """The rule on the rows that occur."""
    g = jax.ops.segment_sum(g.reshape(len(place), *table.shape[1:]), place, num_segments=len(place))
    state = state.at[distinct].add(squares_of(g, state), mode="drop")
    summed = state.at[distinct].get(mode="fill", fill_value=1.0)
    return table.at[distinct].add(-step_of(g, summed), mode="drop"), state


def by_take(rule: str, tables: Any, states: Any, dense: Any, ids: Any, numbers: Any, labels: Any) -> Any:
    def loss(tables: Any, dense: Any) -> Any:
        return loss_of(dense, combined(*split(taken(tables, ids)), numbers), labels)

    value, (by_tables, by_dense) = jax.value_and_grad(loss, (0, 1))(tables, dense)
    pairs = [every_row(*each) for each in zip(tables, states, by_tables, strict=True)]
    return *(tuple(each) for each in zip(*pairs, strict=True)), by_dense, value


def by_sorting(rule: str, tables: Any, states: Any, dense: Any, ids: Any, numbers: Any, labels: Any) -> Any:
    def loss(rows: Any, dense: Any) -> Any:
        return loss_of(dense, combined(*split(rows), numbers), labels)

    value, (by_rows, by_dense) = jax.value_and_grad(loss, (0, 1))(taken(tables, ids), dense)
    flat = ids.reshape(-1)
    distinct, place = jnp.unique(flat, return_inverse=True, size=len(flat), fill_value=len(tables[0]))
    pairs = [
        distinct_rows(table, state, distinct, place.reshape(-1), g)
        for table, state, g in zip(tables, states, by_rows, strict=True)
    ]
    return *(tuple(each) for each in zip(*pairs, strict=True)), by_dense, value


def look_up(tables: Any, dense: Any, ids: Any, numbers: Any) -> tuple[Looked, Any]:
    """By our kernel; the FM asks for no concatenation."""
    deep = {"deep": True, "numbers": numbers} if dense["mlp"] else {}
    table, linear = tables if len(tables) == 2 else (tables[0], "lane")
    return fastfm_jax.embedding_fm(table, linear, ids, sums=True, check=False, **deep)


def by_ours(rule: str, tables: Any, states: Any, dense: Any, ids: Any, numbers: Any, labels: Any) -> Any:
    looked, sums = look_up(tables, dense, ids, numbers)
    value, (by_dense, by_looked) = jax.value_and_grad(loss_of, (0, 1))(dense, looked, labels)
    state = fastfm_jax.RowState(jnp.zeros((), jnp.int32), states)
    both = tables if len(tables) == 2 else tables[0]
    moved, state = RULES[rule](RATE).apply(both, state, ids, by_looked, sums, check=False)
    return (moved if len(tables) == 2 else (moved,)), state.arrays, by_dense, value


def by_ours_densely(rule: str, tables: Any, states: Any, dense: Any, ids: Any, numbers: Any, labels: Any) -> Any:
    def loss(tables: Any, dense: Any) -> Any:
        return loss_of(dense, look_up(tables, dense, ids, numbers)[0], labels)

    value, (by_tables, by_dense) = jax.value_and_grad(loss, (0, 1))(tables, dense)
    pairs = [every_row(*each) for each in zip(tables, states, by_tables, strict=True)]
    return *(tuple(each) for each in zip(*pairs, strict=True)), by_dense, value


SIDES: dict[str, tuple[Callable[..., Any], bool]] = {  # and whether the first order is a lane
    "ours": (by_ours, False),
    "ours, lane": (by_ours, True),
    "ours, dense": (by_ours_densely, False),
    BASE: (by_take, False),
    "take, lane": (by_take, True),
    "take, sorted": (by_sorting, False),
    "take, sorted, lane": (by_sorting, True),
}


class Trainer:
    """One side: its arrays, and its compiled step."""

    def __init__(self, side: str, rule: str, work: Workload, hidden: tuple[int, ...]) -> None:
        update, lane = SIDES[side]
        rows = initial_rows(work)
        parts = (rows,) if lane else (np.ascontiguousarray(rows[:, : work.dim]), rows[:, work.dim].copy())
        self.tables = tuple(jnp.array(part) for part in parts)
        self.states = RULES[rule](RATE, initial_accumulator=INITIAL).init(self.tables).arrays
        layers = initial_layers(work.widths(hidden)) if hidden else []
        self.dense = {"bias": jnp.zeros(()), "mlp": [(jnp.array(each), jnp.zeros(each.shape[1])) for each in layers]}
        self.moments = tuple(jax.tree.map(jnp.zeros_like, self.dense) for _ in range(2))
        self.steps = 0

        def step(tables: Any, states: Any, dense: Any, moments: Any, number: Any, batch: Any) -> Any:
            tables, states, grads, value = update(rule, tables, states, dense, *batch)
            return tables, states, *adam(dense, grads, moments, number), value

        self.step = jax.jit(step, donate_argnums=(0, 1, 2, 3))

    def __call__(self, batches: list[Any]) -> list[float]:
        losses = []
        for batch in batches:
            self.steps += 1
            found = self.step(self.tables, self.states, self.dense, self.moments, float(self.steps), batch)
            self.tables, self.states, self.dense, self.moments, value = found
            losses.append(float(value))
        return losses


def measure(model: str, rule: str, rounds: int, steps: int) -> dict[str, list[float]]:
    """Seconds a step by side and round."""
    work = workload("w1")
    log, count = work.log, len(work.log.labels) // work.batch
    cuts = [slice(k * work.batch, (k + 1) * work.batch) for k in range(count)]
    batches = [jax.device_put((log.ids[cut], log.numbers[cut], log.labels[cut])) for cut in cuts]
    trainers = {side: Trainer(side, rule, work, HIDDEN if model == "deepfm" else ()) for side in SIDES}
    losses = {side: trainer(batches[:5]) for side, trainer in trainers.items()}
    for side, found in losses.items():
        base = f"{BASE}, lane" if SIDES[side][1] else BASE
        if not np.allclose(found, losses[base], rtol=AGREE):
            sys.exit(f"{side} trains otherwise than {base}: losses {found}, {losses[base]}")

    def ready(side: str) -> Callable[[], Callable[[], Any]]:
        def make() -> Callable[[], Any]:
            trainer = trainers[side]
            chosen = [batches[(trainer.steps + k) % count] for k in range(steps)]
            trainer(chosen[:1])
            return lambda: trainer(chosen)

        return make

    taken = interleave({side: ready(side) for side in SIDES}, rounds, warm_up=1)
    return {side: [each / steps for each in seconds] for side, seconds in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=["fm", "deepfm"], default=["fm", "deepfm"])
    parser.add_argument("--rule", choices=list(RULES), default="adagrad")
    parser.add_argument("--threads", type=int, default=2, help="of our pool and of XLA's")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=5, help="of a turn")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    jax.config.update("jax_platforms", "cpu")
    if hasattr(os, "sched_setaffinity"):  # XLA's pool has a thread for each CPU that the process may use when it starts
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
    ff.set_num_threads(options.threads)
    turns = f"{options.rounds} rounds of {options.steps} steps"
    print_header(f"Training steps in JAX, {options.rule}, {options.threads} threads, {turns}")
    print(f"jax {jax.__version__}, jaxlib {version('jaxlib')}\n")
    rows, figures = [], {}
    for model in options.models:
        seconds = measure(model, options.rule, options.rounds, options.steps)
        for side, each in seconds.items():
            times = [spread(ratios(seconds[base], each)) for base in (BASE, "take, sorted")]
            rows.append([model, side, spread(each, 1e3), *times])
        figures[model] = seconds
    print_table(["model", "side", "ms a step", f"times as fast as {BASE}", "as take, sorted"], rows)
    write_json(options.json, figures)


if __name__ == "__main__":
    main()
