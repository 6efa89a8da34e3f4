// gradient.hpp against loops in double: every kind of source, materialized rows, their norms, gradients of values.
#include "fastfm/gradient.hpp"
#include "rows.hpp"

using namespace fastfm;
using namespace fastfm::tests;

template <class Float, class Id> void test_materialize(const Source<Float, Id>& source) {
    const auto of = source.gradients();
    const auto expected = source.summed();
    Buffer<Float> out(int64_t(expected.size()));
    const auto prepare = [&] { std::fill(out.begin(), out.end(), unwritten<Float>()); };
    const auto work = [&](int64_t low, int64_t high) {
        for_each_row(of, Materialize<Float>{of.rows, of.stride, out.data(), of.columns()}, low, high);
    };
    in_any_cut(of.plan.count, prepare, work, [&] { check_equal(out, expected); });
}

template <class Float, class Id> void test_squared_norms(const Source<Float, Id>& source) {
    const auto of = source.gradients();
    const auto gradients = source.summed();
    std::vector<double> expected(size_t(of.plan.count), 0.0);
    for (size_t k = 0; k < gradients.size(); ++k) expected[k / size_t(of.columns())] += gradients[k] * gradients[k];
    Buffer<double> squares(of.plan.count);
    const auto prepare = [&] { std::fill(squares.begin(), squares.end(), 0.0); };
    const auto work = [&](int64_t low, int64_t high) {
        for_each_row(of, SquaredNorms<Float>{of.rows, of.stride, squares.data()}, low, high);
    };
    in_any_cut(of.plan.count, prepare, work, [&] { check_equal(squares, expected); });
}

template <class Float, class Id> void test_value_gradient(const Source<Float, Id>& source, Draws& draws) {
    const int64_t count = source.ids.size();
    const Buffer<Float> factors = draws.powers<Float>(count);
    for (const bool with_factors : {false, true}) {
        std::vector<double> expected;
        for (int64_t i = 0; i < count; ++i) {
            expected.push_back(0);
            for (int64_t d = 0; d < source.shape.columns(); ++d)
                expected.back() += source.of_term(i, d) * source.weight(i, d);
            if (with_factors) expected.back() *= double(factors[i]);
        }
        Buffer<Float> out(count);
        const auto prepare = [&] { std::fill(out.begin(), out.end(), unwritten<Float>()); };
        const auto work = [&](int64_t low, int64_t high) {
            value_gradient(source.gradients(), source.ids.data(), with_factors ? factors.data() : nullptr, out.data(),
                           low, high);
        };
        in_any_cut(count, prepare, work, [&] { check_equal(out, expected); });
    }
}

template <class Float, class Id> void test_source(const SourceShape& shape, Draws& draws) {
    TESTING("%zu-byte numbers, %zu-byte ids, dim %d, %d samples, pair %d, deep %d, bags %d, coefficients %d, first %d, "
            "winners %d",
            sizeof(Float), sizeof(Id), int(shape.dim), int(shape.samples), int(shape.pair), int(shape.deep), shape.bags,
            shape.coefficients, shape.first, shape.winners);
    const Source<Float, Id> source(shape, draws);
    test_materialize(source);
    test_squared_norms(source);
    test_value_gradient(source, draws);
}

template <class Float, class Id> void test_gradients() {
    Draws draws(3);
    for (const int64_t dim : dims)
        for (const Pair pair : {Pair::none, Pair::own_terms, Pair::slot_values})
            for (const Deep deep : {Deep::none, Deep::dense, Deep::strided, Deep::repeated})
                for (int flags = 0; flags < 16; ++flags) {
                    const bool bags = flags & 1, winners = flags & 2;
                    if (winners && (!bags || pair == Pair::own_terms)) continue; // max pooling saves its slots
                    SourceShape shape{
                        dim, 4, 3, 2 * draws.below(2), pair, deep, bags, bool(flags & 4), bool(flags & 8), winners};
                    test_source<Float, Id>(shape, draws);
                    shape.samples = draws.below(2);
                    if (deep == Deep::strided) test_source<Float, Id>(shape, draws);
                }
}

int main() {
    FOR_EVERY_TYPE(test_gradients);
    std::puts("test_gradient: all passed");
}
