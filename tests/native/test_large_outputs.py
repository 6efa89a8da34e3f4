"""Outputs too large for the caches are written past them: the bits of small batches, which are not."""

from __future__ import annotations

import numpy as np
import pytest

from fastfm_core import backends
from fastfm_core.contract import Entries

ROWS = 1000


# Whole cache lines are streamed, others are not; with one field the sums are as large as the concatenation.
@pytest.mark.parametrize(("fields", "dim"), [(4, 64), (4, 65), (1, 64)])
def test_large_outputs_equal_those_of_small_batches(fields: int, dim: int) -> None:
    native, draw = backends.get("native"), np.random.default_rng(0)
    samples = (1 << 24) // (4 * fields * dim) + 100
    table = draw.standard_normal((ROWS, dim), dtype=np.float32)
    numbers = draw.standard_normal((samples, 3), dtype=np.float32)
    ids = draw.integers(0, ROWS, (samples, fields)).astype(np.int32)

    def look_up(low: int, high: int) -> tuple[np.ndarray, ...]:
        entries = Entries(ids[low:high].reshape(-1), fields)
        out = native.embedding_fm(table, table[:, 0], entries, numbers[low:high], deep=True)
        assert out.deep is not None
        return out.first, out.pair, out.sums, out.deep

    small = [look_up(low, min(low + 1024, samples)) for low in range(0, samples, 1024)]
    for found, *parts in zip(look_up(0, samples), *small, strict=True):
        assert found.tobytes() == np.concatenate(parts).tobytes()
