"""The CUDA backend on a device: is it right, how fast is it, and how far from what the device can do. Under 8 minutes.

    python benchmarks/device_check [--json FILE] [--skip contract sanitizer peers] [--emulated]

1 the contract's tests on the device        4 each kernel against its floor, and peers: torch eager and compiled,
2 compute-sanitizer, where it works           embedding_bag, Triton, FBGEMM where they are installed
3 copy rate, products, gathered rows        5 the DeepFM step against the sum of its floors and torch; ten equal runs

Needs a driver, CuPy, NumPy and pytest; nothing is fetched. --emulated runs all of it at small sizes on the stand-in for
CuPy, whose times mean nothing. Times are medians of replayed CUDA graphs between events, over rotating inputs.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1])]


def main() -> None:
    """Runs the parts in order and prints a table after each."""
    parser = argparse.ArgumentParser(description="the CUDA backend on a device")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--skip", nargs="+", default=(), choices=("contract", "sanitizer", "peers"))
    parser.add_argument("--emulated", action="store_true", help="small sizes on the CPU")
    options = parser.parse_args()
    if options.emulated:
        sys.path.insert(0, str(HERE.parents[1] / "csrc" / "testing"))
        import emulated_cupy

        emulated_cupy.install()

    from device_check import card, correctness, kernels, steps
    from device_check.clock import Clock

    clock = Clock(emulated=options.emulated)
    results = {"machine": card.describe()}
    print("\n".join(f"{key}: {value}" for key, value in results["machine"].items()), flush=True)
    if "contract" not in options.skip:
        results["contract"] = correctness.contract(options.emulated)
    if "sanitizer" not in options.skip:
        results["sanitizer"] = correctness.sanitizer(options.emulated)
    results["ceilings"] = ceilings = card.ceilings(clock)
    peers = "peers" not in options.skip and not options.emulated
    results["kernels"] = kernels.measure(clock, ceilings, peers)
    results["steps"] = steps.measure(clock, ceilings, peers)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1, default=float))


if __name__ == "__main__":
    main()
