"""W1, the synthetic click log of the speed benchmarks.

26 id fields with 1,000,000 rows in all (sizes spread on a log scale from 4 to about 300,000), ids drawn from Zipf(1.05)
within each field and scattered by a random permutation, so that hot rows are not neighbours; 13 standard normal
numbers; labels from a planted first-order model with a click rate of about 0.26. Everything follows from the seed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

FIELDS, ROWS, NUMBERS, DIM, BATCH = 26, 1_000_000, 13, 16, 4096
SMALLEST, LARGEST, EXPONENT = 4, 300_000, 1.05


class ClickLog(NamedTuple):
    """ids [S, F] int32 rows of one table, numbers [S, I] float32, labels [S] float32, sizes [F] rows per field."""

    ids: np.ndarray
    numbers: np.ndarray
    labels: np.ndarray
    sizes: np.ndarray


def field_sizes() -> np.ndarray:
    """[F] int64, geometric between SMALLEST and LARGEST with a bend chosen so that they sum to ROWS."""
    low, high = 0.2, 6.0
    for _ in range(60):
        bend = (low + high) / 2
        position = np.linspace(0.0, 1.0, FIELDS) ** bend
        sizes = np.round(SMALLEST * (LARGEST / SMALLEST) ** position).astype(np.int64)
        low, high = (bend, high) if sizes.sum() > ROWS else (low, bend)
    sizes[-1] += ROWS - sizes.sum()
    return sizes


def zipf(generator: np.random.Generator, size: int, count: int) -> np.ndarray:
    """[count] int64 ids in 0..size-1, rank r with probability proportional to r^-EXPONENT, ranks permuted."""
    cumulative = np.cumsum(np.arange(1, size + 1, dtype=np.float64) ** -EXPONENT)
    ranks = np.searchsorted(cumulative, generator.random(count) * cumulative[-1])
    return generator.permutation(size)[np.minimum(ranks, size - 1)]


def click_log(samples: int = 48 * BATCH, seed: int = 7) -> ClickLog:
    """W1 with the given number of samples."""
    generator = np.random.default_rng(seed)
    sizes = generator.permutation(field_sizes())
    bases = np.cumsum(sizes) - sizes
    ids = np.stack([base + zipf(generator, size, samples) for base, size in zip(bases, sizes, strict=True)], axis=1)
    numbers = generator.standard_normal((samples, NUMBERS), dtype=np.float32)
    weights = generator.standard_normal(ROWS) * 0.3
    score = weights[ids].sum(axis=1) + numbers @ (generator.standard_normal(NUMBERS) * 0.1)
    probability = 1.0 / (1.0 + np.exp(1.3 - 1.2 * (score - score.mean()) / score.std()))
    labels = (generator.random(samples) < probability).astype(np.float32)
    return ClickLog(ids.astype(np.int32), numbers, labels, sizes)
