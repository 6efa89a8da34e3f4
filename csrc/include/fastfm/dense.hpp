// Dense helpers on [B, H] activations, fused so that each is read and written once.
//
// Column sums are taken over the rows of one piece; the caller adds the pieces in order, so bits do not depend on
// threads. Formulas and sources: fastfm_core/contract.py.
#pragma once
#include "fastfm/random.hpp"

namespace fastfm {

inline namespace FASTFM_ISA {

// Where element i of a row-major [., columns] array lies; walks on without dividing again.
template <class Work> inline void for_each_run(int64_t low, int64_t high, int64_t columns, Work&& work) {
    int64_t column = low < high ? low % columns : 0;
    while (low < high) {
        const int64_t count = least(columns - column, high - low);
        work(low, column, count);
        low += count, column = 0;
    }
}

// In place on the elements low .. high - 1 of x [., columns], low a multiple of philox_draws: relu(x + bias), then
// dropout where a key is given. NaN stays NaN.
template <class Float>
void bias_relu_dropout(Float* __restrict x, const Float* __restrict bias, int64_t columns, const Dropout* key,
                       int64_t low, int64_t high) {
    if (!key) {
        for_each_run(low, high, columns, [&](int64_t start, int64_t column, int64_t count) {
            for (int64_t k = 0; k < count; ++k) {
                const Float value = x[start + k] + bias[column + k];
                x[start + k] = value < 0 ? Float(0) : value;
            }
        });
        return;
    }
    uint32_t draws[philox_draws];
    const Float scale = Float(key->scale);
    for (int64_t first = low; first < high; first += philox_draws) {
        philox(*key, first / 4, draws);
        const int64_t last = least(first + philox_draws, high);
        for_each_run(first, last, columns, [&](int64_t start, int64_t column, int64_t count) {
            const uint32_t* draw = draws + (start - first);
            for (int64_t k = 0; k < count; ++k) {
                const Float value = x[start + k] + bias[column + k];
                const Float kept = (value < 0 ? Float(0) : value) * scale;
                x[start + k] = draw[k] < key->threshold ? Float(0) : kept;
            }
        });
    }
}

// out = x with elements dropped; low is a multiple of philox_draws.
template <class Float>
void dropout(const Float* __restrict x, Float* __restrict out, const Dropout& key, int64_t low, int64_t high) {
    uint32_t draws[philox_draws];
    const Float scale = Float(key.scale);
    for (int64_t first = low; first < high; first += philox_draws) {
        philox(key, first / 4, draws);
        const int64_t count = least(philox_draws, high - first);
        for (int64_t k = 0; k < count; ++k) out[first + k] = draws[k] < key.threshold ? Float(0) : x[first + k] * scale;
    }
}

// Rows low .. high - 1: out = grad * scale where output > 0, else 0; sums [H] += the columns of out.
template <class Float>
void relu_backward(const Float* __restrict grad, const Float* __restrict output, Float scale, int64_t columns,
                   Float* __restrict out, Float* __restrict sums, int64_t low, int64_t high) {
    for (int64_t b = low; b < high; ++b)
        for (int64_t h = 0; h < columns; ++h) {
            const int64_t i = b * columns + h;
            const Float value = output[i] > 0 ? grad[i] * scale : Float(0);
            out[i] = value;
            sums[h] += value;
        }
}

// sums [H] += x, or (x - mean)^2 where a mean [H] is given
template <class Float>
void column_sums(const Float* __restrict x, const Float* __restrict mean, int64_t columns, Float* __restrict sums,
                 int64_t low, int64_t high) {
    for (int64_t b = low; b < high; ++b)
        for (int64_t h = 0; h < columns; ++h) {
            const Float value = x[b * columns + h];
            sums[h] += mean ? (value - mean[h]) * (value - mean[h]) : value;
        }
}

// out = gamma n + beta
template <class Float>
void batch_norm(const Float* __restrict x, Normal<Float> normal, const Float* __restrict gamma,
                const Float* __restrict beta, int64_t columns, Float* __restrict out, int64_t low, int64_t high) {
    for (int64_t b = low; b < high; ++b)
        for (int64_t h = 0; h < columns; ++h) {
            const int64_t i = b * columns + h;
            out[i] = (x[i] - normal.mean[h]) * (gamma[h] * normal.scale[h]) + beta[h];
        }
}

// sums [2, H] += the columns of grad * n, and of grad
template <class Float>
void batch_norm_sums(const Float* __restrict grad, const Float* __restrict x, Normal<Float> normal, int64_t columns,
                     Float* __restrict sums, int64_t low, int64_t high) {
    for (int64_t b = low; b < high; ++b)
        for (int64_t h = 0; h < columns; ++h) {
            const int64_t i = b * columns + h;
            sums[h] += grad[i] * (x[i] - normal.mean[h]) * normal.scale[h];
            sums[columns + h] += grad[i];
        }
}

// out = gamma scale (grad - dbeta / B - n dgamma / B), with sums [2, H] = dgamma, dbeta over all B rows
template <class Float>
void batch_norm_backward(const Float* __restrict grad, const Float* __restrict x, Normal<Float> normal,
                         const Float* __restrict gamma, const Float* __restrict sums, Float rows, int64_t columns,
                         Float* __restrict out, int64_t low, int64_t high) {
    for (int64_t b = low; b < high; ++b)
        for (int64_t h = 0; h < columns; ++h) {
            const int64_t i = b * columns + h;
            const Float n = (x[i] - normal.mean[h]) * normal.scale[h];
            out[i] = gamma[h] * normal.scale[h] * (grad[i] - sums[columns + h] / rows - n * (sums[h] / rows));
        }
}

} // namespace FASTFM_ISA
} // namespace fastfm
