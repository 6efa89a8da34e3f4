"""The native CPU engine's targets, measured: one table of ratio, target, aim and verdict.

    python benchmarks/native_targets.py [--only a c] [--backend auto] [--rounds 7] [--json FILE]

a  lookup + FM on W2, over its rows read once          e  DeepFM steps of W1: FBGEMM, PyTorch, GEMM alone
b  the same with concatenation, and D = 64             f  an epoch through fit beside the bare step
c  FM step on W2, dedup included, against FBGEMM       g  FM step of W1 against xlearn and FBGEMM
d  Adagrad with the plan given, over the memory limit  h  the 64-64 step beside a busy process
                                                       i  peak memory of W1's training

A figure is the median over rounds of the ratio within a round, with the least and largest. Batch assembly and plan_rows
are inside every step. FBGEMM and xlearn are found as peers.py says; without them their figure is "not installed". The
last column says how many cores other processes had meanwhile: above QUIET no timing is judged.
"""

from __future__ import annotations

import argparse
import os
import statistics

from fastfm_core.bench.machine import Others, print_header, print_table, write_json
from native_rows import ROWS, Figure, Options
from peers import INTERPRETERS, installed
from timing import spread

QUIET = 0.2


def verdict(figure: Figure, other_cores: float) -> str:
    """How the median stands to target and aim."""
    if figure.values is None:
        return "not installed"
    if figure.target is None:
        return ""
    if figure.timed and other_cores > QUIET:
        return "machine too busy to judge"
    sign = 1 if figure.largest else -1
    value = statistics.median(figure.values)
    if sign * value > sign * figure.target:
        return "MISS"
    return "pass" if figure.aim is None or sign * value > sign * figure.aim else "aim reached"


def bound(figure: Figure, value: float | None) -> str:
    """ "≤ 1.15" or "≥ 12"."""
    return "" if value is None else f"{'≤' if figure.largest else '≥'} {value:g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--backend", default="auto", help="auto, numba or native")
    parser.add_argument("--rounds", type=int, default=7)
    for package, variable in INTERPRETERS.items():
        option = f"--{package.removesuffix('_gpu')}-python"
        parser.add_argument(option, dest=variable, metavar="PYTHON", help=f"has {package}; or set {variable}")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    os.environ |= {name: getattr(options, name) for name in INTERPRETERS.values() if getattr(options, name)}
    print_header(f"Targets of the native engine, backend {options.backend}, {options.rounds} rounds")
    print(f"Peers in interpreters of their own: {installed()}\n", flush=True)
    rows, figures = [], {}
    for letter in options.only:
        others = Others()
        found = ROWS[letter](Options(options.backend, options.rounds))
        other_cores = others.cores()
        for figure in found:
            values = "" if figure.values is None else spread(figure.values)
            judged = verdict(figure, other_cores)
            limits = bound(figure, figure.target), bound(figure, figure.aim)
            rows.append([letter, figure.what, values, *limits, judged, f"{other_cores:.2f}"])
            figures[figure.what] = figure._asdict() | {"verdict": judged, "other_cores": other_cores}
    print()
    print_table(["", "figure", "median (least-largest)", "target", "aim", "verdict", "other cores"], rows)
    write_json(options.json, figures)


if __name__ == "__main__":
    main()
