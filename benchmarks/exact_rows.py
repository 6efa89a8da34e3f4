"""The training step of W1 (see workload.py) with rows="exact" beside "lazy" and "dense", in turns in one process.

    python benchmarks/exact_rows.py [--hidden fm 64-64] [--optimizer adam] [--embedding-l2 0 1e-5] [--steps 200]
                                    [--rounds 5] [--backend auto] [--json FILE]

A turn is an epoch: ``steps`` shuffled batches, each with its row plan made beforehand, then ``catch_up`` of all rows,
which only "exact" needs. A step's time is the epoch's over its steps, so the catch-up is spread over them; its own time
stands beside it. "dense" takes a tenth of the steps. The longer an epoch, the more steps each rare row has to take.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Iterator

from fastfm_core import optim, train
from fastfm_core.bench.machine import print_header, print_table, write_json
from fastfm_core.bench.step import batches, build_model, endless
from fastfm_core.bench.workload import BATCH, Workload, hidden_widths, workload
from fastfm_core.contract import Batch
from timing import ratios, spread

KINDS = ("lazy", "exact", "dense")


class Trainer:
    """One model with its optimizer."""

    def __init__(self, work: Workload, options: argparse.Namespace, hidden: str, l2: float, rows: str) -> None:
        self.model = build_model(work, hidden_widths(hidden), options.backend)
        self.optimizer = optim.build(options.optimizer, self.model, lr=1e-3, embedding_l2=l2, rows=rows)
        self.steps = options.steps if rows != "dense" else max(1, options.steps // 10)
        self.numbers = itertools.count(1)

    def epoch(self, source: Iterator[Batch]) -> tuple[float, float]:
        """Seconds per step with the catch-up spread over them, and seconds of the catch-up."""
        drawn = list(itertools.islice(source, self.steps))
        start = time.perf_counter()
        for batch in drawn:
            train.train_step(self.model, self.optimizer, batch, task="binary", step=next(self.numbers))
        trained = time.perf_counter()
        self.optimizer.catch_up()
        end = time.perf_counter()
        return (end - start) / self.steps, end - trained


def compare(work: Workload, options: argparse.Namespace, hidden: str, l2: float) -> dict[str, float]:
    """Prints one table, a line for each kind of rows; returns the median ratios to lazy."""
    trainers = {rows: Trainer(work, options, hidden, l2, rows) for rows in KINDS}
    source = endless(batches(work, options.backend))
    steps: dict[str, list[float]] = {rows: [] for rows in KINDS}
    ends: dict[str, list[float]] = {rows: [] for rows in KINDS}
    for turn in range(options.rounds + 1):
        for rows, trainer in trainers.items():
            step, end = trainer.epoch(source)
            if turn:  # the first one warms up
                steps[rows].append(step)
                ends[rows].append(end)
    over = {rows: ratios(steps[rows], steps["lazy"]) for rows in KINDS}
    columns = [f"{hidden}, {options.optimizer}, embedding_l2={l2:g}", "ms per step", "over lazy", "ms of catch-up"]
    lines = [[rows, spread(steps[rows], 1e3), spread(over[rows]), spread(ends[rows], 1e3, 1)] for rows in KINDS]
    print_table(columns, lines)
    return {rows: statistics.median(over[rows]) for rows in KINDS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden", nargs="+", default=["fm", "64-64"], help="MLP widths, or fm")
    parser.add_argument("--optimizer", default="adam")
    parser.add_argument("--embedding-l2", type=float, nargs="+", default=[0.0, 1e-5])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    print_header(f"Exact rows, B={options.batch}, epochs of {options.steps} steps: median (least-largest)")
    work = workload("w1", options.batch)
    cases = itertools.product(options.hidden, options.embedding_l2)
    write_json(options.json, {f"{hidden} {l2:g}": compare(work, options, hidden, l2) for hidden, l2 in cases})


if __name__ == "__main__":
    main()
