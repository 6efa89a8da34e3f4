// Kernels in pieces on the pool give the bits of one range, with numbers that round: what ThreadSanitizer should see.
#include "check.hpp"
#include "fastfm/fastfm.hpp"
#include "fastfm/pieces.hpp"
#include "rows.hpp"

using namespace fastfm;
using namespace fastfm::tests;

constexpr int64_t small_work = 4096; // bytes an item that make many pieces of few items

// work(out, low, high) fills the same bits in one range and in pieces on the pool.
template <class Number, class Work> void check_bits(int64_t count, Buffer<Number> out, Work&& work) {
    Buffer<Number> whole(out);
    work(whole, int64_t(0), count);
    in_pieces(count, small_work, [&](int64_t low, int64_t high) { work(out, low, high); });
    CHECK(same(whole, out));
}

template <class Float> void test_lookup(int64_t dim, Draws& draws) {
    constexpr int64_t samples = 100, fields = 5, rows = 50;
    const int64_t width = fields * dim + 3;
    const Buffer<Float> table = draws.uniforms<Float>(rows * (dim + 1)), numbers = draws.uniforms<Float>(samples * 3);
    const Buffer<int64_t> offsets = draws.offsets(samples * fields);
    const Buffer<int32_t> ids = draws.ids<int32_t>(offsets[samples * fields], rows);
    const Buffer<Float> coefficients = draws.uniforms<Float>(ids.size());
    const Table<Float> from{table.data(), dim + 1, dim, table.data() + dim, dim + 1};
    const Entries<Float, int32_t> entries{ids.data(), ids.size(), fields, offsets.data(), coefficients.data()};
    const Bags<Float, int32_t> bags{from, entries};
    const Buffer<Float> blank(samples * (2 + dim + width), unwritten<Float>());
    check_bits(samples, blank, [&](auto& out, int64_t low, int64_t high) {
        Float *first = out.data(), *pair = first + samples, *sums = pair + samples, *deep = sums + samples * dim;
        embedding_fm(bags, Interaction<Float>{first, pair, sums, deep, width, numbers.data(), 3}, low, high);
    });
    check_bits(samples * fields, Buffer<Float>(samples * fields * dim, unwritten<Float>()),
               [&](auto& out, int64_t low, int64_t high) { pool_slots(bags, out.data(), low, high); });
}

template <class Float> void test_updates(int64_t dim, Draws& draws) {
    Source<Float, int32_t> source({dim, 30, 3, 0, Pair::own_terms, Deep::strided, true, true, true, false}, draws);
    for (Float& weight : source.rows) weight = Float(draws.uniform());
    for (Float& number : source.sums) number = Float(draws.uniform());
    auto of = source.gradients();
    const Rate<Float> rate{Float(0.1), Float(0.01), Float(0.3)};
    Buffer<Float> both(2 * source.rows.size()); // weights, and the accumulator behind them
    std::copy(source.rows.begin(), source.rows.end(), both.begin());
    check_bits(of.plan.count, both, [&](auto& out, int64_t low, int64_t high) {
        RowGradients<Float, int32_t> own = of;
        own.rows = out.data();
        const Rows<Float> weights{out.data(), own.stride}, sums{out.data() + source.rows.size(), own.stride};
        for_each_row(own, update(Adagrad<Float>{weights, sums, Float(1e-6)}, rate.lr, rate), low, high);
    });
}

template <class Float> void test_elements(int64_t columns, Draws& draws) {
    const int64_t count = 64 * columns, groups = (count + philox_draws - 1) / philox_draws;
    const Dropout key{5, 6, 7, 0x40000000u, 4.0 / 3};
    const Buffer<Float> bias = draws.uniforms<Float>(columns);
    check_bits(groups, draws.uniforms<Float>(count), [&](auto& out, int64_t low, int64_t high) {
        bias_relu_dropout(out.data(), bias.data(), columns, &key, low * philox_draws,
                          least(high * philox_draws, count));
    });
    const Buffer<Float> e = draws.uniforms<Float>(count * 2);
    check_bits(int64_t(64), Buffer<Float>(e.size()), [&](auto& out, int64_t low, int64_t high) {
        interact_fields_backward(Fields<Float>{e.data(), 2, columns}, false, e.data(), out.data(), low, high);
    });
}

int main() {
    for (const int width : {1, 2, 3, 8}) {
        pool::set_threads(width);
        Draws draws{uint64_t(width)};
        for (const int64_t dim : dims) {
            TESTING("%d threads, dim %d", width, int(dim));
            test_lookup<float>(dim, draws), test_lookup<double>(dim, draws);
            test_updates<float>(dim, draws), test_updates<double>(dim, draws);
            test_elements<float>(dim, draws), test_elements<double>(dim, draws);
        }
    }
    std::puts("test_pieces: all passed");
}
