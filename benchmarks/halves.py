"""What reading tables of float16 and bfloat16 gains: lookups of 65,536 x 26 ids, native, beside float32.

    python benchmarks/halves.py [--dims 16 64 128] [--ids uniform zipf] [--rounds 7] [--json FILE]

Milliseconds a call, and how many times as fast as float32 within a round; median (least-largest). Sides and tables are
explained in halves_ours.py. Results must have the bits of the same rows as float32.
"""

from __future__ import annotations

import argparse
import sys

from fastfm_core.bench.machine import print_header, print_table, write_json
from timing import Side, interleave, ratios, spread

KERNELS, DTYPES = ("fm", "deep"), ("float32", "float16", "bfloat16")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dims", nargs="+", type=int, default=[16, 64, 128])
    parser.add_argument("--ids", nargs="+", choices=["uniform", "zipf"], default=["uniform", "zipf"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    print_header(f"Tables of halves, {options.rounds} rounds")
    rows, figures = [], {}
    for dim in options.dims:
        for kind in options.ids:
            turns = measure(kind, dim, options.rounds)
            for kernel in KERNELS:
                seconds = [turns[f"{kernel}-{name}"] for name in DTYPES]
                times = [ratios(seconds[0], halves) for halves in seconds[1:]]
                name = {"fm": "lookup + FM", "deep": "lookup + FM + concatenation"}[kernel]
                rows.append([f"{name}, D={dim}, {kind}", *(spread(s, 1e3) for s in seconds), *map(spread, times)])
                figures[rows[-1][0]] = dict(zip(DTYPES, seconds, strict=True))
    print_table(["", *(f"{name}, ms" for name in DTYPES), *(f"{name}, times as fast" for name in DTYPES[1:])], rows)
    write_json(options.json, figures)


def measure(kind: str, dim: int, rounds: int) -> dict[str, list[float]]:
    """Seconds per call by case and round."""
    side = Side("halves_ours.py", [kind, str(dim)])
    if any(side.ask("differences", 1)):
        sys.exit("halves give other bits than the same rows as float32")
    cases = [f"{kernel}-{name}" for kernel in KERNELS for name in DTYPES]
    turns = interleave({case: (side, case, side.calls_of_a_turn(case)) for case in cases}, rounds)
    side.close()
    return turns


if __name__ == "__main__":
    main()
