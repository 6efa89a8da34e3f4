"""06 How distinct rows are found.

IDEA      A step needs its distinct rows, each with its entries. NumPy sorts; keys of (row, position) can be cut into
          parts by their upper bits and sorted by digits; a hash table need not sort entries at all.
MEASURED  Row plan (distinct rows, segments, order) of B x 26 Zipf ids of W1's million rows, one thread, B = 256, 4,096
          and 65,536: NumPy's stable argsort; std::sort of (row, position) keys; a hash table that numbers rows as they
          come, then counts and scatters; the same with its distinct rows sorted by digits, as the contract wants them;
          the native backend's partition with a radix sort of each part; the numba backend's.
RESULT    2026-11-26, Intel Xeon (model 207, AVX-512), 2 cores, last cache 300 MiB, load 2 to 3.5. Over NumPy's argsort
          at B = 256 / 4,096 / 65,536: std::sort 1.00 / 1.02 / 0.94; hash table 0.20 (0.18-0.26) / 0.16 (0.15-0.17) /
          0.20 (0.14-0.29); hash table, rows sorted 0.29 / 0.23 (0.22-0.25) / 0.22; native 0.30 (0.26-0.42) / 0.26
          (0.25-0.29) / 0.19 (0.14-0.31); numba 0.65 / 0.34 / 0.23.
VERDICT   The partition with a radix sort stayed (plan.hpp): with its calls from Python and its results' memory it takes
          what the hash table takes whose rows are sorted, and it runs on all threads. Unsorted rows would save a third
          at B=4,096; they went, for ascending rows make updates read memory in order (04) and plans merge.
"""

from __future__ import annotations

import numpy as np
from bench_bed import FIELDS, Lab, always, build, call

from fastfm_core import backends, threads
from fastfm_core.bench.timing import Call
from fastfm_core.bench.workload import ROWS, click_log

CODE = """
static int64_t segments_of(const std::vector<uint64_t>& keys, int32_t* rows, int64_t* segments, int32_t* order) {
    int64_t u = 0, count = keys.size();
    for (int64_t i = 0; i < count; ++i) {
        order[i] = int32_t(keys[i]);
        if (i == 0 || keys[i] >> 32 != keys[i - 1] >> 32) rows[u] = int32_t(keys[i] >> 32), segments[u++] = i;
    }
    segments[u] = count;
    return u;
}
extern "C" void by_sort(const int32_t* ids, int64_t count, int32_t* rows, int64_t* segments, int32_t* order,
                        int64_t* distinct) {
    static thread_local std::vector<uint64_t> keys;
    keys.resize(count);
    for (int64_t i = 0; i < count; ++i) keys[i] = uint64_t(ids[i]) << 32 | uint64_t(i);
    std::sort(keys.begin(), keys.end());
    *distinct = segments_of(keys, rows, segments, order);
}
static void radix(std::vector<uint64_t>& keys, std::vector<uint64_t>& spare, uint64_t largest) {
    spare.resize(keys.size());
    for (int shift = 32; largest >> (shift - 32); shift += 8) {
        int64_t next[257] = {};
        for (const uint64_t key : keys) ++next[(key >> shift & 255) + 1];
        for (int digit = 0; digit < 256; ++digit) next[digit + 1] += next[digit];
        for (const uint64_t key : keys) spare[next[key >> shift & 255]++] = key;
        keys.swap(spare);
    }
}
template <bool Ascending> static int64_t hash(const int32_t* ids, int64_t count, int32_t* rows, int64_t* segments,
                                              int32_t* order) {
    static thread_local std::vector<int32_t> slots, number, place_of;
    static thread_local std::vector<int64_t> next;
    static thread_local std::vector<uint64_t> keys, spare;
    int bits = 4;
    while ((int64_t(1) << bits) < 2 * count) ++bits;
    slots.assign(int64_t(1) << bits, -1);
    number.resize(count);
    const int64_t mask = (int64_t(1) << bits) - 1;
    int64_t u = 0;
    for (int64_t i = 0; i < count; ++i) {
        int64_t place = uint64_t(ids[i]) * 0x9E3779B97F4A7C15u >> (64 - bits);
        while (slots[place] >= 0 && rows[slots[place]] != ids[i]) place = (place + 1) & mask;
        if (slots[place] < 0) rows[u] = ids[i], segments[u] = 0, slots[place] = int32_t(u++);
        ++segments[number[i] = slots[place]];
    }
    if (Ascending) {
        keys.resize(u), place_of.resize(u), next.assign(segments, segments + u);
        int32_t largest = 0;
        for (int64_t k = 0; k < u; ++k) {
            keys[k] = uint64_t(rows[k]) << 32 | uint64_t(k);
            largest = std::max(largest, rows[k]);
        }
        radix(keys, spare, uint64_t(largest));
        for (int64_t k = 0; k < u; ++k) {
            rows[k] = int32_t(keys[k] >> 32), place_of[uint32_t(keys[k])] = int32_t(k);
            segments[k] = next[uint32_t(keys[k])];
        }
    }
    int64_t start = 0;
    for (int64_t k = 0; k < u; ++k) { const int64_t size = segments[k]; segments[k] = start; start += size; }
    next.assign(segments, segments + u);
    for (int64_t i = 0; i < count; ++i) order[next[Ascending ? place_of[number[i]] : number[i]]++] = int32_t(i);
    segments[u] = count;
    return u;
}
extern "C" void by_hash(const int32_t* i, int64_t n, int32_t* r, int64_t* s, int32_t* o, int64_t* distinct) {
    *distinct = hash<false>(i, n, r, s, o);
}
extern "C" void by_hash_ascending(const int32_t* i, int64_t n, int32_t* r, int64_t* s, int32_t* o, int64_t* distinct) {
    *distinct = hash<true>(i, n, r, s, o);
}
"""


def by_argsort(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, segments, order."""
    order = np.argsort(ids, kind="stable")
    placed = ids[order]
    starts = np.flatnonzero(np.concatenate([[True], placed[1:] != placed[:-1]]))
    return placed[starts], np.append(starts, len(ids)), order


def main() -> None:
    lab, code, log = Lab(__doc__ or ""), build(CODE), click_log(65536)
    threads.set_num_threads(1)
    for batch in (256, 4096, 65536):
        ids = np.ascontiguousarray(log.ids[:batch].reshape(-1))
        expected = by_argsort(ids)
        count = batch * FIELDS
        out = np.zeros(count, np.int32), np.zeros(count + 1, np.int64), np.zeros(count, np.int32), np.zeros(1, np.int64)
        sides: dict[str, Call] = {"NumPy's stable argsort": lambda ids=ids: by_argsort(ids)}
        functions = {
            "std::sort of keys": code.by_sort,
            "hash table": code.by_hash,
            "hash table, rows sorted": code.by_hash_ascending,
        }
        for name, function in functions.items():
            sides[name] = call(function, ids, count, *out)
            sides[name]()
            distinct = int(out[3][0])
            rows = out[0][:distinct]
            placed = np.repeat(rows, np.diff(out[1][: distinct + 1]))
            found = np.sort(rows) if name == "hash table" else rows
            right = np.array_equal(found, expected[0]) and np.array_equal(placed, ids[out[2]])
            if not right:
                raise SystemExit(f"{name} is wrong: nothing is timed")
        for name in ("native", "numba"):
            plan_rows = backends.get(name).plan_rows
            if not all(map(np.array_equal, plan_rows(ids, ROWS), expected)):
                raise SystemExit(f"{name} is wrong: nothing is timed")
            sides[f"{name}.plan_rows"] = lambda ids=ids, plan_rows=plan_rows: plan_rows(ids, ROWS)
        title = f"B = {batch}, {len(expected[0])} distinct of {count}"
        lab.show(title, {name: always(side) for name, side in sides.items()})


if __name__ == "__main__":
    main()
