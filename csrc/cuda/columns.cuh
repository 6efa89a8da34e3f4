// Sums over the rows of a matrix, column by column, in an order that shapes alone decide.

#pragma once

#include "common.cuh"

// The same places of two arrays.
template <class T, int V> struct Both {
    Vector<T, V> first, second;
};

template <int V, class T> __device__ __forceinline__ Both<T, V> load_both(const T* first, const T* second, int64 at) {
    return {load<V>(first + at), load<V>(second + at)};
}

// A block's share of x [rows, columns] where a thread keeps to its columns: V neighbouring ones, ``across`` threads
// side by side, the other threads in rows below, and the rows of one piece. Blocks go through a piece's columns first.
template <int V> struct ColumnTile {
    int64 piece;        // which piece of rows
    int64 first_column; // of the block
    int64 column;       // of the thread
    int64 low, high;    // the thread's rows are low, low + apart, ... below high; none where it has no column
    int64 columns;
    int across;
    int64 apart;

    __device__ __forceinline__ ColumnTile(int64 rows, int64 columns, int64 across, int64 piece_rows)
        : columns(columns), across(int(across)), apart(int(blockDim.x) / int(across)) {
        const int64 width = V * across, tiles = (columns + width - 1) / width;
        const int row = int(threadIdx.x) / this->across;
        piece = blockIdx.x / tiles;
        first_column = (blockIdx.x - piece * tiles) * width;
        column = first_column + V * (int(threadIdx.x) - row * this->across);
        high = (piece + 1) * piece_rows < rows ? (piece + 1) * piece_rows : rows;
        low = row < apart && column < columns ? piece * piece_rows + row : high;
    }

    // use(row, read(row)) for the thread's rows in order, of which several are read before the first is used.
    template <class Read, class Use> __device__ __forceinline__ void walk(Read read, Use use) const {
        constexpr int ahead = 4;
        for (int64 row = low; row < high; row += ahead * apart) {
            decltype(read(row)) rows[ahead];
#pragma unroll
            for (int n = 0; n < ahead; ++n)
                if (row + n * apart < high) rows[n] = read(row + n * apart);
#pragma unroll
            for (int n = 0; n < ahead; ++n)
                if (row + n * apart < high) use(row + n * apart, rows[n]);
        }
    }

    // Joins the threads' parts of each column, from the upper to the lower ones; ``held`` has V parts a thread. One
    // thread a column calls done(column, joined).
    template <class Part, class Join, class Done>
    __device__ __forceinline__ void join(const Part (&parts)[V], Part* held, Join add, Done done) const {
        for (int k = 0; k < V; ++k) held[threadIdx.x * V + k] = parts[k];
        __syncthreads();
        const int width = V * across, own = int(threadIdx.x);
        if (own < width && first_column + own < columns) {
            Part joined = held[own];
            for (int row = 1; row < apart; ++row) joined = add(joined, held[row * width + own]);
            done(first_column + own, joined);
        }
        __syncthreads();
    }
};
