"""While this folder's tests run there is a module cupy, see ``devices``; in all other tests there is none.

The folder is not called cuda: its name would hide the package cuda, of which CuPy needs a part.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from devices import cupy_module


@pytest.fixture(autouse=True, scope="package")
def cupy_installed() -> Iterator[None]:
    with cupy_module():
        yield
