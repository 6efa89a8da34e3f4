// pair.hpp against the formulas, one pair and one element at a time.
#include "check.hpp"
#include "fastfm/pair.hpp"

using namespace fastfm;
using namespace fastfm::tests;

constexpr int64_t fields = 4;
using Chosen = std::vector<int32_t>;

const Chosen choices[] = {
    {},                                               // none
    {3, 1},                                           // single
    {0, 1, 0, 2, 0, 3, 1, 2, 1, 3, 2, 3},             // all
    {0, 2, 0, 3, 1, 2, 1, 3},                         // side by side
    {2, 0, 0, 1, 3, 2, 3, 0, 0, 1, 1, 3, 2, 1, 0, 3}, // unsorted, one twice, firsts come back
};

// One choice of pairs over vectors [B, F, D] whose samples are `stride` numbers apart.
template <class Float> struct Case {
    int64_t samples, dim, stride;
    Buffer<int32_t> pairs;
    Buffer<Float> e, weights;

    Case(int64_t samples, int64_t dim, int64_t spare, const Chosen& chosen, Draws& draws)
        : samples(samples), dim(dim), stride(fields * dim + spare), pairs(int64_t(chosen.size())),
          e(draws.matrix<Float>(samples, fields * dim, stride)), weights(draws.powers<Float>(count())) {
        std::copy(chosen.begin(), chosen.end(), pairs.begin());
    }
    int64_t count() const { return pairs.size() / 2; }
    int64_t first(int64_t p) const { return pairs[2 * p]; }
    int64_t second(int64_t p) const { return pairs[2 * p + 1]; }
    double number(int64_t b, int64_t field, int64_t d) const { return double(e[b * stride + field * dim + d]); }
    double inner(int64_t b, int64_t p) const {
        double sum = 0;
        for (int64_t d = 0; d < dim; ++d) sum += number(b, first(p), d) * number(b, second(p), d);
        return sum;
    }
    FieldPairs<Float> given(bool weighted) const {
        return {e.data(), stride, fields, dim, pairs.data(), count(), weighted ? weights.data() : nullptr};
    }
};

template <class Float> void test_interaction(const Case<Float>& c, bool weighted, Draws& draws) {
    constexpr int64_t lanes = Line<Float>::lanes;
    const Buffer<Float> grad = draws.quarters<Float>(c.samples);
    const auto size = [&](int64_t count) { return std::vector<double>(size_t(count), 0.0); };
    std::vector<double> forward = size(c.samples), backward = size(c.samples * fields * c.dim), sums = size(c.count());
    for (int64_t b = 0; b < c.samples; ++b)
        for (int64_t p = 0; p < c.count(); ++p) {
            const double weight = weighted ? double(c.weights[p]) : 1, slope = double(grad[b]) * weight;
            forward[size_t(b)] += weight * c.inner(b, p);
            sums[size_t(p)] += double(grad[b]) * c.inner(b, p);
            for (int64_t d = 0; d < c.dim; ++d) {
                backward[size_t((b * fields + c.first(p)) * c.dim + d)] += slope * c.number(b, c.second(p), d);
                backward[size_t((b * fields + c.second(p)) * c.dim + d)] += slope * c.number(b, c.first(p), d);
            }
        }
    Buffer<Float> out(c.samples), by_vectors(int64_t(backward.size())), weight_sums(c.count() * lanes);
    const auto in = c.given(weighted);
    in_any_cut(
        c.samples, [&] { std::fill(out.begin(), out.end(), unwritten<Float>()); },
        [&](int64_t low, int64_t high) { pair_interaction(in, out.data(), low, high); },
        [&] { check_equal(out, forward); });
    const auto zero = [&] {
        std::fill(by_vectors.begin(), by_vectors.end(), Float(0));
        std::fill(weight_sums.begin(), weight_sums.end(), Float(0));
    };
    const auto work = [&](int64_t low, int64_t high) {
        pair_interaction_backward(in, grad.data(), by_vectors.data(), weighted ? weight_sums.data() : nullptr, low,
                                  high);
    };
    in_any_cut(c.samples, zero, work, [&] {
        check_equal(by_vectors, backward);
        for (int64_t p = 0; p < c.count(); ++p) {
            double total = 0;
            for (int64_t lane = 0; lane < lanes; ++lane) total += double(weight_sums[p * lanes + lane]);
            CHECK(total == (weighted ? sums[size_t(p)] : 0));
        }
    });
}

template <class Float> void test_product(const Case<Float>& c, Product product, Draws& draws) {
    const auto in = c.given(false);
    const int64_t width = in.width(product), dim = c.dim;
    const Buffer<Float> grad = draws.quarters<Float>(c.samples * c.count() * width);
    std::vector<double> forward(size_t(grad.size()), 0.0), backward(size_t(c.samples * fields * dim), 0.0);
    for (int64_t b = 0; b < c.samples; ++b)
        for (int64_t p = 0; p < c.count(); ++p)
            for (int64_t i = 0; i < dim; ++i)
                for (int64_t j = 0; j < dim; ++j) {
                    if (product != Product::outer && i != j) continue;
                    const int64_t w = product == Product::outer ? i * dim + j : product == Product::inner ? 0 : i;
                    const size_t at = size_t((b * c.count() + p) * width + w);
                    forward[at] += c.number(b, c.first(p), i) * c.number(b, c.second(p), j);
                    const double slope = double(grad[int64_t(at)]);
                    backward[size_t((b * fields + c.first(p)) * dim + i)] += slope * c.number(b, c.second(p), j);
                    backward[size_t((b * fields + c.second(p)) * dim + j)] += slope * c.number(b, c.first(p), i);
                }
    Buffer<Float> out(grad.size()), by_vectors(int64_t(backward.size()));
    in_any_cut(
        c.samples, [&] { std::fill(out.begin(), out.end(), unwritten<Float>()); },
        [&](int64_t low, int64_t high) { pair_products(in, product, out.data(), low, high); },
        [&] { check_equal(out, forward); });
    in_any_cut(
        c.samples, [&] { std::fill(by_vectors.begin(), by_vectors.end(), Float(0)); },
        [&](int64_t low, int64_t high) {
            pair_products_backward(in, product, grad.data(), by_vectors.data(), low, high);
        },
        [&] { check_equal(by_vectors, backward); });
}

template <class Float> void test_numbers() {
    Draws draws(8);
    for (const int64_t dim : dims)
        for (const int64_t samples : {0, 1, 3})
            for (const int64_t spare : {0, 3})
                for (const Chosen& chosen : choices) {
                    TESTING("%zu-byte numbers, %d samples, %d dims, %d spare, %d pairs", sizeof(Float), int(samples),
                            int(dim), int(spare), int(chosen.size() / 2));
                    const Case<Float> given(samples, dim, spare, chosen, draws);
                    for (const bool weighted : {false, true}) test_interaction(given, weighted, draws);
                    for (const Product product : {Product::inner, Product::elementwise, Product::outer})
                        test_product(given, product, draws);
                }
}

int main() {
    test_numbers<float>(), test_numbers<double>();
    std::puts("test_pair: all passed");
}
