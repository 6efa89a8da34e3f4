"""Where and with what a benchmark ran, and how its figures are printed and kept.

Every script prints a header (date, processor, cores, load, versions) above Markdown tables and writes the same
figures to the file named by ``--json``.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("fastfm-core", "numpy", "numba", "torch", "scikit-learn")


def processor() -> str:
    """The processor's name as the kernel reports it, else the architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def version(package: str) -> str:
    """The installed version, or "absent"."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "absent"


def describe() -> dict[str, Any]:
    """Date, machine and versions of this run."""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": processor(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
    }


def print_header(title: str) -> None:
    """The title and one line of machine and versions, as Markdown."""
    print(f"## {title}\n\n" + ", ".join(f"{name} {value}" for name, value in describe().items()) + "\n", flush=True)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A Markdown table; floats are printed with four decimals."""
    print("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
    for row in rows:
        print("| " + " | ".join(f"{cell:.4f}" if isinstance(cell, float) else str(cell) for cell in row) + " |")
    print(flush=True)


def write_json(path: str | None, figures: dict[str, Any]) -> None:
    """Figures with the machine's description, to the file if one is named."""
    if path:
        Path(path).write_text(json.dumps({"machine": describe(), **figures}, indent=1) + "\n")
