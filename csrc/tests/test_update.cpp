// update.hpp against the formulas in double: every rule, weights and states as rows of wider arrays.
#include "fastfm/update.hpp"
#include "rows.hpp"

using namespace fastfm;
using namespace fastfm::tests;

constexpr double lr = 0.25, eps = 0.125, beta1 = 0.5, beta2 = 0.75, correction = 1.5, kept = 0.875;
constexpr double beta = 0.5, l1 = 0.25, ridge = 0.5;

// A table's weights and states, rows of `stride` numbers of which `columns` count. Squares must not be negative.
template <class Float> struct State {
    int64_t columns, stride;
    std::vector<Buffer<Float>> arrays; // weights, then states [V, columns]
    Buffer<Float> row_state;           // [V] with stride 2

    State(const Buffer<Float>& weights, int64_t columns, int64_t stride, Draws& draws)
        : columns(columns), stride(stride), row_state(draws.matrix<Float>(7, 1, 2)) {
        arrays.push_back(weights);
        for (int state = 0; state < 2; ++state) arrays.push_back(draws.matrix<Float>(7, columns, stride));
        for (Float& square : arrays[2]) square = std::fabs(square);
        for (Float& square : row_state) square = std::fabs(square);
    }
    Rows<Float> rows(size_t array) { return {arrays[array].data(), stride}; }
    Rows<Float> row_sums() { return {row_state.data(), 2}; }
};

// One row by the rule's formula: g [columns] and the numbers of State, in double.
struct Row {
    std::vector<double> g, weight, moment, square;
    double row_square;

    void sgd() {
        for (size_t d = 0; d < g.size(); ++d) weight[d] -= lr * g[d];
    }
    void adagrad() {
        for (size_t d = 0; d < g.size(); ++d) {
            square[d] += g[d] * g[d];
            weight[d] -= lr * g[d] / (std::sqrt(square[d]) + eps);
        }
    }
    void adam() {
        for (size_t d = 0; d < g.size(); ++d) {
            moment[d] = beta1 * moment[d] + (1 - beta1) * g[d];
            square[d] = beta2 * square[d] + (1 - beta2) * g[d] * g[d];
            weight[d] = kept * weight[d] - lr * moment[d] / (std::sqrt(square[d]) * correction + eps);
        }
    }
    void ftrl() {
        for (size_t d = 0; d < g.size(); ++d) {
            square[d] += g[d] * g[d];
            const double slope = (beta + std::sqrt(square[d])) / lr, w = weight[d];
            if (w != 0) moment[d] = -std::copysign(l1, w) - ridge * w;
            moment[d] += g[d] - slope * w;
            const double over = std::fabs(moment[d]) - l1;
            weight[d] = over > 0 ? -std::copysign(over, moment[d]) / (slope + ridge) : 0;
        }
    }
    void rowwise_adagrad() {
        double sum = 0;
        for (const double number : g) sum += number * number;
        row_square += g.empty() ? 0 : sum / double(g.size());
        for (size_t d = 0; d < g.size(); ++d) weight[d] -= lr * g[d] / (std::sqrt(row_square) + eps);
    }
};

// Rows of the plan as the formula says, all others and what lies between rows as before.
template <class Float, class Id>
void check_state(const Source<Float, Id>& source, const State<Float>& before, const State<Float>& after, double l2,
                 double grad_scale, void (Row::*rule)()) {
    const auto gradients = source.summed();
    const int64_t columns = before.columns, stride = before.stride;
    std::vector<bool> planned(size_t(before.arrays[0].size()), false),
        planned_rows(size_t(before.row_state.size()), false);
    for (int64_t u = 0; u < source.distinct.size(); ++u) {
        const int64_t start = source.distinct[u] * stride;
        Row row{{}, {}, {}, {}, double(before.row_state[source.distinct[u] * 2])};
        for (int64_t d = 0; d < columns; ++d) {
            planned[size_t(start + d)] = true;
            row.weight.push_back(double(before.arrays[0][start + d]));
            row.moment.push_back(double(before.arrays[1][start + d]));
            row.square.push_back(double(before.arrays[2][start + d]));
            row.g.push_back(grad_scale * gradients[size_t(u * columns + d)] + l2 * row.weight.back());
        }
        (row.*rule)();
        for (int64_t d = 0; d < columns; ++d) {
            check_close(after.arrays[0][start + d], row.weight[size_t(d)]);
            check_close(after.arrays[1][start + d], row.moment[size_t(d)]);
            check_close(after.arrays[2][start + d], row.square[size_t(d)]);
        }
        planned_rows[size_t(source.distinct[u] * 2)] = true;
        check_close(after.row_state[source.distinct[u] * 2], row.row_square);
    }
    for (size_t array = 0; array < 3; ++array)
        for (int64_t k = 0; k < after.arrays[array].size(); ++k)
            CHECK(planned[size_t(k)] || same(after.arrays[array][k], before.arrays[array][k]));
    for (int64_t k = 0; k < after.row_state.size(); ++k)
        CHECK(planned_rows[size_t(k)] || same(after.row_state[k], before.row_state[k]));
}

template <class Float, class Id> void test_rules(const SourceShape& shape, double l2, double grad_scale, Draws& draws) {
    Source<Float, Id> source(shape, draws);
    const State<Float> before(source.rows, shape.columns(), shape.stride(), draws);
    const Rate<Float> rate{Float(lr), Float(l2), Float(grad_scale)};
    const auto test_rule = [&](void (Row::*formula)(), auto&& make_rule) {
        std::vector<State<Float>> after; // one state, made anew for every cut
        auto of = source.gradients();
        const auto prepare = [&] {
            after.clear(), after.push_back(before);
            of.rows = after[0].arrays[0].data(); // the rows that the rule changes are read as well
        };
        const auto work = [&](int64_t low, int64_t high) {
            const auto rule = make_rule(after[0]);
            if constexpr (std::is_same_v<std::decay_t<decltype(rule)>, RowwiseAdagrad<Float>>)
                for_each_row(of, rule, rate, low, high);
            else for_each_row(of, rule, low, high);
        };
        in_any_cut(of.plan.count, prepare, work,
                   [&] { check_state(source, before, after[0], l2, grad_scale, formula); });
    };
    test_rule(&Row::sgd, [&](auto& state) { return update(Sgd<Float>{state.rows(0)}, rate.lr, rate); });
    test_rule(&Row::adagrad, [&](auto& state) {
        return update(Adagrad<Float>{state.rows(0), state.rows(2), Float(eps)}, rate.lr, rate);
    });
    test_rule(&Row::adam, [&](auto& state) {
        const Adam<Float> rule{state.rows(0), state.rows(1), state.rows(2), beta1, beta2, Float(eps)};
        return update(rule, {rate.lr, Float(correction), Float(kept)}, rate);
    });
    test_rule(&Row::ftrl, [&](auto& state) {
        const Ftrl<Float> rule{state.rows(0), state.rows(1), state.rows(2), Float(beta), Float(l1), Float(ridge)};
        return update(rule, rate.lr, rate);
    });
    test_rule(&Row::rowwise_adagrad,
              [&](auto& state) { return RowwiseAdagrad<Float>{state.rows(0), state.row_sums(), Float(eps)}; });
}

template <class Float, class Id> void test_updates() {
    Draws draws(4);
    for (const int64_t dim : dims)
        for (const bool first : {false, true})
            for (const int64_t samples : {0, 1, 4})
                for (const double l2 : {0.0, 0.5})
                    for (const int kind : {0, 1, 2}) {
                        TESTING("%zu-byte numbers, %zu-byte ids, dim %d, %d samples, first %d, l2 %g, kind %d",
                                sizeof(Float), sizeof(Id), int(dim), int(samples), first, l2, kind);
                        const Pair pair = kind == 0 ? Pair::own_terms : Pair::slot_values;
                        test_rules<Float, Id>({dim, samples, 3, 2 * draws.below(2), pair, Deep::strided, kind > 0,
                                               draws.below(2) == 0, first, kind == 2},
                                              l2, kind == 1 ? 1 : 0.5, draws);
                    }
}

int main() {
    FOR_EVERY_TYPE(test_updates);
    std::puts("test_update: all passed");
}
