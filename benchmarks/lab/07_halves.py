"""07 Rows of float16 and bfloat16.

IDEA      A row of half the bytes costs half the memory traffic, if what it takes to widen numbers is hidden behind it.
MEASURED  native.embedding_fm without concatenation, 16,384 x 26 uniform ids of 2 M rows (1 M at D=64), one thread, D=16
          and D=64, tables of float32, float16 and bfloat16. benchmarks/halves.py measures it on two threads, to D=128.
RESULT    2026-11-26, Intel Xeon (model 207, AVX-512), 2 cores, last cache 300 MiB, load 2 to 3.5. Over float32: D=16
          float16 0.95 (0.90-0.99), bfloat16 0.96 (0.91-1.03); D=64 float16 0.70 (0.67-0.72), bfloat16 0.75 (0.73-0.77).
VERDICT   Stayed for the memory they save and the time they save at large D (half.hpp). At D=16 a row of 32 bytes still
          costs a line of 64. That bfloat16, a mere shift, is no faster than float16 is a surprise.
"""

from __future__ import annotations

import ml_dtypes
import numpy as np
from bench_bed import BATCH, FIELDS, Lab, several, table

from fastfm_core import backends, threads
from fastfm_core.backends.memory import aligned_zeros
from fastfm_core.contract import Entries


def main() -> None:
    lab, native = Lab(__doc__ or ""), backends.get("native")
    threads.set_num_threads(1)
    for dim, rows in ((16, 1 << 21), (64, 1 << 20)):
        full = table(rows, dim)
        sides = {}
        for dtype in (np.float32, np.float16, ml_dtypes.bfloat16):
            values = aligned_zeros((rows, dim), dtype)
            values[:] = full.astype(dtype)

            def work(ids: np.ndarray, values: np.ndarray = values, rows: int = rows):
                entries = Entries(ids % rows, FIELDS)
                return lambda: native.embedding_fm(values, None, entries, None, deep=False)

            sides[np.dtype(dtype).name] = several(work, "uniform")
        lab.show(f"D = {dim}, {BATCH} samples", sides)


if __name__ == "__main__":
    main()
