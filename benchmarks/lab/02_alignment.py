"""02 Rows of 64 bytes that start on a cache line.

IDEA      NumPy's arrays start 16 bytes past a line, so every row of 64 bytes lies on two lines: twice the traffic.
MEASURED  Lookup + FM as in 01, 64 ahead, one thread; the table starts on a line, or 16 bytes past one. The row's first
          byte is prefetched, or its last one, too.
RESULT    2026-11-26, Intel Xeon (model 207, AVX-512), 2 cores, last cache 300 MiB, load 2 to 3.5. Over a table on a
          line, uniform / Zipf: first line prefetched 1.33 (1.20-1.44) / 1.36 (1.21-1.59); both prefetched 1.30
          (1.12-1.75) / 1.21 (1.12-1.43).
VERDICT   Stayed: tables are placed by backends/memory.py. The price of a table that is not is 1.2 to 1.4 times here,
          less than the 2 times of a Zen 3. A prefetch of the first line alone is no remedy.
"""

from __future__ import annotations

import numpy as np
from bench_bed import BATCH, FIELDS, ROWS, Lab, build, call, draw_ids, same, several, table

CODE = """
template <bool Both>
static void fm(const float* rows, const int32_t* ids, int64_t samples, int64_t fields, float* out) {
    const int64_t last = samples * fields - 1;
    for (int64_t b = 0; b < samples; ++b) {
        Line sum = {}, squares = {};
        for (int64_t i = b * fields; i < (b + 1) * fields; ++i) {
            const float* later = rows + int64_t(ids[std::min(i + 64, last)]) * 16;
            prefetch(later);
            if (Both) prefetch(later + 15);
            const Line row = load(rows + int64_t(ids[i]) * 16);
            sum += row, squares += row * row;
        }
        out[b] = 0.5f * total(sum * sum - squares);
    }
}
extern "C" void first(const float* r, const int32_t* i, int64_t s, int64_t f, float* o) { fm<false>(r, i, s, f, o); }
extern "C" void both(const float* r, const int32_t* i, int64_t s, int64_t f, float* o) { fm<true>(r, i, s, f, o); }
"""


def main() -> None:
    lab, code, rows, out = Lab(__doc__ or ""), build(CODE), table(), np.zeros((3, BATCH), np.float32)
    off = np.empty(ROWS * 16 + 64, np.float32)
    start = (-off.ctypes.data // 4 + 4) % 16
    off = off[start : start + ROWS * 16].reshape(ROWS, 16)
    off[:] = rows
    if (rows.ctypes.data % 64, off.ctypes.data % 64) != (0, 16):
        raise SystemExit("the tables are not placed as meant")
    work = {
        "on a line": (code.first, rows),
        "16 bytes off, first line prefetched": (code.first, off),
        "16 bytes off, both prefetched": (code.both, off),
    }
    for (function, where), result in zip(work.values(), out, strict=True):
        call(function, where, draw_ids("uniform"), BATCH, FIELDS, result)()
    same(*out)
    for kind in ("uniform", "zipf"):
        sides = {
            name: several(lambda ids, f=function, t=where: call(f, t, ids, BATCH, FIELDS, out[0]), kind)
            for name, (function, where) in work.items()
        }
        lab.show(kind, sides)


if __name__ == "__main__":
    main()
