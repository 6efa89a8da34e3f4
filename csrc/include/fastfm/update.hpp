// Optimizer rules on rows: the summed gradient of a row is consumed at once, its weights and state move in one pass.
//
// g = grad_scale * gradient + l2 * w in all of them. Formulas and sources: fastfm_core/contract.py, update_rows_*.
// Weights [V, columns] and states may be rows of wider arrays. See gradient.hpp for what a rule is.
#pragma once
#include "fastfm/gradient.hpp"

namespace fastfm {

inline namespace FASTFM_ISA {

template <class Float, class Number>
FASTFM_INLINE Number scaled(const Rate<Float>& rate, const Number& gradient, const Number& weight) {
    return gradient * rate.grad_scale + weight * rate.l2;
}

// w -= lr g
template <class Float> struct Sgd {
    static constexpr bool tuned = true;
    Rows<Float> weights;
    Rate<Float> rate;

    FASTFM_INLINE void request(int64_t row, int64_t c, int64_t count) const { prefetch(weights[row] + c, count); }
    template <class Number>
    FASTFM_INLINE void move(int64_t, int64_t row, int64_t c, const Number& gradient, int64_t left) const {
        const auto weight = load_as<Number>(weights[row] + c, left);
        store(weights[row] + c, weight - rate.lr * scaled(rate, gradient, weight), left);
    }
};

// a += g^2;  w -= lr g / (sqrt(a) + eps)
template <class Float> struct Adagrad {
    static constexpr bool tuned = true;
    Rows<Float> weights, accumulator;
    Rate<Float> rate;
    Float eps;

    FASTFM_INLINE void request(int64_t row, int64_t c, int64_t count) const {
        prefetch(weights[row] + c, count);
        prefetch(accumulator[row] + c, count);
    }
    template <class Number>
    FASTFM_INLINE void move(int64_t, int64_t row, int64_t c, const Number& gradient, int64_t left) const {
        const auto weight = load_as<Number>(weights[row] + c, left), g = scaled(rate, gradient, weight);
        const auto summed = load_as<Number>(accumulator[row] + c, left) + g * g;
        store(accumulator[row] + c, summed, left);
        store(weights[row] + c, weight - rate.lr * g / (root(summed) + eps), left);
    }
};

// m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  w -= step m / (sqrt(v) correction + eps), where
// step = lr / (1 - b1^t) and correction = 1 / sqrt(1 - b2^t); rate.lr is that step.
template <class Float> struct Adam {
    static constexpr bool tuned = true;
    Rows<Float> weights, moment1, moment2;
    Rate<Float> rate;
    Float correction, beta1, beta2, eps;

    FASTFM_INLINE void request(int64_t row, int64_t c, int64_t count) const {
        prefetch(weights[row] + c, count);
        prefetch(moment1[row] + c, count);
        prefetch(moment2[row] + c, count);
    }
    template <class Number>
    FASTFM_INLINE void move(int64_t, int64_t row, int64_t c, const Number& gradient, int64_t left) const {
        const auto weight = load_as<Number>(weights[row] + c, left), g = scaled(rate, gradient, weight);
        const auto mean = load_as<Number>(moment1[row] + c, left) * beta1 + g * (1 - beta1);
        const auto square = load_as<Number>(moment2[row] + c, left) * beta2 + g * g * (1 - beta2);
        store(moment1[row] + c, mean, left);
        store(moment2[row] + c, square, left);
        const auto step = rate.lr * mean / (root(square) * correction + eps);
        store(weights[row] + c, weight - step, left);
    }
};

// a += mean_d(g_d^2), one number a row: the whole row is summed before any of it moves;  w -= lr g / (sqrt(a) + eps)
template <class Float> struct RowwiseAdagrad {
    Rows<Float> weights, accumulator;
    Rate<Float> rate;
    Float eps;

    FASTFM_INLINE void request(int64_t row, int64_t c, int64_t count) const {
        prefetch(weights[row] + c, count);
        prefetch(accumulator[row], 1);
    }
};

template <class Float, class Id>
void for_each_row(const RowGradients<Float, Id>& of, const RowwiseAdagrad<Float>& given, int64_t low, int64_t high) {
    by_shape<false>(of.source, [&](auto shape) {
        using Shape = decltype(shape);
        const auto gradients = shaped<Shape>(of);
        const RowwiseAdagrad<Float> rule = given;
        const auto each_line = [&](int64_t u, auto&& work) { // the gradient is summed anew for every walk over the row
            int64_t c = 0;
            do {
                auto sum = gradients.template sum<Shape>(u, c);
                consume(gradients, sum, u, c, work);
            } while ((c += Shape::lines * Line<Float>::lanes) < gradients.source.dim);
        };
        for (int64_t u = low; u < high; ++u) {
            request_row(gradients, rule, u);
            auto squares = fill(Float(0));
            each_line(u, [&](int64_t, int64_t row, int64_t c, const auto& gradient, int64_t left) {
                using Number = std::decay_t<decltype(gradient)>;
                const auto g = scaled(rule.rate, gradient, load_as<Number>(rule.weights[row] + c, left));
                squares += as_line(g * g);
            });
            Float& summed = *rule.accumulator[gradients.plan.rows[u]];
            summed += total(squares) / Float(most(gradients.columns(), int64_t(1)));
            const Float factor = rule.rate.lr / (root(summed) + rule.eps);
            each_line(u, [&](int64_t, int64_t row, int64_t c, const auto& gradient, int64_t left) {
                const auto weight = load_as<std::decay_t<decltype(gradient)>>(rule.weights[row] + c, left);
                store(rule.weights[row] + c, weight - factor * scaled(rule.rate, gradient, weight), left);
            });
        }
    });
}

} // namespace FASTFM_ISA
} // namespace fastfm
