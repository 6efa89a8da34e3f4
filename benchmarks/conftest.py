"""Prints, after pytest-benchmark's own table, each case's ratio to its ceiling as Markdown."""

from __future__ import annotations

from typing import Any

from fastfm_core.bench.machine import print_header, print_table


def pytest_terminal_summary(config: Any) -> None:
    """One line per timed case: medians of kernel and ceiling in microseconds, and their ratio."""
    session = getattr(config, "_benchmarksession", None)
    timed = [case for case in session.benchmarks if "ratio" in case.extra_info] if session else []
    if not timed:
        return
    print("\n")
    print_header(f"Ratio to the ceiling, backend {timed[0].extra_info['backend']}")
    rows = []
    for case in timed:
        facts = case.extra_info
        name = case.name.partition("[")[2].rstrip("]")
        rows.append([name, f"{case.stats.median * 1e6:.0f}", facts["ceiling"], facts["ceiling_us"], facts["ratio"]])
    print_table(["case", "median µs", "ceiling", "its median µs", "ratio"], rows)
