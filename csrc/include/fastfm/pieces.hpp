// Work in pieces on the pool. How many there are depends on the amount of work alone, so small work is done by the
// caller at once and the borders, and with them the bits of every sum, are the same at any number of threads.
#pragma once
#include "fastfm/pool.hpp"
#include <algorithm>

namespace fastfm {

constexpr int64_t piece_bytes = 1 << 15;
constexpr int64_t most_pieces = 64;

// Into how many pieces `count` items are cut that move about `bytes_each`.
inline int64_t pieces_of(int64_t count, int64_t bytes_each) {
    return std::max<int64_t>(1, std::min({most_pieces, count, count * bytes_each / piece_bytes}));
}

// Where piece p of `count` items begins.
inline int64_t cut(int64_t count, int64_t pieces, int64_t p) { return count * p / pieces; }

// work(low, high) over the pieces of 0 .. count - 1
template <class Work> void in_pieces(int64_t count, int64_t bytes_each, Work&& work) {
    const int64_t pieces = pieces_of(count, bytes_each);
    pool::run(pieces, [&](int64_t p) { work(cut(count, pieces, p), cut(count, pieces, p + 1)); });
}

} // namespace fastfm
