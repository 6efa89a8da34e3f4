// lookup.hpp against loops in double: single ids, bags, nothing pooled, given slots, max; every layout of the first
// order.
#include "check.hpp"
#include "fastfm/lookup.hpp"

using namespace fastfm;
using namespace fastfm::tests;

enum class Kind { single, bags, terms }; // terms: nothing is pooled, a sample has any number of entries
enum class First { none, separate, lane };
enum class Deep { no, slots, numbers };
constexpr int64_t table_rows = 7, extra_numbers = 5;

// dim and so on as in contract.hpp; `padding`: numbers behind each row that are nobody's.
struct Shape {
    int64_t dim, samples, fields, padding;
    Kind kind;
    First first;
    bool coefficients;

    int64_t slots() const { return samples * fields; }
    int64_t columns() const { return dim + (first == First::lane); }
    int64_t stride() const { return columns() + padding; }
};

template <class Float, class Id> struct Inputs {
    Shape shape;
    Buffer<Float> rows, linear;
    Buffer<int64_t> offsets;
    Buffer<Id> ids;
    Buffer<Float> coefficients, numbers;

    Inputs(const Shape& given, Draws& draws)
        : shape(given), rows(draws.matrix<Float>(table_rows, shape.columns(), shape.stride())),
          linear(draws.matrix<Float>(table_rows, 1, 2)), offsets(draws.offsets(shape.slots())),
          ids(draws.ids<Id>(shape.kind == Kind::single ? shape.slots() : offsets[shape.slots()], table_rows)),
          coefficients(draws.powers<Float>(ids.size())), numbers(draws.quarters<Float>(shape.samples * extra_numbers)) {
    }

    Table<Float> table() const {
        if (shape.first == First::none) return {rows.data(), shape.stride(), shape.dim, nullptr, 0};
        if (shape.first == First::separate) return {rows.data(), shape.stride(), shape.dim, linear.data(), 2};
        return {rows.data(), shape.stride(), shape.dim, rows.data() + shape.dim, shape.stride()};
    }
    Entries<Float, Id> entries() const {
        return {ids.data(), ids.size(), shape.fields, shape.kind == Kind::single ? nullptr : offsets.data(),
                shape.coefficients ? coefficients.data() : nullptr};
    }

    int64_t start(int64_t slot) const { return shape.kind == Kind::single ? slot : offsets[slot]; }
    double coefficient(int64_t i) const { return shape.coefficients ? double(coefficients[i]) : 1; }
    double term(int64_t i, int64_t d) const { return coefficient(i) * double(rows[ids[i] * shape.stride() + d]); }
    double first(int64_t i) const {
        if (shape.first == First::none) return 0;
        if (shape.first == First::lane) return term(i, shape.dim);
        return coefficient(i) * double(linear[ids[i] * 2]);
    }
};

// e_s [M, D]
template <class Float, class Id> std::vector<double> pooled(const Inputs<Float, Id>& in) {
    std::vector<double> e;
    for (int64_t s = 0; s < in.shape.slots(); ++s)
        for (int64_t d = 0; d < in.shape.dim; ++d) {
            e.push_back(0);
            for (int64_t i = in.start(s); i < in.start(s + 1); ++i) e.back() += in.term(i, d);
        }
    return e;
}

template <class Float> struct Outputs {
    int64_t samples, width, stride; // of deep
    Buffer<Float> first, pair, sums, deep;

    Outputs(const Shape& shape, Deep kind)
        : samples(shape.samples), width(shape.fields * shape.dim + (kind == Deep::numbers) * extra_numbers),
          stride(width + shape.padding), first(samples, unwritten<Float>()), pair(first),
          sums(samples * shape.dim, unwritten<Float>()),
          deep(samples ? (samples - 1) * stride + width : 0, unwritten<Float>()) {}

    Interaction<Float> pointers(Deep kind, const Buffer<Float>& numbers) {
        const bool with_numbers = kind == Deep::numbers;
        return {first.data(),
                pair.data(),
                sums.data(),
                kind == Deep::no ? nullptr : deep.data(),
                stride,
                with_numbers ? numbers.data() : nullptr,
                with_numbers ? extra_numbers : 0};
    }
};

// deep [B, F*D + I] from the slots; what lies behind its rows must be untouched.
template <class Float>
void check_deep(const Outputs<Float>& out, const std::vector<double>& slots, const Buffer<Float>& numbers, Deep kind) {
    const int64_t extra = kind == Deep::numbers ? extra_numbers : 0, own = out.width - extra;
    for (int64_t k = 0; k < out.deep.size(); ++k) {
        const int64_t b = k / out.stride, column = k % out.stride;
        if (column >= out.width || kind == Deep::no) CHECK(same(out.deep[k], unwritten<Float>()));
        else if (column >= own) CHECK(same(out.deep[k], numbers[b * extra + column - own]));
        else CHECK(double(out.deep[k]) == slots[size_t(b * own + column)]);
    }
}

// S, pair and first order of each sample from its terms: slots, or, where nothing is pooled, entries.
template <class Float, class Id> void check_interaction(const Inputs<Float, Id>& in, const Outputs<Float>& out) {
    const Shape& shape = in.shape;
    const auto slots = pooled(in);
    for (int64_t b = 0; b < shape.samples; ++b) {
        const int64_t start = in.start(b * shape.fields), stop = in.start((b + 1) * shape.fields);
        double pair = 0, first = 0;
        for (int64_t i = start; i < stop; ++i) first += in.first(i);
        for (int64_t d = 0; d < shape.dim; ++d) {
            double sum = 0, own = 0;
            const auto add = [&](double term) { sum += term, own += term * term; };
            if (shape.kind == Kind::terms)
                for (int64_t i = start; i < stop; ++i) add(in.term(i, d));
            else
                for (int64_t f = 0; f < shape.fields; ++f) add(slots[size_t((b * shape.fields + f) * shape.dim + d)]);
            CHECK(double(out.sums[b * shape.dim + d]) == sum);
            pair += (sum * sum - own) / 2;
        }
        CHECK(double(out.pair[b]) == pair);
        CHECK(double(out.first[b]) == first);
    }
}

template <class Float, class Id> void test_embedding_fm(const Inputs<Float, Id>& in, Deep deep) {
    const Table<Float> table = in.table();
    const Entries<Float, Id> entries = in.entries();
    std::vector<Outputs<Float>> out;
    const auto prepare = [&] { out.clear(), out.emplace_back(in.shape, deep); };
    const auto work = [&](int64_t low, int64_t high) {
        const auto pointers = out[0].pointers(deep, in.numbers);
        if (in.shape.kind == Kind::bags) embedding_fm(Bags<Float, Id>{table, entries}, pointers, low, high);
        else embedding_fm(SingleIds<Float, Id>{table, entries}, pointers, low, high);
    };
    in_any_cut(in.shape.samples, prepare, work, [&] {
        check_interaction(in, out[0]);
        check_deep(out[0], pooled(in), in.numbers, deep);
    });
}

template <class Float, class Id> void test_pool_slots(const Inputs<Float, Id>& in) {
    const Table<Float> table = in.table();
    const Entries<Float, Id> entries = in.entries();
    const auto expected = pooled(in);
    Buffer<Float> out(in.shape.slots() * in.shape.dim);
    const auto prepare = [&] { std::fill(out.begin(), out.end(), unwritten<Float>()); };
    const auto work = [&](int64_t low, int64_t high) {
        if (in.shape.kind == Kind::bags) pool_slots(Bags<Float, Id>{table, entries}, out.data(), low, high);
        else pool_slots(SingleIds<Float, Id>{table, entries}, out.data(), low, high);
    };
    in_any_cut(in.shape.slots(), prepare, work, [&] { check_equal(out, expected); });
}

template <class Float, class Id> void test_pool_largest(const Inputs<Float, Id>& in) {
    const int64_t dim = in.shape.dim, size = in.shape.slots() * dim;
    Buffer<Float> out(size);
    Buffer<int64_t> winners(size);
    const auto prepare = [&] {
        std::fill(out.begin(), out.end(), unwritten<Float>());
        std::fill(winners.begin(), winners.end(), unwritten<int64_t>());
    };
    const auto work = [&](int64_t low, int64_t high) {
        pool_largest(in.table(), in.entries(), out.data(), winners.data(), low, high);
    };
    in_any_cut(in.shape.slots(), prepare, work, [&] {
        for (int64_t k = 0; k < size; ++k) {
            const int64_t s = k / dim, d = k % dim;
            int64_t winner = -1;
            for (int64_t i = in.start(s + 1); i-- > in.start(s);)
                if (winner < 0 || in.term(i, d) >= in.term(winner, d)) winner = i;
            CHECK(winners[k] == winner);
            CHECK(double(out[k]) == (winner < 0 ? 0 : in.term(winner, d)));
        }
    });
}

// Rows of the table, in their order, as slot vectors that are given: an Inputs of single ids 0, 1, ... says what is
// right.
template <class Float> void test_given_slots(int64_t dim, int64_t samples, int64_t padding, Deep deep, Draws& draws) {
    constexpr int64_t fields = 3;
    Inputs<Float, int64_t> in({dim, samples, fields, padding, Kind::single, First::none, false}, draws);
    Buffer<Float> slots = draws.matrix<Float>(samples * fields, dim, dim + padding);
    const Table<Float> table{slots.data(), dim + padding, dim, nullptr, 0};
    std::vector<double> expected;
    for (int64_t s = 0; s < samples * fields; ++s)
        for (int64_t d = 0; d < dim; ++d) expected.push_back(double(slots[s * (dim + padding) + d]));
    std::vector<Outputs<Float>> out;
    const auto prepare = [&] { out.clear(), out.emplace_back(in.shape, deep); };
    const auto work = [&](int64_t low, int64_t high) {
        embedding_fm(GivenSlots<Float>{table, fields}, out[0].pointers(deep, in.numbers), low, high);
    };
    in_any_cut(samples, prepare, work, [&] {
        check_deep(out[0], expected, in.numbers, deep);
        for (int64_t b = 0; b < samples; ++b) {
            double pair = 0;
            for (int64_t d = 0; d < dim; ++d) {
                double sum = 0, own = 0;
                for (int64_t f = 0; f < fields; ++f) {
                    const double e = expected[size_t((b * fields + f) * dim + d)];
                    sum += e, own += e * e;
                }
                CHECK(double(out[0].sums[b * dim + d]) == sum);
                pair += (sum * sum - own) / 2;
            }
            CHECK(double(out[0].pair[b]) == pair && out[0].first[b] == 0);
        }
    });
}

template <class Float, class Id> void test_shape(const Shape& shape, Draws& draws) {
    TESTING("%zu-byte numbers, %zu-byte ids, dim %d, %d samples, padding %d, kind %d, first %d, coefficients %d",
            sizeof(Float), sizeof(Id), int(shape.dim), int(shape.samples), int(shape.padding), int(shape.kind),
            int(shape.first), shape.coefficients);
    const Inputs<Float, Id> in(shape, draws);
    test_embedding_fm(in, Deep::no);
    if (shape.kind == Kind::terms) return;
    test_embedding_fm(in, Deep::slots);
    test_embedding_fm(in, Deep::numbers);
    test_pool_slots(in);
    test_pool_largest(in);
}

template <class Float, class Id> void test_lookups() {
    Draws draws(1);
    for (const int64_t dim : dims)
        for (const int64_t samples : {0, 1, 5})
            for (const First first : {First::none, First::separate, First::lane})
                for (const bool coefficients : {false, true}) {
                    const int64_t padding = draws.below(2) * 3;
                    test_shape<Float, Id>({dim, samples, 3, padding, Kind::single, first, coefficients}, draws);
                    test_shape<Float, Id>({dim, samples, 3, padding, Kind::bags, first, coefficients}, draws);
                    test_shape<Float, Id>({dim, samples, 1, padding, Kind::terms, first, coefficients}, draws);
                }
}

template <class Float> void test_slots() {
    Draws draws(2);
    for (const int64_t dim : dims)
        for (const int64_t samples : {0, 1, 5})
            for (const int64_t padding : {0, 3})
                for (const Deep deep : {Deep::no, Deep::slots, Deep::numbers}) {
                    TESTING("given slots, %zu-byte numbers, dim %d, %d samples", sizeof(Float), int(dim), int(samples));
                    test_given_slots<Float>(dim, samples, padding, deep, draws);
                }
}

int main() {
    FOR_EVERY_TYPE(test_lookups);
    test_slots<float>(), test_slots<double>();
    std::puts("test_lookup: all passed");
}
