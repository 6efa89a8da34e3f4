// Matrix products on the pool: out [M, N] = left [M, K] @ right [K, N], float32 or float64.
//
// BLAS computes on one thread a call; we cut the product and let the pool work on the pieces. The cut is the caller's
// (fastfm_core/backends/blas.py has the rule) and follows the shape alone, so the bits do not depend on threads:
//     rows > 1     blocks of ceil(M / rows) rows of out, each one product
//     inner > 1    blocks of ceil(K / inner) of the summed index, each a partial product [M, N]; partials are added in
//                  order. For the few rows but long sums of a small layer's weight gradient.
// Nothing is copied: a transposed view is passed to BLAS as it lies.
#pragma once

#include <algorithm>
#include <cstdint>

#include "fastfm/pool.hpp"

namespace fastfm::gemm {

// Element (i, j) is data[i * stride + j], or data[j * stride + i] if transposed. stride is at least the length of a
// contiguous run, and at least 1.
template <class T> struct Matrix {
    T* data;
    int64_t stride;
    bool transposed;

    Matrix from_row(int64_t row) const { return {data + row * (transposed ? 1 : stride), stride, transposed}; }
    Matrix from_column(int64_t column) const { return {data + column * (transposed ? stride : 1), stride, transposed}; }
};

struct Shape {
    int64_t rows, inner, columns;
};

struct Cut {
    int64_t rows, inner;
};

// cblas_sgemm and cblas_dgemm of one library, whose integers have 32 or 64 bits.
struct Blas {
    void* sgemm = nullptr;
    void* dgemm = nullptr;
    bool wide = false;
};

template <class T, class Int>
void call(void* function, const Shape& shape, Matrix<const T> left, Matrix<const T> right, T beta, Matrix<T> out) {
    using Gemm = void (*)(int, int, int, Int, Int, Int, T, const T*, Int, const T*, Int, T, T*, Int);
    constexpr int ROW_MAJOR = 101, AS_IS = 111, TRANSPOSED = 112;
    const auto integer = [](int64_t value) { return static_cast<Int>(value); };
    reinterpret_cast<Gemm>(function)(ROW_MAJOR, left.transposed ? TRANSPOSED : AS_IS,
                                     right.transposed ? TRANSPOSED : AS_IS, integer(shape.rows), integer(shape.columns),
                                     integer(shape.inner), T(1), left.data, integer(left.stride), right.data,
                                     integer(right.stride), beta, out.data, integer(out.stride));
}

// One product on the calling thread.
template <class T>
void multiply(const Blas& blas, const Shape& shape, Matrix<const T> left, Matrix<const T> right, Matrix<T> out) {
    void* const function = sizeof(T) == 4 ? blas.sgemm : blas.dgemm;
    if (blas.wide) call<T, int64_t>(function, shape, left, right, T(0), out);
    else call<T, int32_t>(function, shape, left, right, T(0), out);
}

template <class T>
void by_rows(const Blas& blas, const Shape& shape, int64_t pieces, Matrix<const T> left, Matrix<const T> right,
             Matrix<T> out) {
    const int64_t size = (shape.rows + pieces - 1) / pieces;
    pool::run(pieces, [&](int64_t piece) {
        const int64_t low = piece * size, rows = std::min(size, shape.rows - low);
        if (rows > 0) multiply(blas, {rows, shape.inner, shape.columns}, left.from_row(low), right, out.from_row(low));
    });
}

// scratch [pieces, M, N] takes the partial products.
template <class T>
void by_inner(const Blas& blas, const Shape& shape, int64_t pieces, Matrix<const T> left, Matrix<const T> right,
              Matrix<T> out, T* scratch) {
    const int64_t size = (shape.inner + pieces - 1) / pieces, area = shape.rows * shape.columns;
    pool::run(pieces, [&](int64_t piece) {
        const int64_t low = std::min(piece * size, shape.inner), inner = std::min(size, shape.inner - low);
        multiply(blas, {shape.rows, inner, shape.columns}, left.from_column(low), right.from_row(low),
                 Matrix<T>{scratch + piece * area, shape.columns, false});
    });
    for (int64_t row = 0; row < shape.rows; row++) {
        T* const sums = out.from_row(row).data;
        const T* const partial = scratch + row * shape.columns;
        std::copy_n(partial, shape.columns, sums);
        for (int64_t piece = 1; piece < pieces; piece++)
            for (int64_t column = 0; column < shape.columns; column++) sums[column] += partial[piece * area + column];
    }
}

} // namespace fastfm::gemm
