"""Training steps of small models, with what the host has read of the device in each."""

from __future__ import annotations

from typing import Any

import cupy  # pyright: ignore[reportMissingImports]
import numpy as np

from fastfm_core import models, optim, train
from fastfm_core.backends import Backend
from fastfm_core.contract import Batch, Entries

READS: Any = getattr(cupy, "reads", {})  # nobody counts on a real device
SHAPE: dict[str, Any] = {"rows": 40, "fields": 4, "sides": ("user", "item", "", "user"), "seed": 3, "dim": 3}
SHAPE |= {"hidden": (6, 5), "init_std": 0.1}

OPTIONS = {"deepfm": {"dropout": 0.3, "batch_norm": True}, "nfm": {"pooling": "max", "product": "outer"}}
OPTIONS["fusion"] = {"branches": ("wide", "fm", "nfm", "ncf", "mlp"), "pairs": "user*item"}
USES = [np.array(fields, bool) for fields in ([1, 1, 1, 0], [1, 1, 0, 1], [0, 1, 1, 1])]
RANGES = np.arange(4) * 10, np.full(4, 10), np.array([0, 2, 0, 0])  # one field has a dim of its own


def batch(step: int, bags: bool = False) -> Batch:
    """Of 7 samples; ids are one a slot, or bags of up to three with values. A field has ten rows."""
    draw, slots = np.random.default_rng(step), np.arange(28)
    offsets = values = None
    if bags:
        sizes = draw.integers(0, 4, 28)
        slots, offsets = np.repeat(slots, sizes), np.concatenate([[0], np.cumsum(sizes)])
        values = draw.random(len(slots)).astype(np.float32)
    ids = slots % 4 * 10 + draw.integers(0, 10, len(slots))
    entries = Entries(ids, 4, offsets, values, "mean" if bags else "sum")
    numbers, labels = draw.random((7, 2)).astype(np.float32), draw.integers(0, 2, 7).astype(np.float32)
    return Batch(entries, numbers, labels, draw.random(7).astype(np.float32))


def trained(
    name: str, backend: Backend, rule: str = "adam", steps: int = 10, bags: bool = False, clip: float = 0.0,
    rows: str = "exact", **options: Any,
) -> tuple[Any, Any, list[float], list[dict[str, int]]]:  # fmt: skip
    """A model, its optimizer, the losses of its steps and what was read in each."""
    model = models.build(name, backend=backend, dense=2, **(SHAPE | options))
    optimizer = optim.build(rule, model, lr=0.05, embedding_l2=0.01, rows=rows)
    losses, reads = [], []
    for step in range(1, steps + 1):
        READS.clear()
        losses.append(train.train_step(model, optimizer, batch(step, bags), step=step, clip_norm=clip))
        reads.append(dict(READS))
    return model, optimizer, losses, reads
