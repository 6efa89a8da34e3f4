"""Settings of JAX for a test."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import pytest

jax.config.update("jax_platforms", "cpu")


@pytest.fixture
def x64() -> Iterator[None]:
    """64 bits for one test."""
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)
