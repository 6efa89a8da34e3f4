"""Each sparse kernel and a few dense ones against their floors: the least bytes that must move, at the copy's rate.

Rows count as 4 D bytes, another array's number at a random place as the 32 bytes that a read of it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import cupy
import numpy as np

from device_check.card import ROWS
from device_check.clock import Clock, normal, table
from fastfm_core.backends import cuda
from fastfm_core.contract import Entries, RowSource

SAMPLES, FIELDS, DIMS = 65_536, 26, (16, 64, 128)


class Work(NamedTuple):
    """One workload: a few batches of ids in one table, their plans, and gradients.

    share  of the ids that are distinct
    """

    ids: str
    dim: int
    share: float
    table: Any
    linear: Any
    batches: list[Entries]
    plans: list[Any]
    sources: list[RowSource]

    @property
    def counts(self) -> tuple[float, float, float]:
        """N, U and B."""
        entries = self.batches[0]
        return len(entries.ids), self.share * len(entries.ids), entries.samples


def works(emulated: bool) -> Iterator[Work]:
    """All-distinct and power-law ids at each dim."""
    samples, rows = (16, 1_000) if emulated else (SAMPLES, ROWS)
    draw = np.random.default_rng(0)
    for dim in DIMS[:1] if emulated else DIMS:
        weights = normal(rows, dim)
        for ids in ("distinct", "zipf"):
            batches = [Entries(_ids(ids, samples * FIELDS, rows, draw), FIELDS) for _ in range(1 if emulated else 3)]
            share = float(np.mean([len(np.unique(b.ids.get())) / len(b.ids) for b in batches]))
            grad = normal(samples)
            deep = normal(samples, FIELDS, dim)
            linear = cupy.zeros(rows, "float32")
            plans = [cuda.plan_rows(b.ids, rows) for b in batches]
            sums = [cuda.embedding_fm(weights, linear, b, None, deep=False).sums for b in batches]
            sources = [RowSource(FIELDS, pair_grad=grad, sums=of, slot_grad=deep) for of in sums]
            yield Work(ids, dim, share, weights, linear, batches, plans, sources)


def _ids(kind: str, count: int, rows: int, draw: np.random.Generator) -> Any:
    if kind == "distinct":
        return cupy.asarray(draw.permutation(rows)[:count].astype(np.int32))
    return cupy.asarray((draw.zipf(1.2, count) * 2_654_435_761 % rows).astype(np.int32))


def cases(work: Work) -> Iterator[tuple[str, float, list[Callable[[], Any]]]]:
    """(name, bytes of the floor, the work on each batch)."""
    dim, (n, u, b) = work.dim, work.counts
    weights, linear = work.table, work.linear
    read = 4 * n + u * (4 * dim + 32) + b * (4 * dim + 8)
    yield "forward", read, [lambda e=e: cuda.embedding_fm(weights, linear, e, None, deep=False) for e in work.batches]
    yield (
        "forward, vectors out",
        read + 4 * n * dim,
        [lambda e=e: cuda.embedding_fm(weights, linear, e, None, deep=True) for e in work.batches],
    )
    yield "plan", 12 * n, [lambda e=e: cuda.plan_rows(e.ids, len(weights)) for e in work.batches]
    pairs = list(zip(work.plans, work.sources, strict=True))
    gradient = n * (8 + 4 * dim) + b * (4 * dim + 4)
    accumulators, one, two = cupy.full(len(weights), 0.1, "float32"), cupy.ones_like(weights), cupy.ones_like(weights)
    yield (
        "backward, SGD",
        gradient + 8 * u * dim,
        [lambda p=p, s=s: cuda.update_rows_sgd_(weights, p, s, lr=1e-6) for p, s in pairs],
    )
    yield (
        "backward, row-wise Adagrad",
        gradient + u * (8 * dim + 64),
        [lambda p=p, s=s: cuda.update_rows_rowwise_adagrad_(weights, accumulators, p, s, lr=1e-6) for p, s in pairs],
    )
    yield (
        "backward, Adagrad",
        gradient + 16 * u * dim,
        [lambda p=p, s=s: cuda.update_rows_adagrad_(weights, one, p, s, lr=1e-6) for p, s in pairs],
    )
    yield (
        "backward, Adam",
        gradient + 24 * u * dim,
        [lambda p=p, s=s: cuda.update_rows_adam_(weights, one, two, p, s, lr=1e-6, step=3) for p, s in pairs],
    )
    yield (
        "backward, FTRL",
        gradient + 24 * u * dim,
        [lambda p=p, s=s: cuda.update_rows_ftrl_(weights, one, two, p, s, lr=1e-6) for p, s in pairs],
    )


def dense_cases(emulated: bool) -> Iterator[tuple[str, float, list[Callable[[], Any]]]]:
    """The MLP's kernels on [B, 400]."""
    shape = (64 if emulated else SAMPLES, 400)
    x, grad, bias = cupy.ones(shape, "float32"), cupy.ones(shape, "float32"), cupy.zeros(400, "float32")
    logits, labels = cupy.zeros(shape[0], "float32"), cupy.ones(shape[0], "float32")
    yield "bias + ReLU", 2 * x.nbytes, [lambda: cuda.bias_relu_dropout_(x, bias, 0.0, None)]
    yield "its backward", 3 * x.nbytes, [lambda: cuda.bias_relu_dropout_backward(grad, x, 0.0)]
    yield "BCE", 3 * logits.nbytes, [lambda: cuda.bce_with_logits(logits, labels, None)]


def measure(clock: Clock, ceilings: dict[str, float], peers: bool) -> list[dict[str, Any]]:
    """One line a kernel: time, floor, the share of the copy's rate; then what peers take for forward and backward."""
    lines: list[dict[str, Any]] = []

    def add(ids: str, dim: Any, share: Any, name: str, moved: float, time: float) -> None:
        floor = moved / ceilings["copy"]
        kept = {"ids": ids, "dim": dim, "distinct": share, "kernel": name, "us": time, "floor_us": floor}
        lines.append(kept | {"of_copy_rate": floor / time})

    others: list[dict[str, Any]] = []
    for work in works(clock.emulated):
        for name, moved, calls in cases(work):
            add(work.ids, work.dim, f"{work.share:.2f}", name, moved, clock.graph(calls))
        if peers:
            from device_check import peers as rivals

            others += rivals.lookups(clock, work)
    for name, moved, calls in dense_cases(clock.emulated):
        add("", "", "", name, moved, clock.graph(calls))
    rows = [[*list(line.values())[:6], f"{line['of_copy_rate']:.0%}"] for line in lines]
    table("Kernels", ("ids", "D", "distinct share", "kernel", "us", "floor us", "of the copy rate"), rows)
    if others:
        table("Peers", tuple(others[0]), [list(line.values()) for line in others])
    return lines + others
