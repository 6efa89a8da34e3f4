"""The synthetic click logs of the speed benchmarks, and the weights that every side starts from. NumPy alone.

W1: 26 id fields with 1,000,000 rows in all (sizes spread on a log scale from 4 to about 300,000), ids drawn from
Zipf(1.05) within each field and scattered by a random permutation, so that hot rows are not neighbours; 13 standard
normal numbers; labels from a planted first-order model with a click rate of about 0.26.

W2: 26 fields of 384,615 rows each, 10,000,000 rows in all, so that no cache holds them; ids uniform or Zipf(1.05),
scattered too; no numbers, B = 65,536, D = 15 and first order, so that a row is one cache line. Labels are coin tosses.

Everything follows from the seed.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

FIELDS, ROWS, NUMBERS, DIM, BATCH = 26, 1_000_000, 13, 16, 4096
LARGE_ROWS, LARGE_DIM, LARGE_BATCH, LARGE_BATCHES = 10_000_000, 15, 65_536, 3
FEWEST_ROWS = 1000
SMALLEST, LARGEST, EXPONENT = 4, 0.3, 1.05  # rows of a field, share of all rows, of Zipf's law


class ClickLog(NamedTuple):
    """ids [S, F] int32 rows of one table, numbers [S, I] float32, labels [S] float32, sizes [F] rows per field."""

    ids: np.ndarray
    numbers: np.ndarray
    labels: np.ndarray
    sizes: np.ndarray


def field_sizes(rows: int = ROWS) -> np.ndarray:
    """[F] int64, geometric from SMALLEST to LARGEST of all with a bend chosen so that they sum to ``rows``."""
    low, high = 0.2, 6.0
    for _ in range(60):
        bend = (low + high) / 2
        position = np.linspace(0.0, 1.0, FIELDS) ** bend
        sizes = np.round(SMALLEST * (LARGEST * rows / SMALLEST) ** position).astype(np.int64)
        low, high = (bend, high) if sizes.sum() > rows else (low, bend)
    sizes[-1] += rows - sizes.sum()
    return sizes


def zipf(generator: np.random.Generator, size: int, count: int) -> np.ndarray:
    """[count] int64 ids in 0..size-1, rank r with probability proportional to r^-EXPONENT, ranks permuted."""
    cumulative = np.cumsum(np.arange(1, size + 1, dtype=np.float64) ** -EXPONENT)
    ranks = np.searchsorted(cumulative, generator.random(count) * cumulative[-1])
    return generator.permutation(size)[np.minimum(ranks, size - 1)]


def click_log(samples: int = 48 * BATCH, seed: int = 7, rows: int = ROWS) -> ClickLog:
    """W1 with the given number of samples, and of rows, at least FEWEST_ROWS."""
    generator = np.random.default_rng(seed)
    sizes = generator.permutation(field_sizes(rows))
    bases = np.cumsum(sizes) - sizes
    ids = np.stack([base + zipf(generator, size, samples) for base, size in zip(bases, sizes, strict=True)], axis=1)
    numbers = generator.standard_normal((samples, NUMBERS), dtype=np.float32)
    weights = generator.standard_normal(rows) * 0.3
    score = weights[ids].sum(axis=1) + numbers @ (generator.standard_normal(NUMBERS) * 0.1)
    probability = 1.0 / (1.0 + np.exp(1.3 - 1.2 * (score - score.mean()) / score.std()))
    labels = (generator.random(samples) < probability).astype(np.float32)
    return ClickLog(ids.astype(np.int32), numbers, labels, sizes)


def large_log(kind: str, samples: int = LARGE_BATCHES * LARGE_BATCH, seed: int = 11) -> ClickLog:
    """W2 with "uniform" or "zipf" ids."""
    generator = np.random.default_rng(seed)
    size = LARGE_ROWS // FIELDS
    draw = {"uniform": lambda: generator.integers(0, size, samples), "zipf": lambda: zipf(generator, size, samples)}
    ids = np.stack([field * size + draw[kind]() for field in range(FIELDS)], axis=1).astype(np.int32)
    labels = (generator.random(samples) < 0.3).astype(np.float32)
    return ClickLog(ids, np.zeros((samples, 0), np.float32), labels, np.full(FIELDS, size))


class Workload(NamedTuple):
    """A log and the sizes a training step on it has: V rows, D dims besides the first order, B samples."""

    log: ClickLog
    rows: int
    dim: int
    batch: int

    def widths(self, hidden: tuple[int, ...]) -> list[int]:
        """Of the MLP: inputs, hidden layers, 1."""
        return [FIELDS * self.dim + self.log.numbers.shape[1], *hidden, 1]


def workload(name: str, batch: int = BATCH) -> Workload:
    """ "w1" with that batch, or W2 as "uniform" or "zipf"."""
    if name == "w1":
        return Workload(click_log(), ROWS, DIM, batch)
    return Workload(large_log(name), LARGE_ROWS // FIELDS * FIELDS, LARGE_DIM, LARGE_BATCH)


def initial_rows(work: Workload) -> np.ndarray:
    """[V, D + 1] float32, N(0, 0.1) so that pairs matter from the first step; the last column is the first order."""
    rows = np.random.default_rng(1).standard_normal((work.rows, work.dim + 1), dtype=np.float32)
    rows *= np.float32(0.1)
    return rows


def initial_layers(widths: list[int]) -> list[np.ndarray]:
    """Weight matrices [inputs, outputs] float32 of an MLP (He et al., ICCV 2015); its biases start at 0."""
    generator = np.random.default_rng(2)
    pairs = itertools.pairwise(widths)
    return [generator.standard_normal(pair, dtype=np.float32) * np.float32((2 / pair[0]) ** 0.5) for pair in pairs]


def hidden_widths(text: str) -> tuple[int, ...]:
    """ "64-64" -> (64, 64); "fm" -> (), the FM alone."""
    return () if text == "fm" else tuple(int(width) for width in text.split("-"))
