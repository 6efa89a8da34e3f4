"""09 Sums in registers, by explicit vectors.

IDEA      d running sums and one line of squares fit into registers. Compilers do not keep sums there that a loop over
          dims adds to, and the single sum of squares forces additions into order.
MEASURED  Lookup + FM of 16,384 x 26 Zipf ids, D=16, 64 ahead, one thread; a table of 512 MiB, then one of 256 KiB that
          the cache holds. Vectors of a line with both sums in registers; loops over dims that the compiler vectorises,
          D known when compiling; the same with D known at run time only.
RESULT    2026-11-26, Intel Xeon (model 207, AVX-512), 2 cores, last cache 300 MiB, load 2 to 3.5. Over vectors, 512 MiB
          / 256 KiB: loops with D known 3.73 (3.32-4.22) / 12.34 (8.71-13.51); with D unknown 3.12 (2.88-3.55) / 10.54
          (7.16-12.06). g++ 12.
VERDICT   Vectors stayed (vector.hpp, a template on the number of lines); auto-vectorised loops went. Knowing D does not
          help a loop whose sums are in order.
"""

from __future__ import annotations

import numpy as np
from bench_bed import BATCH, FIELDS, ROWS, Lab, build, call, draw_ids, same, several, table

CODE = """
extern "C" void vectors(const float* rows, const int32_t* ids, int64_t samples, int64_t fields, int64_t, float* out) {
    const int64_t last = samples * fields - 1;
    for (int64_t b = 0; b < samples; ++b) {
        Line sum = {}, squares = {};
        for (int64_t i = b * fields; i < (b + 1) * fields; ++i) {
            prefetch(rows + int64_t(ids[std::min(i + 64, last)]) * 16);
            const Line row = load(rows + int64_t(ids[i]) * 16);
            sum += row, squares += row * row;
        }
        out[b] = 0.5f * total(sum * sum - squares);
    }
}
template <class Dim> static void loops(const float* rows, const int32_t* ids, int64_t samples, int64_t fields, Dim dim,
                                       float* out) {
    const int64_t last = samples * fields - 1;
    for (int64_t b = 0; b < samples; ++b) {
        float sum[64] = {}, squares = 0, pair = 0;
        for (int64_t i = b * fields; i < (b + 1) * fields; ++i) {
            prefetch(rows + int64_t(ids[std::min(i + 64, last)]) * dim);
            const float* row = rows + int64_t(ids[i]) * dim;
            for (int64_t d = 0; d < dim; ++d) sum[d] += row[d], squares += row[d] * row[d];
        }
        for (int64_t d = 0; d < dim; ++d) pair += sum[d] * sum[d];
        out[b] = 0.5f * (pair - squares);
    }
}
struct Sixteen { constexpr operator int64_t() const { return 16; } };
extern "C" void known(const float* r, const int32_t* i, int64_t s, int64_t f, int64_t, float* o) {
    loops(r, i, s, f, Sixteen{}, o);
}
extern "C" void unknown(const float* r, const int32_t* i, int64_t s, int64_t f, int64_t dim, float* o) {
    loops(r, i, s, f, dim, o);
}
"""


def main() -> None:
    lab, code, rows = Lab(__doc__ or ""), build(CODE), table()
    work = {"vectors": code.vectors, "loops, D known": code.known, "loops, D unknown": code.unknown}
    outs = np.zeros((3, BATCH), np.float32)
    for function, out in zip(work.values(), outs, strict=True):
        call(function, rows, draw_ids("zipf"), BATCH, FIELDS, 16, out)()
    same(*outs)
    for kept, title in ((ROWS, "512 MiB"), (4096, "256 KiB")):
        sides = {
            name: several(lambda i, f=f, k=kept: call(f, rows, i % np.int32(k), BATCH, FIELDS, 16, outs[0]), "zipf")
            for name, f in work.items()
        }
        lab.show(title, sides)


if __name__ == "__main__":
    main()
