"""How fast a table in the form of Criteo's click logs is read, hashed and encoded, and how much memory that takes.

    python benchmarks/encode.py --rows 1000000 --rounds 5 [--data FILE.tsv] [--json FILE]

One pass: the file's text becomes 39 ids and values a row (26 hashed categories, 13 numbers) by an encoder that was
fitted before, written to the disk. Preparation: all that ``fastfm-core train`` does before it trains, i.e. labels,
split, guesses, fitting and that pass. Beside them the ceiling of any reader, counting the file's line feeds, and
polars, which parses and hashes the same columns and writes nothing, where it is installed. Each side runs in a process
of its own, in turns, and does its work twice, the second time measured; its peak memory is the process's.
FASTFM_CORE_NATIVE=0 measures Numba's functions where the C++ is built; the heading says which ran.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import criteo_like
from fastfm_core.bench.machine import print_header, print_table, write_json
from timing import spread

BUCKETS = 1 << 18
NUMBERS, CATEGORIES = [f"I{n}" for n in range(1, 14)], [f"C{n}" for n in range(1, 27)]
SIDES = ("line feeds", "one pass", "preparation", "polars")


def measure(side: str, path: Path) -> dict[str, float]:
    """Seconds and peak memory in MiB of one side, in this process, the second time it does its work.

    The first time compiles kernels and makes the system find memory for what is written, which on a virtual machine may
    take as long as the work.
    """
    from fastfm_core.report import peak_memory_mb

    work = {"line feeds": line_feeds, "one pass": one_pass, "preparation": preparation, "polars": polars}[side]
    seconds = 0.0
    for _ in range(2):
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            work(path, Path(folder))
            seconds = time.perf_counter() - started
    return {"seconds": seconds, "mb": peak_memory_mb() or float("nan")}


def line_feeds(path: Path, folder: Path) -> None:
    """Reads the file and counts its lines."""
    with open(path, "rb") as file:
        while block := file.read(1 << 22):
            block.count(b"\n")


def one_pass(path: Path, folder: Path) -> None:
    """Text to encoded rows on the disk."""
    from fastfm_core.data import Categorical, Encoder, Numeric, Schema, cache, open_table
    from fastfm_core.data.stream import each_piece

    reader = open_table(path)
    first = {name: column[:1000] for name, column in next(reader.chunks()).parse().items()}
    schema = Schema([*map(Numeric, NUMBERS), *(Categorical(name, buckets=BUCKETS) for name in CATEGORIES)])
    encoder = Encoder.fit(first, schema)
    pieces = each_piece(reader, lambda number, table: encoder.transform(table))
    cache.write_encoded(folder, path.stem, (piece.result for piece in pieces))


def preparation(path: Path, folder: Path) -> None:
    """Everything before the first training step, nothing cached."""
    from fastfm_core.data import cache
    from fastfm_core.prepare import prepare
    from fastfm_core.source import Source

    os.environ[cache.VARIABLE] = str(folder)
    categorical = ",".join(f"{name}:{BUCKETS}" for name in CATEGORIES)
    prepare(Source(data=path, categorical=categorical, numeric=",".join(NUMBERS)), seed=time.time_ns())


def polars(path: Path, folder: Path) -> None:
    """Parses and hashes the same columns with polars."""
    import polars as pl

    types = {name: pl.Int64 for name in ["label", *NUMBERS]} | {name: pl.String for name in CATEGORIES}
    table = pl.read_csv(path, separator="\t", has_header=False, new_columns=list(types), schema=types)
    table.with_columns([(pl.col(name).hash(0) % BUCKETS).cast(pl.Int32) for name in CATEGORIES])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data", type=Path, help="a file that criteo_like.py wrote with so many rows")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        return print(json.dumps(measure(options.side, options.data)))
    with tempfile.TemporaryDirectory() as folder:
        path = options.data or Path(folder) / "criteo_like.tsv"
        if options.data is None:
            criteo_like.write(path, options.rows)
        report(path, options)


def report(path: Path, options: argparse.Namespace) -> None:
    """Runs the sides in turns and prints medians with least and largest."""
    from fastfm_core.data.text import engine

    sides = [side for side in SIDES if side != "polars" or _installed("polars")]
    found: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    for _ in range(options.rounds):
        for side in sides:
            command = [sys.executable, __file__, "--side", side, "--data", str(path)]
            found[side].append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
            time.sleep(0.2)
    megabytes = path.stat().st_size / 1e6
    print_header(f"Encoding {options.rows:,} rows, {megabytes:.0f} MB of text, two threads, by {engine.description()}")
    rows, figures = [], {}
    for side in sides:
        speeds = [options.rows / run["seconds"] / 1e6 for run in found[side]]
        memory = statistics.median(run["mb"] for run in found[side])
        figures[side] = {"million_rows_per_second": speeds, "peak_mb": memory}
        rows.append([side, spread(speeds), f"{memory:.0f}"])
    print_table(["", "million rows/s", "peak MB"], rows)
    write_json(options.json, figures)


def _installed(package: str) -> bool:
    try:
        __import__(package)
    except ImportError:
        return False
    return True


if __name__ == "__main__":
    main()
