"""The whole training step of W1 (see workload.py), ours, PyTorch's and FBGEMM's, in turns.

    python benchmarks/step.py [--hidden 64-64 400-400-400] [--batch 4096] [--rounds 6] [--backend auto] [--json FILE]

A step is: assemble a shuffled batch, row plan, forward, backward, Adagrad (lr 0.05) on embedding and first-order rows,
Adam on the rest. Peers are PyTorch with sparse gradients (torch.optim.Adagrad) and, where it is installed (README.md),
FBGEMM with Adagrad fused into its tables' backward pass. Each is tried beforehand with its default threads and with one
thread per core and a passive OpenMP wait policy, with each layout of its tables (see step_torch.py, step_fbgemm.py);
the fastest way with default and with passive threads takes part, and the faster of the two counts. All start from the
same weights, and the losses of the first steps must agree.

Each side is a process of its own (see timing.py): in one process the pools of OpenBLAS and OpenMP disturb whoever is
not theirs. The sides take turns, one computes at a time, ``rounds`` rounds after a warm-up turn each; a figure is the
median over rounds of the median step of a turn, with the least and largest turn behind it, and a ratio is the median
over rounds of the ratio within a round. Ceilings are timed in our process in the same rounds: the step's matrix
products through NumPy, and its looked-up rows read once.
"""

from __future__ import annotations

import argparse
import statistics

from machine import print_header, print_table, write_json
from peers import Step, fastest_fbgemm, fastest_torch, start_ours
from timing import interleave, ratios, spread
from workload import BATCH

Turns = dict[str, list[float]]


def measure(step: Step, backend: str, rounds: int, peers: tuple[str, ...] = ("torch", "fbgemm")) -> Turns:
    """Seconds per step of every side in every round: ours, gather, gemm (with an MLP), and the peers by their names."""
    ours, losses = start_ours(step, backend)
    find = {"torch": fastest_torch, "fbgemm": fastest_fbgemm}
    found = [peer for name in peers for peer in find[name](step, losses)]
    sides = {peer.name: peer.start(step) for peer in found}
    timed = {
        "ours": (ours, "step"),
        **{name: (side, "step") for name, side in sides.items()},
        "gather": (ours, "gather"),
    }
    if step.hidden != "fm":
        timed["gemm"] = (ours, "gemm")
    turns = interleave({name: (*of, of[0].calls_of_a_turn(of[1])) for name, of in timed.items()}, rounds)
    for side in (ours, *sides.values()):
        side.close()
    return turns


def times_as_fast(turns: Turns, peer: str) -> list[float] | None:
    """The time of the peer's faster side over ours in each round; None where it took no part."""
    sides = [seconds for name, seconds in turns.items() if name.startswith(peer)]
    return ratios(min(sides, key=statistics.median), turns["ours"]) if sides else None


def report(step: Step, turns: Turns) -> dict[str, float]:
    """Prints one table; returns the ratios that matter."""
    rows = []
    for name, seconds in turns.items():
        rate = f"{step.batch / statistics.median(seconds) / 1e3:.1f}k"
        rows.append([name, spread(seconds, 1e3), rate, spread(ratios(seconds, turns["ours"]))])
    print_table([f"{step.hidden}, B={step.batch}", "ms per step (least-largest)", "samples/s", "time over ours"], rows)
    floor = [sum(parts) for parts in zip(*(turns[name] for name in ("gather", "gemm") if name in turns), strict=True)]
    speedups = {peer: times_as_fast(turns, peer) for peer in ("torch", "fbgemm")}
    figures = {f"over_{peer}": values for peer, values in speedups.items() if values is not None}
    figures["over_ceiling"] = ratios(turns["ours"], floor)
    print("; ".join(f"{name} {spread(values)}" for name, values in figures.items()), end="")
    print(" (the ceiling: its rows read once plus its matrix products)\n")
    return {name: statistics.median(values) for name, values in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden", nargs="+", default=["64-64", "400-400-400"], help="MLP widths, or fm")
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    print_header(f"W1 training step, batch {options.batch}, backend {options.backend}")
    figures = {}
    for hidden in options.hidden:
        step = Step("w1", options.batch, hidden)
        turns = measure(step, options.backend, options.rounds)
        figures[hidden] = {**report(step, turns), "seconds": turns}
    write_json(options.json, figures)


if __name__ == "__main__":
    main()
