// catch_up.hpp against the formulas in double, and in parts against itself: every rule, rows of wider arrays.
#include "check.hpp"
#include "fastfm/catch_up.hpp"

using namespace fastfm;
using namespace fastfm::tests;

constexpr int64_t table_rows = 9, steps = 70;
constexpr double eps = 0.125, beta1 = 0.5, beta2 = 0.75, beta = 0.5, l1 = 0.25, ridge = 0.5;

double rate_of(int64_t k) { return 0.25 / double(k + 1); }
AdamStep<double> adam_step(int64_t k, double decay) {
    return {rate_of(k), 1 + 1 / double(k + 1), 1 - rate_of(k) * decay};
}

// Weights and two states of a table [V, columns], one state [V], and how current each row is.
template <class Float> struct State {
    int64_t columns, stride;
    std::vector<Buffer<Float>> arrays;
    Buffer<Float> row_state;
    Buffer<int32_t> last;

    State(int64_t columns, int64_t padding, Draws& draws)
        : columns(columns), stride(columns + padding), row_state(draws.matrix<Float>(table_rows, 1, 2)),
          last(table_rows) {
        for (int array = 0; array < 3; ++array) arrays.push_back(draws.matrix<Float>(table_rows, columns, stride));
        for (Float& square : arrays[2]) square = std::fabs(square);
        for (Float& square : row_state) square = std::fabs(square);
        for (int32_t& step : last) step = int32_t(draws.below(steps + 1));
    }
    Rows<Float> rows(size_t array) { return {arrays[array].data(), stride}; }
    bool equals(const State& other) const {
        bool equal = true;
        const auto compare = [&](const auto& a, const auto& b) {
            for (int64_t k = 0; k < a.size(); ++k) equal &= same(a[k], b[k]);
        };
        for (size_t array = 0; array < 3; ++array) compare(arrays[array], other.arrays[array]);
        compare(row_state, other.row_state), compare(last, other.last);
        return equal;
    }
};

// One row's missed steps by a rule's formula, in double: w, m, v are its numbers, a its row's.
struct Row {
    std::vector<double> w, m, v;
    double a, l2, decay;

    void sgd(int64_t k) {
        for (double& weight : w) weight -= rate_of(k) * l2 * weight;
    }
    void adagrad(int64_t k) {
        for (size_t d = 0; d < w.size(); ++d) {
            const double g = l2 * w[d];
            v[d] += g * g;
            w[d] -= rate_of(k) * g / (std::sqrt(v[d]) + eps);
        }
    }
    void rowwise_adagrad(int64_t k) {
        double sum = 0;
        for (const double weight : w) sum += l2 * weight * l2 * weight;
        a += w.empty() ? 0 : sum / double(w.size());
        for (double& weight : w) weight -= rate_of(k) * l2 * weight / (std::sqrt(a) + eps);
    }
    void adam(int64_t k) {
        const auto now = adam_step(k, decay);
        for (size_t d = 0; d < w.size(); ++d) {
            const double g = l2 * w[d];
            m[d] = beta1 * m[d] + (1 - beta1) * g;
            v[d] = beta2 * v[d] + (1 - beta2) * g * g;
            w[d] = now.kept * w[d] - now.size * m[d] / (std::sqrt(v[d]) * now.correction + eps);
        }
    }
    void ftrl(int64_t k) {
        for (size_t d = 0; d < w.size(); ++d) {
            const double g = l2 * w[d];
            v[d] += g * g;
            const double slope = (beta + std::sqrt(v[d])) / rate_of(k), weight = w[d];
            if (weight != 0) m[d] = -std::copysign(l1, weight) - ridge * weight;
            m[d] += g - slope * weight;
            const double over = std::fabs(m[d]) - l1;
            w[d] = over > 0 ? -std::copysign(over, m[d]) / (slope + ridge) : 0;
        }
    }
};

template <class Float> void check_near(Float found, double expected) {
    const double tolerance = sizeof(Float) == 4 ? 1e-4 : 1e-12;
    CHECK(std::fabs(double(found) - expected) <= tolerance * (1 + std::fabs(expected)));
}

template <class Float>
void check_state(const State<Float>& before, const State<Float>& after, double l2, double decay,
                 void (Row::*rule)(int64_t)) {
    for (int64_t r = 0; r < table_rows; ++r) {
        Row row{{}, {}, {}, double(before.row_state[2 * r]), l2, decay};
        for (int64_t d = 0; d < before.columns; ++d) {
            row.w.push_back(double(before.arrays[0][r * before.stride + d]));
            row.m.push_back(double(before.arrays[1][r * before.stride + d]));
            row.v.push_back(double(before.arrays[2][r * before.stride + d]));
        }
        for (int64_t k = before.last[r]; k < steps; ++k) (row.*rule)(k);
        for (int64_t d = 0; d < before.columns; ++d) {
            check_near(after.arrays[0][r * before.stride + d], row.w[size_t(d)]);
            check_near(after.arrays[1][r * before.stride + d], row.m[size_t(d)]);
            check_near(after.arrays[2][r * before.stride + d], row.v[size_t(d)]);
        }
        check_near(after.row_state[2 * r], row.a);
        CHECK(after.last[r] == steps);
        for (size_t array = 0; array < 3; ++array)
            for (int64_t k = r * before.stride + before.columns; r + 1 < table_rows && k < (r + 1) * before.stride; ++k)
                CHECK(same(after.arrays[array][k], before.arrays[array][k]));
    }
}

template <class Float, class Id> void test_catch_up(int64_t columns, int64_t padding, double l2, Draws& draws) {
    const State<Float> before(columns, padding, draws);
    const auto test_rule = [&](void (Row::*formula)(int64_t), double decay, auto&& make_rule, auto&& make_now) {
        using Now = decltype(make_now(int64_t(0)));
        Buffer<Now> nows(steps);
        for (int64_t k = 0; k < steps; ++k) nows[k] = make_now(k);
        State<Float> whole = before;
        catch_up(Missed<Id>{nullptr, table_rows, whole.last.data(), steps, steps, columns}, make_rule(whole),
                 nows.data(), Float(l2), 0, table_rows);
        check_state(before, whole, l2, decay, formula);

        State<Float> parts = before; // what is missed up to a step each, rows in pieces, at last by number
        for (const int64_t stop : {1, 7, 40, 41}) {
            Buffer<Id> rows(table_rows);
            int64_t count = 0;
            for (int64_t r = 0; r < table_rows; ++r)
                if (parts.last[r] <= stop) rows[count++] = Id(r);
            const Missed<Id> missed{rows.data(), count, parts.last.data(), stop, stop, columns};
            for (int64_t u = 0; u < count; ++u) catch_up(missed, make_rule(parts), nows.data(), Float(l2), u, u + 1);
        }
        catch_up(Missed<Id>{nullptr, table_rows, parts.last.data(), steps, steps, columns}, make_rule(parts),
                 nows.data(), Float(l2), 0, table_rows);
        CHECK(parts.equals(whole));
    };
    const auto rate = [](int64_t k) { return Float(rate_of(k)); };
    test_rule(&Row::sgd, 0, [](auto& state) { return Sgd<Float>{state.rows(0)}; }, rate);
    test_rule(
        &Row::adagrad, 0, [](auto& state) { return Adagrad<Float>{state.rows(0), state.rows(2), Float(eps)}; }, rate);
    test_rule(
        &Row::rowwise_adagrad, 0,
        [](auto& state) { return RowwiseAdagrad<Float>{state.rows(0), {state.row_state.data(), 2}, Float(eps)}; },
        rate);
    for (const double decay : {0.0, 0.5})
        test_rule(
            &Row::adam, decay,
            [&](auto& state) {
                return Adam<Float>{state.rows(0), state.rows(1), state.rows(2), beta1, beta2, Float(eps), decay != 0};
            },
            [&](int64_t k) {
                const auto now = adam_step(k, decay);
                return AdamStep<Float>{Float(now.size), Float(now.correction), Float(now.kept)};
            });
    test_rule(
        &Row::ftrl, 0,
        [](auto& state) {
            return Ftrl<Float>{state.rows(0), state.rows(1), state.rows(2), Float(beta), Float(l1), Float(ridge)};
        },
        rate);
}

// Moments that fade to nothing: a row at rest has the bits of one that takes every step.
template <class Float> void test_rest() {
    constexpr int64_t long_ago = 3000, columns = 19;
    Draws draws(6);
    State<Float> whole(columns, 0, draws);
    std::fill(whole.last.begin(), whole.last.end(), 0);
    State<Float> single = whole;
    const Buffer<AdamStep<Float>> nows(long_ago, {Float(0.01), 1, 1});
    const auto rule = [](auto& state) {
        return Adam<Float>{state.rows(0), state.rows(1), state.rows(2), beta1, 0.99, Float(eps)};
    };
    catch_up(Missed<int32_t>{nullptr, table_rows, whole.last.data(), long_ago, long_ago, columns}, rule(whole),
             nows.data(), Float(0), 0, table_rows);
    for (int64_t step = 1; step <= long_ago; ++step)
        catch_up(Missed<int32_t>{nullptr, table_rows, single.last.data(), step, step, columns}, rule(single),
                 nows.data(), Float(0), 0, table_rows);
    CHECK(whole.equals(single));
    for (const Float mean : whole.arrays[1]) CHECK(mean == 0);
}

template <class Float, class Id> void test_all() {
    Draws draws(5);
    for (const int64_t columns : {0, 1, 7, 16, 17, 32, 33, 64, 80})
        for (const double l2 : {0.0, 0.5}) {
            TESTING("%zu-byte numbers, %zu-byte ids, %d columns, l2 %g", sizeof(Float), sizeof(Id), int(columns), l2);
            test_catch_up<Float, Id>(columns, draws.below(3), l2, draws);
        }
}

int main() {
    FOR_EVERY_TYPE(test_all);
    test_rest<float>();
    test_rest<double>();
    std::puts("test_catch_up: all passed");
}
