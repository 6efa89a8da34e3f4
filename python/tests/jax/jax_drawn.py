"""What tests draw."""

from __future__ import annotations

from typing import Any

import numpy as np


class Drawn:
    """table [V, D], linear [V], ids [B, F] with duplicates, in float32 and int32 or as asked for."""

    def __init__(
        self, rows: int, samples: int, fields: int, dim: int, dtype: Any = np.float32, ids: Any = np.int32
    ) -> None:
        random = np.random.default_rng(rows + dim)
        self.table = random.normal(size=(rows, dim)).astype(dtype)
        self.linear = random.normal(size=rows).astype(dtype)
        self.lane = np.concatenate([self.table, self.linear[:, None]], 1)
        self.ids = random.integers(0, rows, (samples, fields)).astype(ids)
        self.first, self.pair = (random.normal(size=samples).astype(dtype) for _ in range(2))
        self.deep = random.normal(size=(samples, fields * dim)).astype(dtype)
        self.numbers = random.normal(size=(samples, 3)).astype(dtype)
