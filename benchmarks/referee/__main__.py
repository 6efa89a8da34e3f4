"""Measures every backend of fastfm_core beside the peers that are installed, and says who is how fast.

    python -m benchmarks.referee [--quick] [--peers torch jax ...] [--cases step score ...] [--json FILE]
                                 [--markdown FILE] [--plots DIR]

From the repository's root. Same data, same threads, one side computes at a time, in turns (see benchmarks/timing.py).
Each peer runs with its fastest settings, which are tried beforehand and printed. How each is installed: docs/peers.md.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.referee import cases, problem, report
from benchmarks.referee.footprint import footprints
from benchmarks.referee.rounds import Referee, say
from benchmarks.referee.sides import NEUTRAL, OURS, PEERS, Peer
from fastfm_core.bench.machine import Others, describe

SIZES = {"quick": cases.quick, "full": cases.full, "tiny": cases.tiny}
SCALED = (OURS, "torch best")


def chosen(keys: list[str] | None) -> list[Peer]:
    """The peers of these families, ours always among them."""
    return [peer for peer in PEERS if keys is None or peer.key in ("fastfm", *keys)]


def l3_mib() -> float | None:
    """Size of the last-level cache that core 0 sees; None where Linux does not tell."""
    try:
        size = Path("/sys/devices/system/cpu/cpu0/cache/index3/size").read_text().strip()
    except OSError:
        return None
    return float(size[:-1]) / {"K": 1024, "M": 1}[size[-1]]


def measure(peers: list[Peer], size: str, threads: int, kinds: list[str]) -> dict[str, Any]:
    """The whole record."""
    plan, start, others = SIZES[size]().of_kinds(kinds), time.perf_counter(), Others()
    record: dict[str, Any] = {"machine": describe() | {"l3_mib": l3_mib()}, "mode": size.capitalize()}
    record |= {"threads": threads, "cases": [], "quality": [], "scaling": [], "ceilings": {}}
    with tempfile.TemporaryDirectory(prefix="referee-") as folder:
        for data in dict.fromkeys(["tiny", *(case.data for case in plan.cases)]):
            say(f"data {data}")
            problem.write(Path(folder), data)
        referee = Referee(Path(folder), peers, plan, threads, quick=size != "full")
        try:
            referee.start()
            if size != "tiny":
                record["ceilings"] = referee.machine()
            for case in plan.cases:
                quality = case.kind == "quality"
                record["quality" if quality else "cases"].append(
                    (referee.quality if quality else referee.measure)(case)
                )
            referee.peers = [peer for peer in peers if peer.name in SCALED]
            for case in plan.scaling:
                problem.write(Path(folder), case.data)
                record["scaling"].append(referee.measure(case))
        finally:
            referee.close()
    say("footprint")
    record["footprint"] = footprints(peers, times=1 if size != "full" else 5)
    record["minutes"] = (time.perf_counter() - start) / 60
    record["other_cores"] = round(others.cores(), 2)
    return record


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.referee", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    families = [key for key in dict.fromkeys(peer.key for peer in PEERS) if key != "fastfm"]
    parser.add_argument("--quick", action="store_true", help="fewer cases and rounds: within five minutes on two cores")
    parser.add_argument("--size", choices=list(SIZES), default="full", help=argparse.SUPPRESS)
    parser.add_argument("--peers", nargs="*", choices=families, metavar="PEER", help=f"of {', '.join(families)}")
    parser.add_argument("--cases", nargs="+", choices=cases.KINDS, default=cases.KINDS, metavar="KIND",
                        help=f"of {', '.join(cases.KINDS)} (default: all)")  # fmt: skip
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of every side (default: all cores)")
    parser.add_argument("--json", metavar="FILE", help="everything, raw rounds included")
    parser.add_argument("--markdown", metavar="FILE", help="the tables that are printed")
    parser.add_argument("--plots", metavar="DIR", help="share of the ceilings, scaling; needs matplotlib")
    options = parser.parse_args()
    for name in NEUTRAL:
        os.environ.pop(name, None)
    record = measure(chosen(options.peers), "quick" if options.quick else options.size, options.threads, options.cases)
    text = report.markdown(record)
    sys.stdout.write(text)
    if options.markdown:
        Path(options.markdown).write_text(text)
    if options.json:
        Path(options.json).write_text(json.dumps(record, indent=1) + "\n")
    if options.plots:
        from benchmarks.referee import plots  # here, for it needs matplotlib

        plots.draw(record, Path(options.plots))


if __name__ == "__main__":
    main()
