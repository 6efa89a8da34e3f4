// dense.hpp, random.hpp, loss.hpp and interaction.hpp against the formulas, one element at a time.
#include "check.hpp"
#include "fastfm/dense.hpp"
#include "fastfm/interaction.hpp"
#include "fastfm/loss.hpp"

using namespace fastfm;
using namespace fastfm::tests;

// Ranges of elements begin where a group of draws does.
template <class Prepare, class Work, class Check>
void in_groups(int64_t count, Prepare&& prepare, Work&& work, Check&& check) {
    const int64_t groups = (count + philox_draws - 1) / philox_draws;
    const auto from = [=](int64_t group) { return least(group * philox_draws, count); };
    in_any_cut(groups, prepare, [&](int64_t low, int64_t high) { work(from(low), from(high)); }, check);
}

// One block of Philox4x32-10, as the paper has it.
struct Block {
    uint32_t counter[4], key[2];

    void run() {
        for (int round = 0; round < 10; ++round) {
            const uint64_t left = uint64_t(0xD2511F53u) * counter[0], right = uint64_t(0xCD9E8D57u) * counter[2];
            const uint32_t next[4] = {uint32_t(right >> 32) ^ counter[1] ^ key[0], uint32_t(right),
                                      uint32_t(left >> 32) ^ counter[3] ^ key[1], uint32_t(left)};
            std::memcpy(counter, next, sizeof next);
            key[0] += 0x9E3779B9u, key[1] += 0xBB67AE85u;
        }
    }
};

uint32_t draw_number(const Dropout& key, uint64_t i) {
    Block block{{uint32_t(i / 4), key.step, key.layer, uint32_t(i / 4 >> 32)},
                {uint32_t(key.seed), uint32_t(key.seed >> 32)}};
    block.run();
    return block.counter[i % 4];
}

// The known answers that come with Random123, kat_vectors, philox4x32 10.
void test_known_answers() {
    const struct {
        Dropout key;
        uint64_t block;
        uint32_t answer[4];
    } known[] = {
        {{0, 0, 0, 0, 0}, 0, {0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u}},
        {{~0ull, ~0u, ~0u, 0, 0}, ~0ull, {0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu}},
        {{0x299f31d0a4093822u, 0x85a308d3u, 0x13198a2eu, 0, 0},
         0x03707344243f6a88u,
         {0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u}},
    };
    for (const auto& vector : known) {
        Buffer<uint32_t> draws(philox_draws);
        philox(vector.key, int64_t(vector.block), draws.data());
        for (int word = 0; word < 4; ++word) CHECK(draws[word] == vector.answer[word]);
    }
}

void test_draws() {
    const Dropout key{0x123456789ABCDEFu, 7, 3, 0, 0};
    for (const uint64_t first : {uint64_t(0), uint64_t(64), (uint64_t(1) << 32) - 5}) { // the counter's carry
        Buffer<uint32_t> draws(philox_draws);
        philox(key, int64_t(first), draws.data());
        for (int64_t k = 0; k < philox_draws; ++k) CHECK(draws[k] == draw_number(key, 4 * first + uint64_t(k)));
    }
}

template <class Float> void test_dropout(int64_t rows, int64_t columns, Draws& draws) {
    const Dropout key{99, 1, 2, 0x60000000u, 2};
    const int64_t count = rows * columns;
    const Buffer<Float> x = draws.quarters<Float>(count), bias = draws.quarters<Float>(columns);
    Buffer<Float> out(count);
    const auto kept = [&](int64_t i) { return draw_number(key, uint64_t(i)) >= key.threshold ? key.scale : 0; };
    const auto activated = [&](int64_t i) { return std::fmax(0.0, double(x[i]) + double(bias[i % columns])); };
    in_groups(
        count, [&] { std::fill(out.begin(), out.end(), unwritten<Float>()); },
        [&](int64_t low, int64_t high) { dropout(x.data(), out.data(), key, low, high); },
        [&] {
            for (int64_t i = 0; i < count; ++i) CHECK(double(out[i]) == kept(i) * double(x[i]));
        });
    for (const Dropout* given : {static_cast<const Dropout*>(nullptr), &key})
        in_groups(
            count, [&] { std::copy(x.data(), x.data() + count, out.begin()); },
            [&](int64_t low, int64_t high) { bias_relu_dropout(out.data(), bias.data(), columns, given, low, high); },
            [&] {
                for (int64_t i = 0; i < count; ++i) CHECK(double(out[i]) == activated(i) * (given ? kept(i) : 1));
            });
}

template <class Float> void test_relu_backward(int64_t rows, int64_t columns, Draws& draws) {
    const int64_t count = rows * columns;
    const Buffer<Float> grad = draws.quarters<Float>(count), output = draws.quarters<Float>(count);
    Buffer<Float> out(count), sums(columns);
    const auto prepare = [&] {
        std::fill(out.begin(), out.end(), unwritten<Float>());
        std::fill(sums.begin(), sums.end(), Float(0));
    };
    const auto work = [&](int64_t low, int64_t high) {
        relu_backward(grad.data(), output.data(), Float(2), columns, out.data(), sums.data(), low, high);
    };
    in_any_cut(rows, prepare, work, [&] {
        std::vector<double> expected, expected_sums(size_t(columns), 0.0);
        for (int64_t i = 0; i < count; ++i) {
            expected.push_back(output[i] > 0 ? 2 * double(grad[i]) : 0);
            expected_sums[size_t(i % columns)] += expected.back();
        }
        check_equal(out, expected);
        check_equal(sums, expected_sums);
    });
}

// rows is a power of two, by which the means are exact.
template <class Float> void test_batch_norm(int64_t rows, int64_t columns, Draws& draws) {
    const int64_t count = rows * columns;
    const Buffer<Float> x = draws.quarters<Float>(count), grad = draws.quarters<Float>(count);
    const Buffer<Float> mean = draws.quarters<Float>(columns), scale = draws.powers<Float>(columns);
    const Buffer<Float> gamma = draws.powers<Float>(columns), beta = draws.quarters<Float>(columns);
    const Normal<Float> normal{mean.data(), scale.data()};
    const auto n = [&](int64_t i) { return (double(x[i]) - double(mean[i % columns])) * double(scale[i % columns]); };
    std::vector<double> total(size_t(columns), 0.0), squares(total), both(2 * size_t(columns), 0.0), normed, backward;
    for (int64_t i = 0; i < count; ++i) {
        const size_t h = size_t(i % columns);
        const double centered = double(x[i]) - double(mean[int64_t(h)]);
        total[h] += double(x[i]), squares[h] += centered * centered;
        both[h] += double(grad[i]) * n(i), both[size_t(columns) + h] += double(grad[i]);
        normed.push_back(double(gamma[int64_t(h)]) * n(i) + double(beta[int64_t(h)]));
    }
    for (int64_t i = 0; i < count; ++i) {
        const size_t h = size_t(i % columns);
        const double centered =
            double(grad[i]) - both[size_t(columns) + h] / double(rows) - n(i) * both[h] / double(rows);
        backward.push_back(double(gamma[int64_t(h)]) * double(scale[int64_t(h)]) * centered);
    }
    Buffer<Float> sums(columns), pair(2 * columns), out(count);
    const auto zero_sums = [&] {
        std::fill(sums.begin(), sums.end(), Float(0)), std::fill(pair.begin(), pair.end(), Float(0));
    };
    const auto blank = [&] { std::fill(out.begin(), out.end(), unwritten<Float>()); };
    in_any_cut(
        rows, zero_sums,
        [&](int64_t low, int64_t high) { column_sums<Float>(x.data(), nullptr, columns, sums.data(), low, high); },
        [&] { check_equal(sums, total); });
    in_any_cut(
        rows, zero_sums,
        [&](int64_t low, int64_t high) { column_sums(x.data(), mean.data(), columns, sums.data(), low, high); },
        [&] { check_equal(sums, squares); });
    in_any_cut(
        rows, blank,
        [&](int64_t low, int64_t high) {
            batch_norm(x.data(), normal, gamma.data(), beta.data(), columns, out.data(), low, high);
        },
        [&] { check_equal(out, normed); });
    in_any_cut(
        rows, zero_sums,
        [&](int64_t low, int64_t high) {
            batch_norm_sums(grad.data(), x.data(), normal, columns, pair.data(), low, high);
        },
        [&] { check_equal(pair, both); });
    in_any_cut(
        rows, blank,
        [&](int64_t low, int64_t high) {
            batch_norm_backward(grad.data(), x.data(), normal, gamma.data(), pair.data(), Float(rows), columns,
                                out.data(), low, high);
        },
        [&] { check_equal(out, backward); });
}

template <class Float> void test_interactions(int64_t samples, int64_t dim, Draws& draws) {
    constexpr int64_t fields = 3;
    const Buffer<Float> e = draws.quarters<Float>(samples * fields * dim);
    const Fields<Float> in{e.data(), fields, dim};
    for (const bool per_dim : {false, true}) {
        const Buffer<Float> grad = draws.quarters<Float>(per_dim ? samples * dim : samples);
        std::vector<double> forward(size_t(grad.size()), 0.0), backward(size_t(e.size()));
        for (int64_t b = 0; b < samples; ++b)
            for (int64_t d = 0; d < dim; ++d) {
                const int64_t at = b * fields * dim + d, g = per_dim ? b * dim + d : b;
                double sum = 0, own = 0;
                for (int64_t f = 0; f < fields; ++f) {
                    const double number = double(e[at + f * dim]);
                    sum += number, own += number * number;
                }
                forward[size_t(g)] += (sum * sum - own) / 2;
                for (int64_t f = 0; f < fields; ++f)
                    backward[size_t(at + f * dim)] = double(grad[g]) * (sum - double(e[at + f * dim]));
            }
        Buffer<Float> out(grad.size()), out_backward(e.size());
        const auto blank = [&] {
            std::fill(out.begin(), out.end(), unwritten<Float>());
            std::fill(out_backward.begin(), out_backward.end(), unwritten<Float>());
        };
        in_any_cut(
            samples, blank, [&](int64_t low, int64_t high) { interact_fields(in, per_dim, out.data(), low, high); },
            [&] { check_equal(out, forward); });
        in_any_cut(
            samples, blank,
            [&](int64_t low, int64_t high) {
                interact_fields_backward(in, per_dim, grad.data(), out_backward.data(), low, high);
            },
            [&] { check_equal(out_backward, backward); });
    }
}

// Logits far out as well, where exp would overflow if it were not of -|z|.
template <class Float> void test_losses(int64_t count, Draws& draws) {
    Buffer<Float> z = draws.quarters<Float>(count), y(count);
    const Buffer<Float> weights = draws.powers<Float>(count);
    for (int64_t b = 0; b < count; ++b) {
        z[b] *= b % 3 == 0 ? 4 : b % 3 == 1 ? 40 : 4000;
        y[b] = Float(draws.below(2));
    }
    for (const bool weighted : {false, true}) {
        const Float* const given = weighted ? weights.data() : nullptr;
        constexpr double mass = 3;
        double bce = 0, squares = 0, found = 0;
        Buffer<Float> grad(count);
        const auto blank = [&] { std::fill(grad.begin(), grad.end(), unwritten<Float>()), found = 0; };
        const auto weight = [&](int64_t b) { return weighted ? double(weights[b]) : 1; };
        for (int64_t b = 0; b < count; ++b) {
            const long double logit = z[b], label = y[b];
            bce +=
                double(weight(b) * (std::fmax(logit, 0.0L) + std::log1p(std::exp(-std::fabs(logit))) - label * logit));
            squares += double(weight(b) * (logit - label) * (logit - label));
        }
        in_any_cut(
            count, blank,
            [&](int64_t low, int64_t high) {
                found += bce_with_logits(z.data(), y.data(), given, mass, grad.data(), low, high);
            },
            [&] {
                check_close(found, bce);
                for (int64_t b = 0; b < count; ++b)
                    check_close(grad[b], weight(b) * double(1 / (1 + std::exp(-(long double)z[b])) - y[b]) / mass);
            });
        in_any_cut(
            count, blank,
            [&](int64_t low, int64_t high) {
                found += squared_error(z.data(), y.data(), given, mass, grad.data(), low, high);
            },
            [&] {
                check_close(found, squares);
                for (int64_t b = 0; b < count; ++b)
                    check_close(grad[b], 2 * weight(b) * (double(z[b]) - double(y[b])) / mass);
            });
    }
}

// log sum_c exp(z_c) - z_0 and the mean of softplus(z_c - z_0), in long double
template <class Float> void test_group_losses(int64_t count, int64_t columns, Draws& draws) {
    Buffer<Float> z = draws.quarters<Float>(count * columns);
    const Buffer<Float> weights = draws.powers<Float>(count);
    for (int64_t k = 0; k < z.size(); ++k) z[k] *= k % 3 == 0 ? 4 : k % 3 == 1 ? 20 : 400;
    for (const bool weighted : {false, true}) {
        const Float* const given = weighted ? weights.data() : nullptr;
        constexpr double mass = 3;
        const double negatives = columns > 1 ? double(columns - 1) : 1;
        double softmax = 0, ranking = 0, found = 0;
        Buffer<Float> grad(count * columns);
        std::vector<double> by_softmax(size_t(count * columns)), by_ranking(size_t(count * columns));
        for (int64_t b = 0; b < count; ++b) {
            const double weight = weighted ? double(weights[b]) : 1;
            const Float* row = z.data() + b * columns;
            long double total = 0;
            for (int64_t c = 0; c < columns; ++c) total += std::exp((long double)row[c] - row[0]);
            softmax += weight * double(std::log(total));
            double* const slopes = &by_ranking[size_t(b * columns)];
            for (int64_t c = 0; c < columns; ++c) {
                const long double apart = (long double)row[c] - row[0];
                by_softmax[size_t(b * columns + c)] = weight * double(std::exp(apart) / total - (c == 0)) / mass;
                if (c == 0) continue;
                ranking +=
                    weight * double(std::fmax(apart, 0.0L) + std::log1p(std::exp(-std::fabs(apart)))) / negatives;
                slopes[c] = weight * double(1 / (1 + std::exp(-apart))) / negatives / mass;
                slopes[0] -= slopes[c];
            }
        }
        const auto blank = [&] { std::fill(grad.begin(), grad.end(), unwritten<Float>()), found = 0; };
        const auto check = [&](double loss, const std::vector<double>& slopes) {
            check_close(found, loss);
            for (int64_t k = 0; k < grad.size(); ++k) check_close(grad[k], slopes[size_t(k)]);
        };
        in_any_cut(
            count, blank,
            [&](int64_t low, int64_t high) {
                found += softmax_cross_entropy(z.data(), columns, given, mass, grad.data(), low, high);
            },
            [&] { check(softmax, by_softmax); });
        in_any_cut(
            count, blank,
            [&](int64_t low, int64_t high) { found += bpr(z.data(), columns, given, mass, grad.data(), low, high); },
            [&] { check(ranking, by_ranking); });
    }
}

template <class Float> void test_numbers() {
    Draws draws(6);
    for (const int64_t columns : dims)
        for (const int64_t rows : {0, 1, 2, 8}) {
            TESTING("%zu-byte numbers, %d rows, %d columns", sizeof(Float), int(rows), int(columns));
            test_dropout<Float>(rows, columns, draws);
            test_relu_backward<Float>(rows, columns, draws);
            test_batch_norm<Float>(rows, columns, draws);
            test_interactions<Float>(rows, columns, draws);
        }
    for (const int64_t count : {0, 1, 2, 33}) test_losses<Float>(count, draws);
    for (const int64_t count : {0, 1, 2, 33})
        for (const int64_t columns : {1, 2, 7}) test_group_losses<Float>(count, columns, draws);
}

int main() {
    test_known_answers();
    test_draws();
    test_numbers<float>(), test_numbers<double>();
    std::puts("test_dense: all passed");
}
