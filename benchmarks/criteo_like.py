"""Writes a table in the form of Criteo's click logs: label, 13 counts, 26 hexadecimal categories, tab-separated.

Categories follow Zipf's law with exponents and cardinalities like the real ones, some cells are empty, and the label
depends on them a little; so the file parses, hashes and compresses like the real one. The seed alone decides it.

    python benchmarks/criteo_like.py --rows 1000000 --out criteo_like.tsv
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

CARDINALITIES = [
    1_400, 550, 900_000, 350_000, 300, 20, 12_000, 620, 3, 80_000, 5_500, 800_000, 3_100,
    26, 11_000, 600_000, 10, 4_900, 2_100, 4, 700_000, 17, 15, 200_000, 90, 120_000,
]  # fmt: skip
MISSING = 0.12
PIECE = 50_000


def write(path: Path, rows: int, seed: int = 0) -> None:
    """Writes the file, a piece at a time."""
    generator = np.random.default_rng(seed)
    with open(path, "wb") as file:
        for begin in range(0, rows, PIECE):
            file.write(_piece(generator, min(PIECE, rows - begin)))


def _piece(generator: np.random.Generator, rows: int) -> bytes:
    counts = np.floor(generator.lognormal(1.5, 1.8, (rows, 13))).astype(np.int64) - 1
    ranks = np.stack([generator.zipf(1.15, rows) % cardinality for cardinality in CARDINALITIES], axis=1)
    codes = (ranks * 2_654_435_761 + np.arange(26) * 40_503) & 0xFFFFFFFF
    empty = generator.random((rows, 39)) < MISSING
    score = 0.3 * np.log1p(np.abs(counts[:, 0])) - 0.2 * (ranks[:, 5] % 3) - 1.2
    labels = generator.random(rows) < 1 / (1 + np.exp(-score))
    numbers = np.where(empty[:, :13], "", counts.astype(str))
    categories = np.where(empty[:, 13:], "", np.char.mod("%08x", codes))
    table = np.column_stack([labels.astype(int).astype(str), numbers, categories])
    return ("\n".join("\t".join(row) for row in table.tolist()) + "\n").encode()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path, default=Path("criteo_like.tsv"))
    options = parser.parse_args()
    write(options.out, options.rows)
