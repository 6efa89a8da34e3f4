"""03 Where the first-order weight lies.

IDEA      A first-order weight of 4 bytes in a table of its own costs a line of 64. Behind its row it costs a second
          line in some rows; as a lane of the row's own line it costs nothing.
MEASURED  Lookup + FM + first order of 16,384 x 26 ids, 8 M rows, 64 ahead, one thread: no weight at all (D=16); a table
          of weights of its own; behind the row, which is 80 bytes then; as last lane of a 64-byte row (D=15).
RESULT    2026-11-26, Intel Xeon (model 207, AVX-512), 2 cores, last cache 300 MiB, load 2 to 3.5. Over no first order,
          uniform / Zipf: table of its own 1.67 (1.55-1.81) / 1.83 (0.99-1.90); row of 80 bytes 1.53 (1.40-1.64) / 1.43
          (0.77-1.54); lane 1.01 (0.91-1.06) / 0.94 (0.51-1.22).
VERDICT   The lane stayed where D + 1 fits into the line (lookup.hpp, is_lane); at D=16 the model still has a table of
          its own, since another D would be another model: D=15 is the faster choice by 1.7 times. Rows of 80 bytes
          went.
"""

from __future__ import annotations

import numpy as np
from bench_bed import BATCH, FIELDS, ROWS, Lab, build, call, several, table

CODE = """
enum { none, apart, behind, lane };
template <int Where> static void fm(const float* rows, const float* weights, int64_t stride, const int32_t* ids,
                                    int64_t samples, int64_t fields, float* out) {
    const int64_t last = samples * fields - 1;
    for (int64_t b = 0; b < samples; ++b) {
        Line sum = {}, squares = {};
        float first = 0;
        for (int64_t i = b * fields; i < (b + 1) * fields; ++i) {
            const int64_t later = ids[std::min(i + 64, last)], id = ids[i];
            prefetch(rows + later * stride);
            if (Where == apart) prefetch(weights + later);
            if (Where == behind) prefetch(rows + later * stride + 16);
            const Line row = load(rows + id * stride);
            if (Where == apart) first += weights[id];
            if (Where == behind) first += rows[id * stride + 16];
            sum += row;
            Line kept = row;
            if (Where == lane) kept[15] = 0;
            squares += kept * kept;
        }
        Line kept = sum;
        if (Where == lane) first = sum[15], kept[15] = 0;
        out[b] = 0.5f * total(kept * kept - squares) + first;
    }
}
#define SIDE(name) extern "C" void fm_##name(const float* r, const float* w, int64_t t, const int32_t* i, int64_t s, \\
                                             int64_t f, float* o) { fm<name>(r, w, t, i, s, f, o); }
SIDE(none) SIDE(apart) SIDE(behind) SIDE(lane)
"""


def check(rows: np.ndarray, weights: np.ndarray, ids: np.ndarray, out: np.ndarray) -> None:
    """Against the formula in float64, on the first samples."""
    chosen = ids.reshape(BATCH, FIELDS)[:64]
    vectors = rows[chosen].astype(np.float64)
    expected = 0.5 * (vectors.sum(1) ** 2 - (vectors**2).sum(1)).sum(1) + weights[chosen].astype(np.float64).sum(1)
    if np.abs(out[:64] - expected).max() > 1e-4 * np.abs(expected).max():
        raise SystemExit("a side is wrong: nothing is timed")


def main() -> None:
    lab, code, rows, out = Lab(__doc__ or ""), build(CODE), table(), np.zeros(BATCH, np.float32)
    weights = np.random.default_rng(2).standard_normal(ROWS, dtype=np.float32)
    wide = table(dim=20)
    wide[:, :16], wide[:, 16] = rows, weights
    nothing = np.zeros(1, np.float32)
    work = {
        "no first order": (code.fm_none, rows, nothing, 16, rows, np.zeros(ROWS, np.float32)),
        "table of its own": (code.fm_apart, rows, weights, 16, rows, weights),
        "row of 80 bytes": (code.fm_behind, wide, nothing, 20, rows, weights),
        "lane of a 64-byte row": (code.fm_lane, rows, nothing, 16, rows[:, :15], rows[:, 15]),
    }
    ids = np.random.default_rng(3).integers(0, ROWS, BATCH * FIELDS).astype(np.int32)
    for function, where, first, stride, vectors, expected in work.values():
        call(function, where, first, stride, ids, BATCH, FIELDS, out)()
        check(vectors, expected, ids, out)
    for kind in ("uniform", "zipf"):
        sides = {
            name: several(lambda i, f=f, t=t, w=w, s=s: call(f, t, w, s, i, BATCH, FIELDS, out), kind)
            for name, (f, t, w, s, *_) in work.items()
        }
        lab.show(kind, sides)


if __name__ == "__main__":
    main()
