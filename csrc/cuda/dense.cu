// Dense helpers on activations [B, H]: bias, ReLU and dropout in one pass, its backward with the bias gradient in one
// pass, and dropout of any array. Formulas: fastfm_core/contract.py.
//
// Dropout of element j takes word j % 4 of the Philox4x32-10 block of number j / 4 (Salmon et al., "Parallel Random
// Numbers: As Easy as 1, 2, 3", SC 2011): the bits of fastfm_core/random.py. A thread works on four neighbours, which
// share a block. V is 4 where they are one access, else 1. The bias gradient is summed by pieces of rows whose number
// depends on the shape alone; columns.cu adds the pieces.
#include "columns.cuh"
#include "common.cuh"

// Which mask: the halves of the seed, the step and the layer; draws below the threshold drop, others are scaled. Seed
// and step are read from device memory where they are given there.
struct Mask {
    uint32 seed_low, seed_high, step, layer, threshold;
    double scale;

    __device__ __forceinline__ Mask(int64 low, int64 high, int64 step, int64 layer, int64 threshold, double scale,
                                    const int64* live_seed, const int64* live_step)
        : seed_low(uint32(live_seed ? *live_seed : low)), seed_high(uint32(live_seed ? *live_seed >> 32 : high)),
          step(uint32(live_step ? *live_step : step)), layer(uint32(layer)), threshold(uint32(threshold)),
          scale(scale) {}

    // The draws of elements 4 * block .. 4 * block + 3.
    __device__ __forceinline__ Vector<uint32, 4> draws(uint64 block) const {
        uint32 c0 = uint32(block), c1 = step, c2 = layer, c3 = uint32(block >> 32);
        uint32 key0 = seed_low, key1 = seed_high;
#pragma unroll
        for (int round = 0; round < 10; ++round, key0 += 0x9E3779B9u, key1 += 0xBB67AE85u) {
            const uint64 product0 = c0 * uint64(0xD2511F53u), product1 = c2 * uint64(0xCD9E8D57u);
            c0 = uint32(product1 >> 32) ^ c1 ^ key0, c1 = uint32(product1);
            c2 = uint32(product0 >> 32) ^ c3 ^ key1, c3 = uint32(product0);
        }
        return {{c0, c1, c2, c3}};
    }

    template <class T> __device__ __forceinline__ void apply(Vector<T, 4>& values, int64 first) const {
        const Vector<uint32, 4> drawn = draws(uint64(first) / 4);
        for (int k = 0; k < 4; ++k) values.at[k] = drawn.at[k] < threshold ? T(0) : values.at[k] * T(scale);
    }
};

// Four neighbours of which ``left`` exist; all do where V is 4.
template <int V, class T> __device__ __forceinline__ Vector<T, 4> load_four(const T* from, int64 left) {
    if constexpr (V == 4) {
        return load<4>(from);
    } else {
        Vector<T, 4> values;
        for (int k = 0; k < 4; ++k) values.at[k] = k < left ? from[k] : T(0);
        return values;
    }
}

template <int V, class T> __device__ __forceinline__ void store_four(T* to, const Vector<T, 4>& values, int64 left) {
    if constexpr (V == 4) {
        store<4>(to, values);
    } else {
        for (int k = 0; k < 4; ++k)
            if (k < left) to[k] = values.at[k];
    }
}

// The bias of element ``first`` of x [., columns] and of its three neighbours.
template <int V, class T> __device__ __forceinline__ Vector<T, 4> load_bias(const T* bias, int64 first, int64 columns) {
    int64 column = first % columns;
    if constexpr (V == 4) {
        return load<4>(bias + column);
    } else {
        Vector<T, 4> values;
        for (int k = 0; k < 4; ++k, column = column + 1 < columns ? column + 1 : 0) values.at[k] = bias[column];
        return values;
    }
}

// In place on the ``count`` elements of x [B, H]: relu(x + bias), then dropout if ``dropping``. NaN stays NaN.
// A thread has two fours, a block's width apart.
template <class T, int V>
__global__ void bias_relu_dropout(T* x, const T* __restrict__ bias, int64 columns, int64 count, int64 dropping,
                                  int64 seed_low, int64 seed_high, int64 step, int64 layer, int64 threshold,
                                  double scale, const int64* __restrict__ live_seed,
                                  const int64* __restrict__ live_step) {
    const Mask mask(seed_low, seed_high, step, layer, threshold, scale, live_seed, live_step);
    Vector<T, 4> values[2];
    const int64 start = 4 * (2 * int64(blockIdx.x) * blockDim.x + threadIdx.x), apart = 4 * int64(blockDim.x);
    for (int n = 0; n < 2; ++n)
        if (const int64 first = start + n * apart; first < count) values[n] = load_four<V>(x + first, count - first);
    for (int n = 0; n < 2; ++n) {
        const int64 first = start + n * apart;
        if (first >= count) return;
        const Vector<T, 4> added = load_bias<V>(bias, first, columns);
        for (int k = 0; k < 4; ++k) {
            const T sum = values[n].at[k] + added.at[k];
            values[n].at[k] = sum < T(0) ? T(0) : sum;
        }
        if (dropping) mask.apply(values[n], first);
        store_four<V>(x + first, values[n], count - first);
    }
}

// grad and the forward's output [B, H] -> dx: scale * grad where the output is positive; partial sums of its columns
// [pieces, H].
template <class T, int V>
__global__ void bias_relu_dropout_backward(const T* __restrict__ grad, const T* __restrict__ output, T* __restrict__ dx,
                                           T* __restrict__ partial, int64 rows, int64 columns, int64 across,
                                           int64 piece_rows, double scale) {
    SHARED(T, held, 256 * V);
    const ColumnTile<V> tile(rows, columns, across, piece_rows);
    const T factor = T(scale);
    T sums[V] = {};
    tile.walk([&](int64 row) { return load_both<V>(grad, output, row * columns + tile.column); },
              [&](int64 row, const Both<T, V>& read) {
                  Vector<T, V> passed;
                  for (int k = 0; k < V; ++k) {
                      passed.at[k] = read.second.at[k] > T(0) ? read.first.at[k] * factor : T(0);
                      sums[k] += passed.at[k];
                  }
                  store<V>(dx + row * columns + tile.column, passed);
              });
    tile.join(
        sums, held, [](T left, T right) { return left + right; },
        [&](int64 column, T sum) { partial[tile.piece * columns + column] = sum; });
}

// out = x with elements dropped; ``count`` elements, a multiple of 4 where V is 4
template <class T, int V>
__global__ void dropout(const T* __restrict__ x, T* __restrict__ out, int64 count, int64 seed_low, int64 seed_high,
                        int64 step, int64 layer, int64 threshold, double scale, const int64* __restrict__ live_seed,
                        const int64* __restrict__ live_step) {
    const Mask mask(seed_low, seed_high, step, layer, threshold, scale, live_seed, live_step);
    const int64 first = 4 * thread_number();
    if (first >= count) return;
    Vector<T, 4> values = load_four<V>(x + first, count - first);
    mask.apply(values, first);
    store_four<V>(out + first, values, count - first);
}
