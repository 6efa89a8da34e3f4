"""Where and with what a benchmark ran, and how its figures are printed and kept.

Every script prints a header (date, processor, cores, load, versions) above Markdown tables and writes the same
figures to the file named by ``--json``.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import platform
import time
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


def last_level_cache() -> str:
    """Size of the CPU's last cache as the kernel reports it, such as "32 MiB", else "unknown"."""
    levels = sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/level"), key=lambda file: file.read_text())
    with contextlib.suppress(OSError, ValueError, IndexError):
        return f"{int((levels[-1].parent / 'size').read_text().strip().removesuffix('K')) >> 10} MiB"
    return "unknown"


def version(package: str) -> str:
    """The installed version, or "absent"."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "absent"


class Others:
    """How many cores processes outside this one's group have used since it was made; NaN where /proc does not tell."""

    def __init__(self) -> None:
        self.start = time.perf_counter(), self._seconds()

    def cores(self) -> float:
        """Cores, on average."""
        start, seconds = self.start
        return (self._seconds() - seconds) / (time.perf_counter() - start)

    @staticmethod
    def _seconds() -> float:
        """Seconds of computing by all processes, less those by this process group and children it has waited for."""
        try:
            used = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
            every = sum(int(ticks) for place, ticks in enumerate(used[:8]) if place not in (3, 4))  # idle, waiting
            own = 0
            for stat in Path("/proc").glob("[0-9]*/stat"):
                with contextlib.suppress(OSError):  # it has ended meanwhile
                    fields = stat.read_text().rpartition(")")[2].split()
                    own += sum(map(int, fields[11:15])) if int(fields[2]) == os.getpgrp() else 0
        except OSError:
            return float("nan")
        return (every - own) / os.sysconf("SC_CLK_TCK")


def describe() -> dict[str, Any]:
    """Date, machine and versions of this run."""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": processor(),
        "cores": os.cpu_count(),
        "last cache": last_level_cache(),
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
