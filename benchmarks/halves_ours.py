"""Worker of halves.py: lookups in tables of float32, float16 and bfloat16 that no cache holds.

python benchmarks/halves_ours.py IDS DIM      IDS uniform or zipf, of W2; native backend

The three tables have the same shape [V, D]: W2's ten million rows, fewer where the tables would exceed TABLES bytes.
Cases: "fm-DTYPE" and "deep-DTYPE", embedding_fm without and with concatenation. "differences": how many elements of the
results on halves differ in their bits from those on the same rows as float32.
"""

from __future__ import annotations

import itertools
import sys

import ml_dtypes
import numpy as np

from fastfm_core import backends
from fastfm_core.backends.memory import aligned_zeros
from fastfm_core.bench.workload import FIELDS, LARGE_BATCHES, LARGE_ROWS, large_log
from fastfm_core.contract import EmbeddingFM, Entries
from timing import serve, timed

TABLES, CHECKED = 4.2e9, 500
DTYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}


class Rows:
    """The tables, and batches taken in turn, so that no call finds its rows in cache."""

    def __init__(self, kind: str, dim: int) -> None:
        rows = min(LARGE_ROWS, int(TABLES / dim / sum(np.dtype(dtype).itemsize for dtype in DTYPES.values())))
        self.kernels = backends.get("native")
        self.tables = {name: aligned_zeros((rows, dim), dtype) for name, dtype in DTYPES.items()}
        draw = np.random.default_rng(3)
        for block in np.array_split(np.arange(rows), 100):
            numbers = draw.standard_normal((len(block), dim), dtype=np.float32)
            for table in self.tables.values():
                table[block[0] : block[-1] + 1] = numbers
        ids = large_log(kind).ids.astype(np.int64) * rows // LARGE_ROWS
        self.batches = list(ids.astype(np.int32).reshape(LARGE_BATCHES, -1))
        self.turn = itertools.cycle(self.batches)

    def lookup(self, table: np.ndarray, ids: np.ndarray, deep: bool) -> EmbeddingFM:
        """embedding_fm without first order."""
        return self.kernels.embedding_fm(table, None, Entries(ids, FIELDS), None, deep=deep)

    def differences(self, calls: int) -> list[int]:
        """Of each kind of halves, on a batch's first samples."""
        ids, counts = self.batches[0][: CHECKED * FIELDS], []
        for name in ("float16", "bfloat16"):
            found = self.lookup(self.tables[name], ids, deep=True)
            wide = self.tables[name][ids].astype(np.float32)
            expected = self.lookup(wide, np.arange(len(ids), dtype=np.int32), deep=True)
            pairs = (getattr(found, part) != getattr(expected, part) for part in ("pair", "sums", "deep"))
            counts.append(sum(int(pair.sum()) for pair in pairs))
        return counts


if __name__ == "__main__":
    rows = Rows(sys.argv[1], int(sys.argv[2]))
    cases = {
        f"{kernel}-{name}": timed(lambda table=table, deep=deep: rows.lookup(table, next(rows.turn), deep))
        for kernel, deep in (("fm", False), ("deep", True))
        for name, table in rows.tables.items()
    }
    serve({"differences": rows.differences, **cases})
