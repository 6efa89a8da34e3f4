"""``import fastfm_core`` is light: none of the heavy or optional packages is imported with it."""

from __future__ import annotations

import subprocess
import sys

HEAVY = {"numba", "llvmlite", "torch", "jax", "cupy", "pandas", "sklearn", "scipy", "matplotlib", "pyarrow", "tqdm"}


def imported_by(statement: str) -> set[str]:
    """Top-level packages in sys.modules of a fresh interpreter that ran the statement."""
    code = f"import sys\n{statement}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_import_is_light() -> None:
    loaded = imported_by("import fastfm_core")
    assert "fastfm_core" in loaded
    assert not loaded & HEAVY


def test_command_line_is_light() -> None:
    assert not imported_by("import fastfm_core.cli") & HEAVY


def test_kernels_on_arrays_of_the_host_look_for_no_device() -> None:
    call = "ff.kernels.embedding_gather(np.ones((2, 2)), np.zeros(1, int), backend='reference')"
    assert "cupy" not in imported_by(f"import numpy as np, fastfm_core as ff\n{call}")


def test_estimators_are_loaded_when_named_and_say_what_they_need() -> None:
    code = """
import sys
import fastfm_core as ff
from fastfm_core import *
print("FMClassifier" in dir(ff), "sklearn" in sys.modules)
sys.modules["sklearn"] = None  # as if it was not installed
try:
    ff.FMClassifier
except ff.data.encode.InputError as error:
    print(error)
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert shown == ["True False", "the estimators need scikit-learn: pip install 'fastfm-core[sklearn]'"]
