"""Kernels are compiled once: a first process compiles what a DeepFM training needs, a second one nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from fastfm_core import backends

KERNEL_BUDGET = 13

STEP = """
import numpy as np
from fastfm_core import backends, models, ops, optim
from fastfm_core.contract import Batch, Entries

backend = backends.get("numba")
model = models.build("deepfm", rows=50, fields=3, dense=2, backend=backend, hidden=(8, 8), dropout=0.5)
optimizer = optim.build("adam", model, lr=1e-3)
ids = np.arange(30, dtype=np.int32)
batch = Batch(Entries(ids, 3), np.ones((10, 2), np.float32), np.ones(10, np.float32))
for step in range(2):
    model.begin_step(step)
    ops.bce_with_logits(model(batch), batch.labels).backward()
    optimizer.step()
    optimizer.zero_grad()
print(backend.compiled_kernels, backend.compile_seconds > 0, backend.module.compilation.folder)
"""


def test_a_second_process_compiles_nothing(tmp_path: Path) -> None:
    home = {name: str(tmp_path) for name in ("HOME", "XDG_CACHE_HOME", "LOCALAPPDATA")}
    lines = []
    for _ in range(2):
        finished = subprocess.run(
            [sys.executable, "-c", STEP],
            capture_output=True,
            text=True,
            env=os.environ | home,
            timeout=300,
            check=False,
        )
        assert finished.returncode == 0, finished.stderr
        lines.append(finished.stdout.split(maxsplit=2))
    (first, compiled, folder), (second, compiled_again, _) = lines
    assert 0 < int(first) <= KERNEL_BUDGET and compiled == "True"
    assert (int(second), compiled_again) == (0, "False")
    assert folder.startswith(str(tmp_path))


def test_functions_of_no_module_are_compiled_beside_it() -> None:
    """Code that exec runs without a __name__ belongs to no module; its functions are none of this package's."""
    compiled = backends.get("numba").compiled_kernels
    names: dict[str, Any] = {}
    exec("from numba import njit\n@njit\ndef one(): return 1", names)
    assert names["one"].py_func.__module__ is None
    assert names["one"]() == 1
    assert backends.get("numba").compiled_kernels == compiled
