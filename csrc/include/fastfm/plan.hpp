// Row plans: ids -> distinct rows, segments and order, by one stable partition into buckets and a sort of each bucket.
//
// A key is (row << 32) | position, so the result is *the* sorted order and no cut into pieces can change it. The phases
// run one after another, each in pieces: count, (prefix sums), scatter, sort_bucket, (prefix sums), write_segments.
#pragma once
#include "fastfm/isa.hpp"

namespace fastfm {
inline namespace FASTFM_ISA {

constexpr int64_t digit_bits = 8;
constexpr int64_t few_keys = 24; // sorted by insertion

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

// One stable pass over the digit at `shift`.
inline void radix_pass(const uint64_t* from, uint64_t* to, int64_t count, int64_t shift) {
    constexpr uint64_t mask = (1 << digit_bits) - 1;
    uint32_t next[mask + 1] = {};
    for (int64_t i = 0; i < count; ++i) ++next[from[i] >> shift & mask];
    uint32_t place = 0;
    for (uint32_t& digit : next) {
        const uint32_t size = digit;
        digit = place;
        place += size;
    }
    for (int64_t i = 0; i < count; ++i) to[next[from[i] >> shift & mask]++] = from[i];
}

// Sorts keys by the lowest `bits` bits of their rows; they come in the order of their positions, which stays.
inline void sort_keys(uint64_t* keys, uint64_t* spare, int64_t count, int64_t bits) {
    if (count <= few_keys) return insertion_sort(keys, count);
    bool swapped = false;
    for (int64_t digit = 0; digit < bits; digit += digit_bits, swapped = !swapped)
        radix_pass(swapped ? spare : keys, swapped ? keys : spare, count, 32 + digit);
    if (swapped) std::memcpy(keys, spare, count * sizeof *keys);
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
