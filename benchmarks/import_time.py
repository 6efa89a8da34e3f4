"""Seconds that ``import fastfm_core`` takes beyond ``import numpy``, in fresh interpreters that take turns.

python benchmarks/import_time.py [--rounds 7] [--json FILE]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys

from fastfm_core.bench.machine import print_header, print_table, write_json
from timing import spread

PROGRAM = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"


def seconds(modules: str) -> float:
    """Of importing the modules in a fresh interpreter."""
    command = [sys.executable, "-c", PROGRAM.format(modules)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    print_header("Import time")
    taken: dict[str, list[float]] = {"numpy": [], "numpy, fastfm_core": []}
    for _ in range(options.rounds):
        for name, values in taken.items():
            values.append(seconds(name))
    print_table(["import", "s (least-largest)"], [[name, spread(values, digits=3)] for name, values in taken.items()])
    extra = statistics.median(taken["numpy, fastfm_core"]) - statistics.median(taken["numpy"])
    print(f"import fastfm_core adds {extra:.3f} s to NumPy")
    write_json(options.json, {"seconds": taken, "added": extra})


if __name__ == "__main__":
    main()
