"""The script for a machine with a device runs to its end on the stand-in, at small sizes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from devices import DEVICE

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "device_check"


@pytest.mark.skipif(DEVICE, reason="on a device the script itself is run")
def test_device_check_runs_to_its_end(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--emulated", "--skip", "contract", "--json", str(tmp_path / "found")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found").read_text())
    assert found["machine"]["card"] == "emulated device"
    kernels = {line["kernel"] for line in found["kernels"]}
    assert {"forward", "plan", "backward, Adam", "bias + ReLU"} <= kernels
    assert found["steps"][0] == {"equal_runs": True} and len(found["steps"]) == 4
