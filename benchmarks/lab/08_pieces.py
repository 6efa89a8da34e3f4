"""08 Into how many pieces work is cut.

IDEA      One piece a thread waits for the slowest; many pieces even out what other processes take away, until their
          number costs more than it gains. Their borders depend on sizes alone, so threads change no bit.
MEASURED  Lookup + FM as in 01 on the package's C++ pool with all threads, B = 256, 4,096 and 16,384, cut into 1, 2, 4,
          8, 16, 64 and 256 pieces, which threads take as they come; beside it what pieces.hpp chooses.
RESULT    2026-11-26, Intel Xeon (model 207, AVX-512), 2 cores, last cache 300 MiB, load 2 to 3.5. Wall-clock, load 2.5,
          over one piece at B = 256 / 4,096 / 16,384: 2 pieces 0.74 / 0.90 / 0.85; 4 0.72 / 0.76 / 0.52; 8 0.72 / 0.57 /
          0.47; 16 0.72 / 0.53 / 0.48; 64 0.78 / 0.52 / 0.45; 256 1.04 / 0.59 / 0.47. The least to the largest by round
          reach from 0.1 to many times, as the load has it.
VERDICT   Stayed: pieces of 32 KiB, at most 64 (pieces.hpp: 13, 64 and 64 pieces here). One piece a thread loses up to
          1.9 times beside other processes.
"""

from __future__ import annotations

import time

import numpy as np
from bench_bed import BATCH, FIELDS, Lab, build, call, draw_ids, same, table

from fastfm_core import threads

CODE = """
#include "fastfm/pieces.hpp"
static void fm(const float* rows, const int32_t* ids, int64_t low, int64_t high, int64_t samples, float* out) {
    const int64_t last = samples * 26 - 1;
    for (int64_t b = low; b < high; ++b) {
        Line sum = {}, squares = {};
        for (int64_t i = b * 26; i < (b + 1) * 26; ++i) {
            prefetch(rows + int64_t(ids[std::min(i + 64, last)]) * 16);
            const Line row = load(rows + int64_t(ids[i]) * 16);
            sum += row, squares += row * row;
        }
        out[b] = 0.5f * total(sum * sum - squares);
    }
}
extern "C" void use_threads(int64_t count) { fastfm::pool::set_threads(int(count)); }
extern "C" void cut(const float* rows, const int32_t* ids, int64_t samples, int64_t pieces, float* out) {
    fastfm::pool::run(pieces, [&](int64_t p) {
        fm(rows, ids, fastfm::cut(samples, pieces, p), fastfm::cut(samples, pieces, p + 1), samples, out);
    });
}
extern "C" void chosen(const float* rows, const int32_t* ids, int64_t samples, int64_t* pieces) {
    *pieces = fastfm::pieces_of(samples, 26 * 64);
}
"""


def main() -> None:
    lab, code, rows = Lab(__doc__ or "", 101, time.perf_counter), build(CODE), table()
    call(code.use_threads, threads.get_num_threads())()
    for samples in (256, 4096, BATCH):
        batches = np.split(draw_ids("zipf", 8 * BATCH * FIELDS)[: 8 * samples * FIELDS], 8)
        number = np.zeros(1, np.int64)
        call(code.chosen, rows, batches[0], samples, number)()
        outs = np.zeros((7, samples), np.float32)
        sides = {}
        for pieces, out in zip((1, 2, 4, 8, 16, 64, 256), outs, strict=True):
            call(code.cut, rows, batches[0], samples, pieces, out)()
            turn = iter(range(1 << 30))
            calls = [call(code.cut, rows, ids, samples, pieces, out) for ids in batches]
            sides[f"{pieces} pieces"] = lambda calls=calls, turn=turn: calls[next(turn) % 8]
        same(*outs)
        lab.show(f"B = {samples}, pieces.hpp: {number[0]}", sides)


if __name__ == "__main__":
    main()
