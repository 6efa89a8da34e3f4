"""A concatenation too large for the caches is written past them: the bits of small batches, which are not."""

from __future__ import annotations

import numpy as np
import pytest

from fastfm_core import backends
from fastfm_core.contract import Entries

FIELDS, ROWS = 4, 1000


@pytest.mark.parametrize("dim", [64, 65])  # whole cache lines are streamed, others are not
def test_a_large_concatenation_equals_those_of_small_batches(dim: int) -> None:
    native, draw = backends.get("native"), np.random.default_rng(0)
    samples = (1 << 24) // (4 * FIELDS * dim) + 100
    table = draw.standard_normal((ROWS, dim), dtype=np.float32)
    numbers = draw.standard_normal((samples, 3), dtype=np.float32)
    ids = draw.integers(0, ROWS, (samples, FIELDS)).astype(np.int32)

    def look_up(low: int, high: int) -> tuple[np.ndarray, ...]:
        entries = Entries(ids[low:high].reshape(-1), FIELDS)
        out = native.embedding_fm(table, table[:, 0], entries, numbers[low:high], deep=True)
        assert out.deep is not None
        return out.first, out.pair, out.sums, out.deep

    small = [look_up(low, min(low + 1024, samples)) for low in range(0, samples, 1024)]
    for found, *parts in zip(look_up(0, samples), *small, strict=True):
        assert found.tobytes() == np.concatenate(parts).tobytes()
