"""The reported peak is the process's own, not that of whoever started it."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system tells the process's own")
def test_a_large_parent_is_not_counted() -> None:
    child = "from fastfm_core.report import peak_memory_mb; print(peak_memory_mb())"
    parent = f"import subprocess, sys; held = b'x' * (400 << 20); subprocess.run([sys.executable, '-c', {child!r}])"
    peak = float(subprocess.run([sys.executable, "-c", parent], capture_output=True, text=True, check=True).stdout)
    assert 20 < peak < 300
