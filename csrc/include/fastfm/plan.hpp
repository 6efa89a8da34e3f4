// Row plans: ids -> distinct rows, segments and order, by one stable partition into buckets and a sort of each bucket.
//
// A key is (row << 32) | position, so the result is *the* sorted order and no cut into pieces can change it. The phases
// run one after another, each in pieces: count, (prefix sums), scatter, sort_bucket, (prefix sums), write_segments.
#pragma once
#include "fastfm/isa.hpp"

namespace fastfm {
inline namespace FASTFM_ISA {

constexpr int64_t widest_digit = 8; // bits
constexpr int64_t few_keys = 24;    // sorted by insertion

// histogram[bucket] += the ids of low .. high - 1 that fall into it
template <class Id> void count_ids(const Id* ids, int64_t low, int64_t high, int64_t shift, int64_t* histogram) {
    for (int64_t i = low; i < high; ++i) ++histogram[ids[i] >> shift];
}

// Keys of low .. high - 1 to their buckets; next[bucket] is where the bucket's next key goes.
template <class Id>
void scatter_keys(const Id* ids, int64_t low, int64_t high, int64_t shift, int64_t* next, uint64_t* keys) {
    for (int64_t i = low; i < high; ++i) keys[next[ids[i] >> shift]++] = uint64_t(ids[i]) << 32 | uint64_t(i);
}

inline void insertion_sort(uint64_t* keys, int64_t count) {
    for (int64_t i = 1; i < count; ++i) {
        const uint64_t key = keys[i];
        int64_t j = i;
        for (; j > 0 && keys[j - 1] > key; --j) keys[j] = keys[j - 1];
        keys[j] = key;
    }
}

// One stable pass over the digit of `width` bits at `shift`.
inline void radix_pass(const uint64_t* from, uint64_t* to, int64_t count, int64_t shift, int64_t width) {
    const uint64_t mask = (uint64_t(1) << width) - 1;
    uint32_t next[1 << widest_digit];
    std::memset(next, 0, sizeof *next << width);
    for (int64_t i = 0; i < count; ++i) ++next[from[i] >> shift & mask];
    uint32_t place = 0;
    for (uint64_t digit = 0; digit <= mask; ++digit) {
        const uint32_t size = next[digit];
        next[digit] = place;
        place += size;
    }
    for (int64_t i = 0; i < count; ++i) to[next[from[i] >> shift & mask]++] = from[i];
}

// Sorts keys by the lowest `bits` bits of their rows; they come in the order of their positions, which stays. As few
// digits as will do, and as narrow: a short bucket would spend its time on counters.
inline void sort_keys(uint64_t* keys, uint64_t* spare, int64_t count, int64_t bits) {
    if (count <= few_keys) return insertion_sort(keys, count);
    const int64_t passes = (bits + widest_digit - 1) / widest_digit;
    for (int64_t pass = 0; pass < passes; ++pass) {
        const int64_t low = bits * pass / passes, high = bits * (pass + 1) / passes;
        const bool swapped = pass % 2 == 1;
        radix_pass(swapped ? spare : keys, swapped ? keys : spare, count, 32 + low, high - low);
    }
    if (passes % 2 == 1) std::memcpy(keys, spare, count * sizeof *keys);
}

inline bool starts_row(const uint64_t* keys, int64_t i, int64_t start) {
    return i == start || keys[i] >> 32 != keys[i - 1] >> 32;
}

// Sorts the bucket start .. stop - 1 and writes its part of order; returns its number of distinct rows.
inline int64_t sort_bucket(uint64_t* keys, uint64_t* spare, int64_t start, int64_t stop, int64_t bits, int32_t* order) {
    sort_keys(keys + start, spare + start, stop - start, bits);
    int64_t distinct = 0;
    for (int64_t i = start; i < stop; ++i) {
        order[i] = int32_t(uint32_t(keys[i]));
        distinct += starts_row(keys, i, start);
    }
    return distinct;
}

// Rows and segment starts of the bucket start .. stop - 1, whose first distinct row is number u.
template <class Id>
void write_segments(const uint64_t* keys, int64_t start, int64_t stop, int64_t u, Id* rows, int64_t* segments) {
    for (int64_t i = start; i < stop; ++i) {
        if (!starts_row(keys, i, start)) continue;
        rows[u] = Id(keys[i] >> 32);
        segments[u++] = i;
    }
}

} // namespace FASTFM_ISA
} // namespace fastfm
