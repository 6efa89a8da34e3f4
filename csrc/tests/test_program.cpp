// library/program.cpp: lookups of every kind, in blocks and on threads, against the formulas one sample at a time.
#include "../isa/fill.hpp"
#include "../library/program.cpp"
#include "check.hpp"

namespace fastfm {
// The kernels that programs call, and no others: all of them take minutes to compile.
Isa made_isa() {
    Isa isa{"host", {}, {dense_layer, add_columns, multiply_columns, inner_columns, largest_columns}};
    auto& by_id = std::get<KernelsBy<int32_t>>(isa.kernels);
    std::get<LookupKernels<float, int32_t>>(by_id) = lookup_kernels<float, int32_t>();
    std::get<RowKernels<float, int32_t>>(by_id).pool_largest = pool_largest<float, int32_t>;
    std::get<DenseKernels<float>>(isa.kernels).fm_of_slots =
        [](const Table<float>& slots, int64_t fields, const Interaction<float>& out, int64_t low, int64_t high) {
            embedding_fm(GivenSlots<float>{slots, fields}, out, low, high);
        };
    return isa;
}
const Isa isa_host = made_isa();
const Isa& current_isa() { return isa_host; }
} // namespace fastfm

using namespace fastfm;
using namespace fastfm::tests;
using scoring::Pooling;
using scoring::Program;
using scoring::Samples;

constexpr int64_t rows = 11, dim = 3, all_fields = 3, numbers = 2, outputs = 5;

// Entries of every kind, in memory that ends with its arrays; ids of field 2 are 1 more than their rows.
struct Entering {
    int64_t samples;
    Pooling pooling;
    Buffer<int64_t> offsets;
    Buffer<int32_t> ids;
    Buffer<float> values, dense;
    bool bags;

    Entering(int64_t samples, Pooling pooling, bool bags, Draws& draws)
        : samples(samples), pooling(pooling), offsets(draws.offsets(samples * all_fields)),
          ids(bags ? offsets[offsets.size() - 1] : samples * all_fields), values(draws.powers<float>(ids.size())),
          dense(draws.quarters<float>(samples * numbers)), bags(bags) {
        for (int64_t s = 0; s < samples * all_fields; ++s)
            for (int64_t i = begin(s); i < begin(s + 1); ++i)
                ids[i] = int32_t(draws.below(rows) + (s % all_fields == 2));
    }
    int64_t begin(int64_t slot) const { return bags ? offsets[slot] : slot; }
    Samples given() const {
        return {samples,
                ids.data(),
                nullptr,
                all_fields,
                bags ? offsets.data() : nullptr,
                values.data(),
                pooling,
                {{dense.data(), numbers}}};
    }
    // Column d of slot s, pooled; `width` numbers a row from `table` on.
    double pooled(const Buffer<float>& table, int64_t s, int64_t d) const {
        double sum = 0, best = 0;
        const int64_t count = begin(s + 1) - begin(s);
        for (int64_t i = begin(s); i < begin(s + 1); ++i) {
            const double term = double(values[i]) * table[(ids[i] - (s % all_fields == 2)) * (dim + 1) + d];
            sum += pooling == Pooling::mean    ? term / double(count)
                   : pooling == Pooling::sqrtn ? term / std::sqrt(double(count))
                                               : term;
            best = i == begin(s) ? term : std::max(best, term);
        }
        return pooling == Pooling::max ? best : sum;
    }
};

// first order, pairs, sums, and a layer on the fields' vectors and the numbers
struct Model {
    Buffer<float> table, weights, bias;
    Program program;

    explicit Model(Draws& draws)
        : table(draws.quarters<float>(rows * (dim + 1))),
          weights(draws.quarters<float>((all_fields * dim + numbers) * outputs)), bias(draws.quarters<float>(outputs)) {
        const int64_t first = program.allocate(1), pair = program.allocate(1), sums = program.allocate(dim);
        const int64_t vectors = program.allocate(all_fields * dim), hidden = program.allocate(outputs);
        const Table<float> of{table.data(), dim + 1, dim, table.data() + dim, dim + 1};
        program.lookup({of, rows, {0, 1, 2}, {0, 0, 1}, first, pair, sums, vectors});
        const auto start = program.constant(bias.data(), outputs);
        program.dense({-1, vectors}, all_fields * dim, outputs, weights.data(), start, false, hidden);
        program.dense({0, 0}, numbers, outputs, weights.data() + all_fields * dim * outputs, {-1, hidden}, true,
                      hidden);
        for (const auto& [column, width] : {std::pair(first, int64_t(1)), {pair, 1}, {sums, dim}, {hidden, outputs}})
            program.result({-1, column}, width);
    }

    void check(const Entering& in) {
        const int64_t width = program.result_width();
        CHECK(width == 2 + dim + outputs);
        Buffer<float> out(in.samples * width, unwritten<float>());
        program.run(in.given(), out.data());
        for (int64_t b = 0; b < in.samples; ++b) {
            double first = 0, pair = 0, hidden[outputs], sums[dim] = {};
            for (int64_t c = 0; c < outputs; ++c) hidden[c] = bias[c];
            for (int64_t f = 0; f < all_fields; ++f) {
                first += in.pooled(table, b * all_fields + f, dim);
                for (int64_t d = 0; d < dim; ++d) {
                    const double e = in.pooled(table, b * all_fields + f, d);
                    pair += e * sums[d], sums[d] += e;
                    for (int64_t c = 0; c < outputs; ++c) hidden[c] += e * weights[(f * dim + d) * outputs + c];
                }
            }
            for (int64_t c = 0; c < outputs; ++c)
                for (int64_t k = 0; k < numbers; ++k)
                    hidden[c] += in.dense[b * numbers + k] * weights[(all_fields * dim + k) * outputs + c];
            const float* found = out.data() + b * width;
            check_near(found[0], first), check_near(found[1], pair);
            for (int64_t d = 0; d < dim; ++d) check_near(found[2 + d], sums[d]);
            for (int64_t c = 0; c < outputs; ++c) check_near(found[2 + dim + c], std::max(hidden[c], 0.0));
        }
    }

    // Pairs are a difference of squares that are larger than they.
    static void check_near(float found, double expected) { CHECK(std::fabs(found - expected) <= 1e-4); }
};

void test_lookups(Draws& draws) {
    for (const int threads : {1, 2}) {
        pool::set_threads(threads);
        for (const int64_t samples : {0, 1, 2, 13, 100, 1700})
            for (const Pooling pooling : {Pooling::sum, Pooling::mean, Pooling::sqrtn, Pooling::max})
                for (const bool bags : {false, true}) {
                    TESTING("%d threads, %d samples, pooling %d, bags %d", threads, int(samples), int(pooling), bags);
                    Model(draws).check(Entering(samples, pooling, bags, draws));
                }
    }
}

void test_wrong_ids(Draws& draws) {
    for (const int32_t wrong : {-1, int(rows) + 1, 0}) { // 0 in the field whose ids are 1 more
        TESTING("id %d", wrong);
        Model model(draws);
        Entering in(100, Pooling::sum, false, draws);
        in.ids[50 * all_fields + 2] = wrong;
        Buffer<float> out(in.samples * model.program.result_width());
        bool refused = false;
        try {
            model.program.run(in.given(), out.data());
        } catch (const std::invalid_argument& error) {
            refused = std::string(error.what()).find("ids[152] is " + std::to_string(wrong)) == 0;
        }
        CHECK(refused);
    }
}

int main() {
    Draws draws(3);
    test_lookups(draws), test_wrong_ids(draws);
    std::puts("test_program: all passed");
}
