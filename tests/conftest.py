"""Fixtures of several folders: the backends behind the layers, and the number of threads put back after a test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fastfm_core import backends, threads
from fastfm_core.backends import Backend


@pytest.fixture(params=["reference", "numba"])
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each backend in turn."""
    return backends.get(request.param)


@pytest.fixture
def threads_restored() -> Iterator[None]:
    """Whatever the test sets, the number of threads is what it was."""
    before = threads.get_num_threads()
    yield
    threads.set_num_threads(before)
