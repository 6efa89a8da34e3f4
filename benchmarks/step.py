"""The whole training step of W1 (see workload.py), ours and PyTorch's, in turns.

    python benchmarks/step.py [--hidden 64-64 400-400-400] [--rounds 6] [--backend auto] [--json FILE]

A step is: assemble a shuffled batch of 4096, row plan, forward, backward, Adagrad (lr 0.05) on embedding and
first-order rows, Adam on the rest. PyTorch does it with sparse gradients (torch.optim.Adagrad) and fused Adam, with its
default threads and with one thread per core and a passive OpenMP wait policy, each with the first order as a table of
its own and as one more column of a single table; the fastest of the four counts. Ours keeps one table.

Each side is a process of its own (see timing.py): in one process the pools of OpenBLAS and OpenMP disturb whoever is
not theirs. The sides take turns, one computes at a time, ``rounds`` rounds after a warm-up turn each; a figure is the
median over rounds of the median step of a turn, with the least and largest turn behind it, and a ratio is the median
over rounds of the ratio within a round. Ceilings are timed in our process in the same rounds: the step's matrix
products through NumPy, and its looked-up rows read once.
"""

from __future__ import annotations

import argparse
import os
import statistics

from machine import print_header, print_table, write_json
from timing import Side, spread
from workload import BATCH

Turns = dict[str, list[float]]


def measure(hidden: str, backend: str, rounds: int) -> Turns:
    """Seconds per step of every side in every round."""
    ours = Side("step_ours.py", [hidden, backend])
    cores = str(os.cpu_count())
    torch = {
        f"torch{', one table' if layout == 'lane' else ''}{', passive' if threads != '0' else ''}": Side(
            "step_torch.py", [hidden, threads, layout], {"OMP_WAIT_POLICY": "PASSIVE"} if threads != "0" else None
        )
        for layout in ("two", "lane")
        for threads in ("0", cores)
    }
    sides = {
        "ours": (ours, "step"),
        **{name: (side, "step") for name, side in torch.items()},
        "gather": (ours, "gather"),
        **({} if hidden == "fm" else {"gemm": (ours, "gemm")}),
    }
    calls = 16 if len(hidden) < 8 else 8
    for side, case in sides.values():
        side.turn(case, calls)
    turns: Turns = {name: [] for name in sides}
    for _ in range(rounds):
        for name, (side, case) in sides.items():
            turns[name].append(side.turn(case, calls))
    for side in (ours, *torch.values()):
        side.close()
    return turns


def ratios(over: list[float], under: list[float]) -> list[float]:
    """Ratio within each round."""
    return [a / b for a, b in zip(over, under, strict=True)]


def report(hidden: str, turns: Turns) -> dict[str, float]:
    """Prints one table; returns the ratios that matter."""
    rows = []
    for name, seconds in turns.items():
        rate = f"{BATCH / statistics.median(seconds) / 1e3:.1f}k"
        rows.append([name, spread(seconds, 1e3), rate, spread(ratios(seconds, turns["ours"]))])
    print_table([hidden, "ms per step (least-largest)", "samples/s", "time over ours"], rows)
    faster = min((n for n in turns if n.startswith("torch")), key=lambda name: statistics.median(turns[name]))
    floor = [sum(parts) for parts in zip(*(turns[name] for name in ("gather", "gemm") if name in turns), strict=True)]
    figures = {"speedup": ratios(turns[faster], turns["ours"]), "over_ceiling": ratios(turns["ours"], floor)}
    print(f"{hidden}: {spread(figures['speedup'])} times as fast as {faster}; ", end="")
    print(f"{spread(figures['over_ceiling'])} times the ceiling (its rows read once plus its matrix products)\n")
    return {name: statistics.median(values) for name, values in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden", nargs="+", default=["64-64", "400-400-400"], help="MLP widths, or fm")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    print_header(f"W1 training step, batch {BATCH}, backend {options.backend}")
    figures = {}
    for hidden in options.hidden:
        turns = measure(hidden, options.backend, options.rounds)
        figures[hidden] = {**report(hidden, turns), "seconds": turns}
    write_json(options.json, figures)


if __name__ == "__main__":
    main()
