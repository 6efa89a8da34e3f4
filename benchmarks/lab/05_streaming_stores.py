"""05 Stores past the caches for the concatenated rows.

IDEA      An ordinary store reads the line that it overwrites. A non-temporal one does not, but then whoever reads the
          output finds it in memory, not in the cache.
MEASURED  Rows of uniform ids copied into [N, 16], 64 ahead, one thread: ordinary stores against non-temporal ones; then
          the same followed by one pass that reads the output, as the MLP does. N from 26 K (1.7 MB) to 1.7 M.
RESULT    2026-11-26, Intel Xeon (model 207, AVX-512), 2 cores, last cache 300 MiB, load 2 to 3.5. Streamed over cached,
          written alone / written and read: 1.7 MB 0.88 / 1.06; 6.8 MB 0.85 / 0.90; 27 MB 0.87 / 0.92; 109 MB 0.92 /
          0.95 (medians; the least to the largest by round 0.71-1.6).
VERDICT   Stayed, from 16 MiB on (library/run.hpp, uncached_bytes). Here it would pay from 7 MB already, by a tenth,
          and even where the last cache would hold the output, against what lookup.cpp assumes.
"""

from __future__ import annotations

import numpy as np
from bench_bed import Lab, always, build, call, draw_ids, same, table

from fastfm_core.backends.memory import aligned_zeros

CODE = """
template <bool Stream> static void copy(const float* rows, const int32_t* ids, int64_t count, float* out) {
    for (int64_t i = 0; i < count; ++i) {
        prefetch(rows + int64_t(ids[std::min(i + 64, count - 1)]) * 16);
        const Line row = load(rows + int64_t(ids[i]) * 16);
        if (Stream) {
            typedef float Part __attribute__((vector_size(16)));
            typedef long long Bits __attribute__((vector_size(16)));
            for (int p = 0; p < 4; ++p) {
                Bits bits;
                std::memcpy(&bits, reinterpret_cast<const char*>(&row) + 16 * p, 16);
                __builtin_ia32_movntdq(reinterpret_cast<Bits*>(out + i * 16 + 4 * p), bits);
            }
        } else store(out + i * 16, row);
    }
    if (Stream) __builtin_ia32_sfence();
}
template <bool Stream> static void read(const float* rows, const int32_t* ids, int64_t count, float* out, float* sum) {
    copy<Stream>(rows, ids, count, out);
    Line all = {};
    for (int64_t i = 0; i < count; ++i) all += load(out + i * 16);
    store(sum, all);
}
#define SIDES(name, stream) \\
    extern "C" void write_##name(const float* r, const int32_t* i, int64_t n, float* o, float*) { \\
        copy<stream>(r, i, n, o); } \\
    extern "C" void read_##name(const float* r, const int32_t* i, int64_t n, float* o, float* s) { \\
        read<stream>(r, i, n, o, s); }
SIDES(cached, false) SIDES(streamed, true)
"""


def main() -> None:
    lab, code, rows, total = Lab(__doc__ or ""), build(CODE), table(), np.zeros((2, 16), np.float32)
    for samples in (1024, 4096, 16384, 65536):
        count = samples * 26
        ids, out = draw_ids("uniform", count), aligned_zeros((count, 16), np.float32)
        for name, place in (("cached", 0), ("streamed", 1)):
            call(getattr(code, f"read_{name}"), rows, ids, count, out, total[place])()
        same(*total)
        sides = {
            f"{what}, {name}": always(call(getattr(code, f"{verb}_{name}"), rows, ids, count, out, total[0]))
            for what, verb in (("written", "write"), ("written and read", "read"))
            for name in ("cached", "streamed")
        }
        lab.show(f"{samples} samples, {out.nbytes / 1e6:.1f} MB", sides)


if __name__ == "__main__":
    main()
