"""01 How far ahead rows are asked for.

IDEA      A row at a random place costs a wait for memory. The ids are known beforehand, so the row of a later one can
          be asked for while earlier rows are summed, across the borders of samples.
MEASURED  Lookup + FM of 16,384 x 26 uniform and Zipf ids, rows of one line, 8 M rows, one thread; the row of the id 0,
          8, 16, 32, 64 or 128 places ahead is prefetched.
RESULT    2026-11-26, Intel Xeon (model 207, AVX-512), 2 cores, last cache 300 MiB, load 2 to 3.5. Over no prefetch,
          uniform / Zipf: 8 ahead 1.03 (0.89-1.20) / 1.12 (0.97-1.15); 16 0.91 (0.80-1.06) / 0.91 (0.68-0.96); 32 0.89
          (0.73-0.98) / 0.73 (0.64-0.79); 64 0.86 (0.73-1.01) / 0.71 (0.60-0.76); 128 0.85 (0.71-1.03) / 0.69
          (0.58-0.76).
VERDICT   Stayed: lookup.hpp asks 64 ahead, beyond which little is gained. But the gain is 1.2 to 1.4 times here, where
          it was nearly 5 times on a Zen 3: this CPU looks far ahead by itself. A short distance is worse than none.
"""

from __future__ import annotations

import numpy as np
from bench_bed import BATCH, FIELDS, Lab, build, call, draw_ids, same, several, table

CODE = """
extern "C" void fm(const float* rows, const int32_t* ids, int64_t samples, int64_t fields, int64_t ahead, float* out) {
    const int64_t last = samples * fields - 1;
    for (int64_t b = 0; b < samples; ++b) {
        Line sum = {}, squares = {};
        for (int64_t i = b * fields; i < (b + 1) * fields; ++i) {
            if (ahead) prefetch(rows + int64_t(ids[std::min(i + ahead, last)]) * 16);
            const Line row = load(rows + int64_t(ids[i]) * 16);
            sum += row, squares += row * row;
        }
        out[b] = 0.5f * total(sum * sum - squares);
    }
}
"""


def main() -> None:
    lab, code, rows = Lab(__doc__ or ""), build(CODE), table()
    outs = {ahead: np.zeros(BATCH, np.float32) for ahead in (0, 8, 16, 32, 64, 128)}
    for ahead, out in outs.items():
        call(code.fm, rows, draw_ids("uniform"), BATCH, FIELDS, ahead, out)()
    same(*outs.values())
    for kind in ("uniform", "zipf"):
        sides = {
            f"{ahead} ahead": several(lambda ids, a=ahead, o=out: call(code.fm, rows, ids, BATCH, FIELDS, a, o), kind)
            for ahead, out in outs.items()
        }
        lab.show(kind, sides)


if __name__ == "__main__":
    main()
