// Sums of the columns of x [rows, columns], the second half of every sum over samples.
//
// The first half is a kernel's own: it leaves one row of partial sums for each piece of samples. How many pieces there
// are follows from shapes alone, and here their rows are added in a fixed order, so that results are the same bits.
#include "columns.cuh"
#include "common.cuh"

// out [pieces, columns], one row for each piece of ``piece_rows`` rows
template <class T>
__global__ void column_sums(const T* __restrict__ x, T* __restrict__ out, int64 rows, int64 columns, int64 across,
                            int64 piece_rows) {
    SHARED(T, held, 256);
    const ColumnTile<1> tile(rows, columns, across, piece_rows);
    T sums[1] = {T(0)};
#pragma unroll 8
    for (int64 row = tile.low; row < tile.high; row += tile.apart) sums[0] += x[row * columns + tile.column];
    tile.join(
        sums, held, [](T left, T right) { return left + right; },
        [&](int64 column, T sum) { out[tile.piece * columns + column] = sum; });
}
