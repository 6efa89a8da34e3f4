"""Fixtures of several folders: backends, the number of threads put back after a test, a folder for encoded tables.

Hypothesis times no example: the first that needs a kernel of Numba's waits until it is compiled.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from fastfm_core import backends, threads
from fastfm_core.backends import Backend
from fastfm_core.data import cache

settings.register_profile("untimed", parent=settings(), deadline=None)
settings.load_profile("untimed")


@pytest.fixture(params=["reference", "numba", "native"])
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each backend in turn; the compiled one where it was built."""
    reason = backends.why_unavailable(request.param)
    if request.param == "native" and reason:
        pytest.skip(reason)
    return backends.get(request.param)


@pytest.fixture(autouse=True, scope="session")
def encoded_tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Encoded tables are kept below pytest's own folder, in this process and in those it starts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(cache.VARIABLE, str(tmp_path_factory.mktemp("tables")))
        yield


@pytest.fixture
def threads_restored() -> Iterator[None]:
    """Whatever the test sets, the number of threads is what it was."""
    before = threads.get_num_threads()
    yield
    threads.set_num_threads(before)
