"""Processes in which kernels run under a sanitizer, which must be loaded before all else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from emulated_cupy import compiling

import fastfm_core

TESTS = Path(__file__).parents[1]
PATHS = [Path(fastfm_core.__file__).parents[1], compiling.SOURCES, TESTS]

sanitized = pytest.mark.skipif(sys.platform != "linux", reason="only Linux's loader loads a sanitizer first")


def environment(mode: str) -> dict[str, str]:
    """For processes that import what this one does."""
    variables = {"PYTHONPATH": os.pathsep.join(map(str, PATHS)), "OPENBLAS_NUM_THREADS": "1"}
    return {**compiling.environment(mode), **variables}


def run_module(mode: str, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``python -m gpu.<name> <arguments>``, kernels in the given mode."""
    command = [sys.executable, "-m", f"gpu.{name}", *arguments]
    return subprocess.run(command, env=environment(mode), capture_output=True, text=True)
