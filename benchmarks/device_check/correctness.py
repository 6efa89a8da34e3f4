"""The contract's tests on the device, and compute-sanitizer over some of them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SANITIZED = "cuda and (thousand_entries or sum_long_repeated)"
HOST_SIDE = [f"tests/gpu/test_{name}.py" for name in ("training", "graph", "products", "raw_arrays", "command_line")]
TOOLS = ("memcheck", "racecheck")
PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]


def contract(emulated: bool) -> dict[str, str]:
    """The last lines of pytest over the kernels' tests, those of the host's side, and those of PyTorch's tensors."""
    if emulated:
        return {"kernels": _shown("kernels", [*PYTEST, "tests/contract", "-k", "cuda and fm_interaction"])}
    workers = ["-n", str(min(14, os.cpu_count() or 1))]
    return {
        "kernels": _shown("kernels", [*PYTEST, *workers, "tests/contract", "-k", "cuda"]),
        "host": _shown("host", [*PYTEST, *workers, *HOST_SIDE]),
        "PyTorch's tensors": _shown("PyTorch's tensors", [*PYTEST, "python/tests/torch/test_device.py"]),
    }


def sanitizer(emulated: bool) -> dict[str, str]:
    """What each tool says of a few cases; nothing where there is no compute-sanitizer."""
    if emulated or not shutil.which("compute-sanitizer"):
        print("compute-sanitizer: not installed")
        return {}
    command = ["compute-sanitizer", "--error-exitcode", "9", *PYTEST, "-x", "tests/contract", "-k", SANITIZED]
    return {tool: _shown(tool, [command[0], "--tool", tool, *command[1:]]) for tool in TOOLS}


def _shown(name: str, command: list[str]) -> str:
    adapters = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "python")])}
    done = subprocess.run(command, cwd=ROOT, env=adapters, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if re.search(r"passed|failed|SUMMARY|^FAILED", line)]
    # racecheck's warnings are of kernels of CuPy's own, and end with its exit code as errors do
    fine = done.returncode == 0 or (done.returncode == 9 and "(0 errors" in done.stdout)
    verdict = f"{'ok' if fine else f'FAILED ({done.returncode})'}: {'; '.join(lines[-4:])}"
    print(f"{name}: {verdict}", flush=True)
    return verdict
