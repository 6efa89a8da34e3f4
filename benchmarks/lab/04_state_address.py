"""04 Where a row's Adagrad state lies beside its weights.

IDEA      Two arrays whose rows have equal addresses modulo 4096 meet in the same sets of the cache, and a load looks as
          if it depended on the store before it. A shift by a line, or one array for both, avoids that.
MEASURED  Adagrad on 65,536 distinct rows in ascending order, then in random order, of 4 M, one constant gradient, 32
          rows ahead, one thread. State in a table of its own whose rows have the address of the weights' rows modulo
          4096; shifted by a line; weights and state in turns in one table, 128 bytes a row.
RESULT    2026-11-26, Intel Xeon (model 207, AVX-512), 2 cores, last cache 300 MiB, load 2 to 3.5. Over the same
          address, ascending / random: shifted by a line 1.02 (0.88-1.10) / 0.97 (0.92-1.05); in turns 0.85 (0.77-0.93)
          / 0.62 (0.59-0.66).
VERDICT   The shift stayed (backends/memory.py, ``line``), for it costs nothing and was worth 2 times on a Zen 3. On
          this CPU it gains nothing. What gains is one array for weights and state: 1.2 times on ascending rows, as
          plans have them, 1.6 on random ones. It is not used: lookups would read a line of every two from a table twice
          as long, which is still to be measured. Plans' ascending rows alone are worth 2 times.
"""

from __future__ import annotations

import numpy as np
from bench_bed import Lab, always, build, call, same, table

from fastfm_core.backends.memory import aligned_zeros

V, CHANGED = 1 << 22, 65_536
CODE = """
extern "C" void adagrad(float* weights, float* states, int64_t stride, const int32_t* rows, int64_t count) {
    const Line gradient = load(weights) * 0.0f + 0.01f;
    for (int64_t u = 0; u < count; ++u) {
        const int64_t later = int64_t(rows[std::min(u + 32, count - 1)]) * stride, here = int64_t(rows[u]) * stride;
        prefetch(weights + later);
        prefetch(states + later);
        const Line state = load(states + here) + gradient * gradient;
        Line root;
        for (int l = 0; l < 16; ++l) root[l] = __builtin_sqrtf(state[l]);
        store(states + here, state);
        store(weights + here, load(weights + here) - 0.05f * gradient / (root + 1e-8f));
    }
}
"""


def main() -> None:
    lab, code = Lab(__doc__ or ""), build(CODE)
    weights, together = table(V), aligned_zeros((V, 32), np.float32)
    equal, shifted = aligned_zeros((V, 16), np.float32), aligned_zeros((V, 16), np.float32, line=1)
    together[:, :16] = weights
    equal[:], shifted[:], together[:, 16:] = 0.1, 0.1, 0.1
    copies = weights.copy()
    draw = np.random.default_rng(3)
    rows = draw.choice(V, CHANGED, replace=False).astype(np.int32)
    sorted_rows = np.sort(rows)
    call(code.adagrad, weights, equal, 16, rows, CHANGED)()
    other = aligned_zeros((V, 16), np.float32)
    other[:] = copies
    call(code.adagrad, other, shifted, 16, rows, CHANGED)()
    call(code.adagrad, together, together[:, 16:], 32, rows, CHANGED)()
    same(weights, other, together[:, :16])
    for order, chosen in (("rows ascending", sorted_rows), ("rows in random order", rows)):
        lab.show(
            order,
            {
                "same address modulo 4096": always(call(code.adagrad, weights, equal, 16, chosen, CHANGED)),
                "shifted by a line": always(call(code.adagrad, weights, shifted, 16, chosen, CHANGED)),
                "in turns, one table": always(call(code.adagrad, together, together[:, 16:], 32, chosen, CHANGED)),
            },
        )


if __name__ == "__main__":
    main()
