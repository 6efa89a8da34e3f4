"""Generated click tables as files, shared by the tests of preparation."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np


def write(path: Path, header: list[str], rows: Any) -> str:
    """A CSV file."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return str(path)


def write_clicks(path: Path, rows: int = 600, seed: int = 0) -> str:
    """User ids beyond 2^63, a movie to join by, a number with gaps, weighted tags, a time with ties, weight, label."""
    random = np.random.default_rng(seed)
    users, movies = random.integers(0, 40, rows).tolist(), random.integers(0, 25, rows)
    sizes, tags = random.normal(size=rows), random.integers(0, 6, (rows, 2)).tolist()
    labels = (sizes + (movies % 3) + random.normal(size=rows) > 1).astype(int).tolist()

    header = ["user", "movie", "size", "tags", "timestamp", "weight", "label"]

    def row(k: int) -> list[Any]:
        first, second = tags[k]
        size = "" if k % 7 == 0 else f"{sizes[k]:.3f}"
        time, weight = 1_700_000_000 + k // 3, 1 if users[k] % 2 else 3
        return [2**64 - 1 - users[k], f"m{movies[k]}", size, f"t{first}:0.5|t{second}", time, weight, labels[k]]

    return write(path, header, map(row, range(rows)))


def write_movies(path: Path) -> str:
    """Movies m0 to m19, of the 25 that clicks name."""
    return write(path, ["movie", "genre", "year"], [[f"m{k}", f"g{k % 4}", 1990 + k] for k in range(20)])


def entry_files(folder: Path) -> dict[str, bytes]:
    """The files of the only entry in a folder of encoded tables."""
    (entry,) = (path for path in folder.iterdir() if path.is_dir())
    return {file.name: file.read_bytes() for file in sorted(entry.iterdir())}
