"""Tests of fastfm_torch; the folder has no __init__.py, which would make it the package torch.

Compiled graphs are kept in a folder of their own: PyTorch's cache knows an operator by its name alone.
"""

from __future__ import annotations

import gc
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ["TORCHINDUCTOR_CACHE_DIR"] = tempfile.mkdtemp(prefix="fastfm_torch_tests_")
sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

import torch


@pytest.fixture(autouse=True)
def nobody_follows() -> Iterator[None]:
    """A seed, and no optimizer of another test's."""
    gc.collect()
    torch.manual_seed(0)
    torch._dynamo.reset()
    yield
