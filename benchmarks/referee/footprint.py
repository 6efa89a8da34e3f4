"""What a peer costs before it computes anything: seconds and memory of its import, and what its installation takes."""

from __future__ import annotations

import json
import statistics
import subprocess
from collections.abc import Sequence
from typing import Any

from benchmarks.referee.sides import Peer, interpreter

IMPORT = """
import sys, time
start = time.perf_counter()
import {module}
seconds = time.perf_counter() - start
with open("/proc/self/status") as file:
    memory = next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmRSS"))
print("\\nMEASURED", seconds, memory)
"""
INSTALLED = """
import importlib.metadata as metadata, json, re
def closure(name, seen):
    key = re.sub(r"[-_.]+", "-", name).lower()
    if key in seen:
        return
    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return
    files = [file.locate() for file in found.files or ()]
    seen[key] = [found.version, sum(file.stat().st_size for file in files if file.is_file())]
    for requirement in found.requires or ():
        if "extra ==" not in requirement and "extra==" not in requirement:
            closure(re.match(r"[A-Za-z0-9._-]+", requirement).group(), seen)
found = {{}}
for name in {names!r}:
    closure(name, found)
print(json.dumps(found))
"""


def run(python: str, program: str) -> str:
    """What the program prints."""
    return subprocess.run([python, "-c", program], capture_output=True, text=True, check=True).stdout


def footprint(peer: Peer, times: int) -> dict[str, Any]:
    """import_seconds (median of fresh processes, files being cached), memory_mib after the import, install_mib with all
    that it requires, versions of its packages."""
    python = interpreter(peer.key, peer.imports)
    if python is None:
        return {"status": "not installed"}
    sizes = json.loads(run(python, INSTALLED.format(names=peer.packages)).splitlines()[-1])
    found: dict[str, Any] = {"versions": {name: sizes[name][0] for name in peer.packages if name in sizes}}
    found["install_mib"] = sum(size for _, size in sizes.values()) / 2**20
    try:
        taken = [measured(run(python, IMPORT.format(module=peer.imports))) for _ in range(times)]
    except subprocess.CalledProcessError as error:
        return found | {"status": f"failed: {error.stderr.strip().splitlines()[-1]}"}
    found["import_seconds"], found["memory_mib"] = (statistics.median(part) for part in zip(*taken, strict=True))
    return found


def measured(printed: str) -> tuple[float, float]:
    """Seconds and MiB, of what IMPORT printed among other things."""
    words = next(line for line in printed.splitlines() if line.startswith("MEASURED")).split()
    return float(words[1]), float(words[2])


def footprints(peers: Sequence[Peer], times: int) -> dict[str, dict[str, Any]]:
    """By name of the peer; peers that import the same share a measurement."""
    done: dict[tuple[str, str], dict[str, Any]] = {}
    for peer in peers:
        if (peer.key, peer.imports) not in done:
            done[peer.key, peer.imports] = footprint(peer, times)
    return {peer.name: done[peer.key, peer.imports] for peer in peers}
