"""Random batches and tensors for the tests of tape, operations, layers, optimizers and models."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfm_core import ops
from fastfm_core.autograd import Tensor
from fastfm_core.backends import Backend
from fastfm_core.contract import Batch, Entries, Pooling
from fastfm_core.nn import Module


def draw_entries(
    random: np.random.Generator, *, samples: int = 6, fields: int = 3, rows: int = 9, bags: bool = False,
    values: bool = False, pooling: Pooling = "sum", dtype: Any = np.float32,
) -> Entries:  # fmt: skip
    """Ids with many repeats. In bags the first slot is empty, the second holds one id twice, the others 0 to 3 ids."""
    slots, offsets = samples * fields, None
    if bags:
        lengths = random.integers(0, 4, slots)
        lengths[:2] = [0, 3][: len(lengths)]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    ids = random.integers(0, rows, slots if offsets is None else int(offsets[-1]), dtype=np.int32)
    if bags:
        ids[1:2] = ids[:1]
    x = random.uniform(0.5, 2.0, len(ids)) * random.choice([-1.0, 1.0], len(ids))
    return Entries(ids, fields, offsets, x.astype(dtype) if values else None, pooling)


def draw_batch(
    seed: int = 0, *, numbers: int = 0, weights: bool = False, dtype: Any = np.float32, **options: Any
) -> Batch:
    """A batch with labels; ``options`` are those of ``draw_entries``."""
    random = np.random.default_rng(seed)
    entries = draw_entries(random, dtype=dtype, **options)
    samples = entries.samples
    dense = random.standard_normal((samples, numbers)).astype(dtype) if numbers else None
    labels = random.integers(0, 2, samples).astype(dtype)
    return Batch(entries, dense, labels, random.uniform(0.1, 2.0, samples).astype(dtype) if weights else None)


def draw_tensor(backend: Backend, random: np.random.Generator, *shape: int, dtype: Any = np.float64) -> Tensor:
    """A standard normal leaf that asks for a gradient."""
    return Tensor(random.standard_normal(shape).astype(dtype), backend, requires_grad=True)


def loss_of(model: Module, batch: Batch) -> Tensor:
    """The model's weighted mean cross-entropy on a batch."""
    assert batch.labels is not None
    return ops.bce_with_logits(model(batch), batch.labels, batch.weights)


def to_float64(model: Module, seed: int = 0, scale: float = 0.3) -> None:
    """Give every tensor float64 values of a size at which no part of the model is negligible."""
    random = np.random.default_rng(seed)
    for _, module in model.modules():
        for tensor in vars(module).values():
            if isinstance(tensor, Tensor):
                tensor.data = random.standard_normal(tensor.data.shape) * scale
