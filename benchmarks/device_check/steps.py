"""The whole DeepFM training step, ours beside the sum of its floors and torch, and whether ten runs are equal.

B = 65,536 samples of 26 power-law fields and 13 numbers, D = 16, hidden layers 400-400-400, a table of 2.6 M rows.
"""

from __future__ import annotations

import hashlib
import itertools
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np

from device_check.card import precision
from device_check.clock import Clock, table
from fastfm_core import backends, models, ops, optim, train
from fastfm_core.backends.cuda.graph import Graph
from fastfm_core.contract import Batch, Entries

FIELDS, NUMBERS, DIM, HIDDEN = 26, 13, 16, (400, 400, 400)
RULES = {
    "Adam, rows of the batch": ("adam", "lazy"),
    "Adam, exact": ("adam", "exact"),
    "row-wise Adagrad": ("rowwise_adagrad", "lazy"),
}


def batches(samples: int, rows: int, count: int) -> list[Batch]:
    """Batches on the device, fields in row ranges of equal length."""
    draw, each = np.random.default_rng(0), rows // FIELDS
    made = []
    for _ in range(count):
        ids = (draw.random((samples, FIELDS)) ** 3 * each).astype(np.int32) + np.arange(FIELDS, dtype=np.int32) * each
        numbers = draw.standard_normal((samples, NUMBERS)).astype(np.float32)
        labels = (draw.random(samples) < 0.3).astype(np.float32)
        made.append(backends.get("cuda").to_device(Batch(Entries(ids.reshape(-1), FIELDS), numbers, labels)))
    return made


def ours(rows: int, rule: str, kept: str) -> tuple[Any, Any]:
    """A fresh model and its optimizer."""
    options = {"dim": DIM, "hidden": HIDDEN, "dropout": 0.0, "seed": 0}
    model = models.build("deepfm", rows=rows, fields=FIELDS, dense=NUMBERS, backend=backends.get("cuda"), **options)
    return model, optim.build(rule, model, lr=1e-3, rows=kept)


def digest(rows: int, data: list[Batch]) -> str:
    """Of the weights after three steps from the same start."""
    model, optimizer = ours(rows, "adam", "exact")
    for step, batch in enumerate(data[:3], 1):
        train.train_step(model, optimizer, batch, step=step)
    state = model.state_dict()
    return hashlib.sha256(b"".join(state[name].tobytes() for name in sorted(state))).hexdigest()


def measure(clock: Clock, ceilings: dict[str, float], peers: bool) -> list[dict[str, Any]]:
    """Milliseconds of a step by rule and precision of the products, and the ratio to the floors and to torch's best."""
    samples, rows = (16, 260) if clock.emulated else (65_536, 2_600_000)
    data = batches(samples, rows, 1 if clock.emulated else 3)
    equal = len({digest(rows, data) for _ in range(2 if clock.emulated else 10)}) == 1
    print(f"runs of three steps with the same bits: {'all' if equal else 'NOT ALL'}", flush=True)
    lines: list[dict[str, Any]] = [{"equal_runs": equal}]
    for kind in ("float32",) if clock.emulated else ("float32", "tf32"):
        for name, (rule, kept) in RULES.items():
            model, optimizer = ours(rows, rule, kept)
            with precision(kind) if not clock.emulated else nullcontext():
                spent = _host_time(
                    lambda d=data, m=model, o=optimizer: _steps(m, o, d), len(data), 1 if clock.emulated else 7
                )
            floor = _floors(samples, rows, data, ceilings, kind)
            lines.append({"products": kind, "who": "ours", "rule": name, "ms": spent, "floors_ms": floor})
            if kept == "lazy" and not clock.emulated:
                with precision(kind):
                    replayed = _host_time(Captured(*ours(rows, rule, kept), data[0]).steps(data), len(data), 7)
                lines.append(lines[-1] | {"who": "ours, captured", "ms": replayed})
        if peers:
            from device_check import torch_step

            lines += torch_step.measure(rows, data, kind)
    shown = [[line.get(key, "") for key in ("products", "who", "rule", "ms", "floors_ms")] for line in lines[1:]]
    table("DeepFM steps", ("products", "who", "optimizer", "ms", "sum of floors, ms"), shown)
    return lines


class Captured:
    """A whole step, forward to update, as one CUDA graph over the arrays of one batch; the others are copied there."""

    def __init__(self, model: Any, optimizer: Any, batch: Batch) -> None:
        xp = model.backend.xp
        optimizer.lr, optimizer.steps = xp.full(1, 1e-3), xp.zeros(1, "int64")  # the step counts itself at each replay
        entries = batch.entries._replace(ids=batch.entries.ids.copy())
        self.batch = batch._replace(entries=entries, dense=batch.dense.copy(), labels=batch.labels.copy())

        def work() -> Any:
            optimizer.zero_grad()
            loss = ops.bce_with_logits(model(self.batch), self.batch.labels)
            loss.backward()
            optimizer.step()
            return loss.data

        self.graph = Graph(work)

    def steps(self, data: list[Batch]) -> Callable[[], None]:
        """Replays on each batch, reading the loss."""

        def run() -> None:
            for batch in data:
                self.batch.entries.ids[...] = batch.entries.ids
                self.batch.dense[...] = batch.dense
                self.batch.labels[...] = batch.labels
                self.graph.replay()
                self.graph.outputs.item()

        return run


def _steps(model: Any, optimizer: Any, data: list[Batch]) -> None:
    for step, batch in enumerate(data, 1):
        train.train_step(model, optimizer, batch, step=step)


def _host_time(work: Callable[[], Any], count: int, rounds: int) -> float:
    """Median milliseconds of one of ``count`` steps; a step reads its loss, so the host's clock sees the device's."""
    work()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) / count * 1e3)
    return statistics.median(times)


def _floors(samples: int, rows: int, data: list[Batch], ceilings: dict[str, float], kind: str) -> float:
    """Milliseconds: bytes of lookup, plan, backward with row-wise Adagrad and activations; the products as measured."""
    n, u = samples * FIELDS, float(np.mean([len(np.unique(batch.entries.ids.get())) for batch in data]))
    sparse = 4 * n + u * (4 * DIM + 32) + 8 * n * DIM + 12 * n + n * (8 + 4 * DIM) + u * (8 * DIM + 64)
    activations = 4 * samples * sum(HIDDEN) * 5
    widths = (FIELDS * DIM + NUMBERS, *HIDDEN, 1)
    products = 6.0 * samples * sum(a * b for a, b in itertools.pairwise(widths))
    rate = ceilings.get(f"products_{kind}", 1.0)
    return ((sparse + activations) / ceilings["copy"] + products / rate) / 1e3
