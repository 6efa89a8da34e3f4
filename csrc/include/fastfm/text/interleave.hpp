// Columns into rows, a few rows at a time, so that their cache lines are still at hand when the last column comes.
#pragma once
#include <cstdint>

namespace fastfm::text {

constexpr int64_t rows_at_once = 64;

// Calls column_part(c, begin, end) for all columns of some rows, then for all columns of the next rows.
template <class Part> inline void by_rows(int64_t columns, int64_t rows, Part&& column_part) {
    for (int64_t begin = 0; begin < rows; begin += rows_at_once) {
        const int64_t end = begin + rows_at_once < rows ? begin + rows_at_once : rows;
        for (int64_t column = 0; column < columns; ++column) column_part(column, begin, end);
    }
}

// out[r, c] = ids[c][r] + bases[c]: columns [C] of [n], bases [C], out [n, C].
template <class Id>
inline void interleave_ids(const int64_t* const* ids, const int64_t* bases, int64_t columns, int64_t rows, Id* out) {
    by_rows(columns, rows, [=](int64_t c, int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) out[row * columns + c] = Id(ids[c][row] + bases[c]);
    });
}

// out[r, c] = values[c][r], or 1 where values[c] is null: columns [C] of [n], out [n, C].
inline void interleave_values(const float* const* values, int64_t columns, int64_t rows, float* out) {
    by_rows(columns, rows, [=](int64_t c, int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) out[row * columns + c] = values[c] ? values[c][row] : 1.0f;
    });
}

} // namespace fastfm::text
