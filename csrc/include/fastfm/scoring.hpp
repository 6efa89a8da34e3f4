// What scoring needs beside the lookups: dense layers on packed weights, and small operations on columns of rows.
//
// Rows of samples lie any stride apart; stride 0 is one row for all of them. Every output number is one sum in the
// order of its terms, whatever the number of rows, so a sample's score has the same bits alone and in a batch.
#pragma once
#include "fastfm/contract.hpp"
#include "fastfm/vector.hpp"

namespace fastfm {

inline namespace FASTFM_ISA {

// `Count` rows, `Lines` panels from column c: their sums stay in registers.
template <int Count, int Lines>
FASTFM_INLINE void dense_tile(const DenseLayer& layer, int64_t c, Given x, Given start, Rows<float> out, int64_t row) {
    const float* panels[Lines];
    for (int64_t l = 0; l < Lines; ++l) panels[l] = layer.weights + (c + l * panel_columns) * layer.inner;
    const float* inputs[Count];
    Line<float> sums[Count][Lines];
    for (int64_t r = 0; r < Count; ++r) {
        inputs[r] = x[row + r];
        for (int64_t l = 0; l < Lines; ++l) {
            const int64_t begin = c + l * panel_columns;
            sums[r][l] = load(start[row + r] + begin, layer.columns - begin);
        }
    }
    for (int64_t k = 0; k < layer.inner; ++k) {
        Line<float> weights[Lines];
        for (int64_t l = 0; l < Lines; ++l) weights[l] = load(panels[l] + k * panel_columns);
        for (int64_t r = 0; r < Count; ++r) {
            const auto input = fill(inputs[r][k]);
            for (int64_t l = 0; l < Lines; ++l) sums[r][l] += weights[l] * input;
        }
    }
    const auto zero = fill(0.0f);
    for (int64_t r = 0; r < Count; ++r)
        for (int64_t l = 0; l < Lines; ++l) {
            const int64_t begin = c + l * panel_columns;
            const auto sum = layer.relu ? where_above(sums[r][l], zero, sums[r][l], zero) : sums[r][l];
            store(out[row + r] + begin, sum, layer.columns - begin);
        }
}

// Rows `row` .. `stop` by tiles of `Count` rows and `Lines` panels, from column c on; the last panels by narrower ones.
template <int Count, int Lines>
FASTFM_INLINE void dense_panels(const DenseLayer& layer, int64_t c, Given x, Given start, Rows<float> out, int64_t row,
                                int64_t stop) {
    for (; c + (Lines - 1) * panel_columns < layer.columns; c += Lines * panel_columns)
        for (int64_t r = row; r < stop; r += Count) dense_tile<Count, Lines>(layer, c, x, start, out, r);
    if constexpr (Lines > 1)
        if (c < layer.columns) dense_panels<Count, Lines / 2>(layer, c, x, start, out, row, stop);
}

// As many rows from `row` on as fill such tiles; returns the first row that is left.
template <int Count, int Lines>
FASTFM_INLINE int64_t dense_rows(const DenseLayer& layer, Given x, Given start, Rows<float> out, int64_t row,
                                 int64_t rows) {
    const int64_t stop = row + (rows - row) / Count * Count;
    if (row < stop) dense_panels<Count, Lines>(layer, 0, x, start, out, row, stop);
    return stop;
}

// Tiles as large as the registers hold; a few rows left are done four and one at a time.
inline void dense_layer(const DenseLayer& layer, Given x, Given start, Rows<float> out, int64_t rows) {
    constexpr int registers = register_bytes == 64 ? 32 : 16, parts = int(Line<float>::parts);
    constexpr int lines = registers == 32 ? 2 : 1, count = registers * 3 / 4 / (parts * lines);
    int64_t row = dense_rows<count, lines>(layer, x, start, out, 0, rows);
    if constexpr (count > 4) row = dense_rows<4, lines>(layer, x, start, out, row, rows);
    dense_rows<1, registers / 4 / parts>(layer, x, start, out, row, rows);
}

// out = sum of factor x over the terms, and ReLU where it is asked for
inline void add_columns(const Term* terms, int64_t count, bool relu, Rows<float> out, int64_t width, int64_t rows) {
    if (width == 1) { // the many sums that are one number, without masks
        for (int64_t r = 0; r < rows; ++r) {
            float sum = *terms[0].x[r] * terms[0].factor;
            for (int64_t t = 1; t < count; ++t) sum = multiply_add(*terms[t].x[r], terms[t].factor, sum);
            *out[r] = relu && sum < 0 ? 0 : sum;
        }
        return;
    }
    const auto zero = fill(0.0f);
    for (int64_t r = 0; r < rows; ++r)
        for (int64_t c = 0; c < width; c += panel_columns) {
            auto sum = load(terms[0].x[r] + c, width - c) * terms[0].factor;
            for (int64_t t = 1; t < count; ++t) sum += load(terms[t].x[r] + c, width - c) * terms[t].factor;
            store(out[r] + c, relu ? where_above(sum, zero, sum, zero) : sum, width - c);
        }
}

inline void multiply_columns(Given a, Given b, Rows<float> out, int64_t width, int64_t rows) {
    for (int64_t r = 0; r < rows; ++r) {
        const float *left = a[r], *right = b[r];
        float* to = out[r];
        for (int64_t c = 0; c < width; ++c) to[c] = left[c] * right[c];
    }
}

// out [1] = <a, b>
inline void inner_columns(Given a, Given b, Rows<float> out, int64_t width, int64_t rows) {
    for (int64_t r = 0; r < rows; ++r) {
        auto sum = fill(0.0f);
        int64_t c = 0;
        for (; c + panel_columns <= width; c += panel_columns) sum += load(a[r] + c) * load(b[r] + c);
        if (c < width) sum += load(a[r] + c, width - c) * load(b[r] + c, width - c);
        *out[r] = total(sum);
    }
}

// out [W] = the largest of x [count, W] in each column, the first of equal ones
inline void largest_columns(Given x, int64_t count, Rows<float> out, int64_t width, int64_t rows) {
    for (int64_t r = 0; r < rows; ++r)
        for (int64_t c = 0; c < width; ++c) {
            float best = x[r][c];
            for (int64_t n = 1; n < count; ++n)
                if (x[r][n * width + c] > best) best = x[r][n * width + c];
            out[r][c] = best;
        }
}

} // namespace FASTFM_ISA
} // namespace fastfm
