// scoring.hpp against the formulas, one element at a time; and that a row has the same bits in any number of rows.
#include "check.hpp"
#include "fastfm/scoring.hpp"

using namespace fastfm;
using namespace fastfm::tests;

constexpr int64_t row_counts[] = {0, 1, 2, 3, 4, 5, 7, 12, 13, 17, 24, 31};

int64_t stride_of(int64_t width, int64_t spare) { return width + spare; }

// Output columns among others that must keep what they hold.
struct Out {
    Buffer<float> numbers;
    int64_t width, stride;

    Out(int64_t rows, int64_t width, int64_t spare)
        : numbers(rows ? (rows - 1) * stride_of(width, spare) + width : 0, -77.0f), width(width),
          stride(stride_of(width, spare)) {}
    Rows<float> rows() { return {numbers.data(), stride}; }
    template <class Expected> void check(Expected&& expected) {
        for (int64_t k = 0; k < numbers.size(); ++k)
            CHECK(numbers[k] == (k % stride < width ? expected(k / stride, k % stride) : -77.0f));
    }
};

// Weights [K, H] in panels, as fastfm::DenseLayer has them.
Buffer<float> packed(const Buffer<float>& weights, int64_t inner, int64_t columns) {
    Buffer<float> panels((columns + panel_columns - 1) / panel_columns * inner * panel_columns);
    for (int64_t k = 0; k < inner; ++k)
        for (int64_t c = 0; c < columns; ++c)
            panels[(c / panel_columns * inner + k) * panel_columns + c % panel_columns] = weights[k * columns + c];
    return panels;
}

void test_dense(int64_t rows, int64_t inner, int64_t columns, bool relu, bool own_start, Draws& draws) {
    TESTING("%d rows, %d x %d, relu %d, a start for each row %d", int(rows), int(inner), int(columns), relu, own_start);
    const auto x = draws.matrix<float>(rows, inner, inner + 3), weights = draws.quarters<float>(inner * columns);
    const auto start = draws.quarters<float>(own_start ? rows * columns : columns);
    const auto panels = packed(weights, inner, columns);
    const DenseLayer layer{panels.data(), inner, columns, relu};
    Out out(rows, columns, 5);
    dense_layer(layer, {x.data(), inner + 3}, {start.data(), own_start ? columns : 0}, out.rows(), rows);
    out.check([&](int64_t r, int64_t c) {
        float sum = start[own_start ? r * columns + c : c];
        for (int64_t k = 0; k < inner; ++k) sum += x[r * (inner + 3) + k] * weights[k * columns + c];
        return relu ? std::max(sum, 0.0f) : sum;
    });
}

void test_bits_of_a_row(int64_t inner, int64_t columns, Draws& draws) {
    TESTING("bits, %d x %d", int(inner), int(columns));
    constexpr int64_t rows = 41;
    const auto x = draws.uniforms<float>(rows * inner), start = draws.uniforms<float>(columns);
    const auto panels = packed(draws.uniforms<float>(inner * columns), inner, columns);
    const DenseLayer layer{panels.data(), inner, columns, false};
    Buffer<float> whole(rows * columns), parts(rows * columns);
    dense_layer(layer, {x.data(), inner}, {start.data(), 0}, {whole.data(), columns}, rows);
    for (int64_t low = 0, count = 1; low < rows; low += count, count += 2) {
        const int64_t now = least(count, rows - low);
        dense_layer(layer, {x.data() + low * inner, inner}, {start.data(), 0}, {parts.data() + low * columns, columns},
                    now);
    }
    CHECK(same(whole, parts));
}

void test_columns(int64_t rows, int64_t width, Draws& draws) {
    TESTING("%d rows of %d columns", int(rows), int(width));
    const auto a = draws.matrix<float>(rows, width, width + 2), b = draws.quarters<float>(width);
    const Given left{a.data(), width + 2}, right{b.data(), 0}; // one row for all
    const auto at = [&](int64_t r, int64_t c) { return a[r * (width + 2) + c]; };
    Out sum(rows, width, 1), product(rows, width, 1), positive(rows, width, 1), inner(rows, 1, 2);
    const Term terms[] = {{left, 2}, {right, -0.5f}};
    const auto total = [&](int64_t r, int64_t c) { return 2 * at(r, c) - 0.5f * b[c]; };
    add_columns(terms, 2, false, sum.rows(), width, rows);
    sum.check(total);
    add_columns(terms, 2, true, positive.rows(), width, rows);
    positive.check([&](int64_t r, int64_t c) { return std::max(total(r, c), 0.0f); });
    multiply_columns(left, right, product.rows(), width, rows);
    product.check([&](int64_t r, int64_t c) { return at(r, c) * b[c]; });
    inner_columns(left, right, inner.rows(), width, rows);
    inner.check([&](int64_t r, int64_t) {
        float total = 0;
        for (int64_t c = 0; c < width; ++c) total += at(r, c) * b[c];
        return total;
    });
}

void test_largest(int64_t rows, int64_t count, int64_t width, Draws& draws) {
    TESTING("the largest of %d, %d rows of %d columns", int(count), int(rows), int(width));
    const auto x = draws.matrix<float>(rows, count * width, count * width + 1);
    Out out(rows, width, 1);
    largest_columns({x.data(), count * width + 1}, count, out.rows(), width, rows);
    out.check([&](int64_t r, int64_t c) {
        float best = x[r * (count * width + 1) + c];
        for (int64_t n = 1; n < count; ++n) best = std::max(best, x[r * (count * width + 1) + n * width + c]);
        return best;
    });
}

int main() {
    Draws draws(5);
    for (const int64_t rows : row_counts) {
        for (const int64_t inner : {0, 1, 5, 64})
            for (const int64_t columns : {1, 15, 16, 17, 48, 70, 145})
                for (const bool relu : {false, true})
                    for (const bool own_start : {false, true}) test_dense(rows, inner, columns, relu, own_start, draws);
        for (const int64_t width : dims)
            if (width) test_columns(rows, width, draws);
        for (const int64_t count : {1, 3}) test_largest(rows, count, 5, draws);
    }
    for (const int64_t columns : {1, 16, 33, 64, 145}) test_bits_of_a_row(37, columns, draws);
    std::puts("test_scoring: all passed");
}
