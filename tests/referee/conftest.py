"""The referee lives beside the package, in the repository's root; a small data set for it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.referee import problem


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data "tiny"."""
    folder = tmp_path_factory.mktemp("referee")
    problem.write(folder, "tiny")
    return folder
