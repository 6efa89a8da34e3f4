"""10 How many rows are asked for at a time.

IDEA      A prefetch between loads makes loads wait whose rows have come already; several at a time wait once.
MEASURED  The package's own embedding_fm, lookup.hpp compiled with other numbers of slots that are requested together:
          16,384 x 26 ids, D=16 (8 M rows) and D=64 (2 M rows), one thread, without and with the concatenation.
RESULT    2026-11-26, Intel Xeon (model 207, AVX-512), 2 cores, last cache 300 MiB, load 2 to 3.5. Over one at a time,
          uniform / Zipf. D=16: 4 together 0.99 (0.86-1.05) / 1.04 (0.81-1.19), with concatenation 1.00 / 0.99; 32
          together 1.09 (0.96-1.15) / 1.05, 1.10 / 1.01. D=64: 4 together 0.99 (0.87-1.02) / 0.97 (0.75-1.24), with
          concatenation 1.01 / 1.01; 32 together 1.10 (0.90-1.22) / 1.10 (0.82-1.33), 1.10 (0.97-1.29) / 1.03.
VERDICT   Stayed, and this CPU disagrees: 4 rows of one line together gain nothing, and the 32 longer rows that
          lookup.hpp asks for together cost up to a tenth. 4 for all lengths would be better here; other CPUs are to be
          measured before it changes.
"""

from __future__ import annotations

import numpy as np
from bench_bed import BATCH, FIELDS, ROWS, Lab, build, call, draw_ids, same, several, table

from fastfm_core.backends.memory import aligned_zeros

CHOSEN = "slots_requested = Lines == 1 ? 4 : 32;"
CODE = """
#include "fastfm/lookup.hpp"
extern "C" void fm(const float* rows, int64_t dim, const int32_t* ids, int64_t samples, float* first, float* pair,
                   float* sums, float* deep, int64_t wanted) {
    using namespace fastfm;
    const SingleIds<float, int32_t> slots{{rows, dim, dim, nullptr, 0}, {ids, samples * 26, 26, nullptr, nullptr}};
    embedding_fm<float>(slots, {first, pair, sums, wanted ? deep : nullptr, 26 * dim, nullptr, 0}, 0, samples);
}
"""


def main() -> None:
    lab = Lab(__doc__ or "")
    codes = {n: build(CODE, ("fastfm/lookup.hpp", CHOSEN, f"slots_requested = {n};")) for n in (1, 4, 32)}
    for dim in (16, 64):
        rows = table(ROWS * 16 // dim, dim)
        out = [np.zeros(BATCH, np.float32), *(np.zeros(BATCH, np.float32) for _ in codes)]
        sums, deep = aligned_zeros((BATCH, dim), np.float32), aligned_zeros((BATCH, FIELDS * dim), np.float32)
        ids = draw_ids("uniform") % np.int32(len(rows))
        for code, pair in zip(codes.values(), out[1:], strict=True):
            call(code.fm, rows, dim, ids, BATCH, out[0], pair, sums, deep, 1)()
        same(*out[1:])
        for kind in ("uniform", "zipf"):
            for wanted, what in enumerate(("lookup + FM", "with concatenation")):
                given = (BATCH, out[0], out[1], sums, deep, wanted)
                sides = {
                    f"{n} together": several(
                        lambda i, c=code, t=rows, g=given: call(c.fm, t, t.shape[1], i % np.int32(len(t)), *g), kind
                    )
                    for n, code in codes.items()
                }
                lab.show(f"D = {dim}, {kind}, {what}", sides)


if __name__ == "__main__":
    main()
