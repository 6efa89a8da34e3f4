// Optimizer rules on rows: the summed gradient of a row is consumed at once, its weights and state move in one pass.
//
// g = grad_scale * gradient + l2 * w in all of them. Formulas and sources: fastfm_core/contract.py, update_rows_*.
// Weights [V, columns] and states may be rows of wider arrays.
//
// A rule says what it holds of a row in registers, a Line or one number of each of its arrays (`hold`, `keep`), and how
// a gradient moves that (`step`), given what differs from one step to the next (`Now`). Update is a rule with a
// gradient, as gradient.hpp wants it; catch_up.hpp takes the steps of rows that have none.
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
    using Now = Float; // lr
    template <class Number> struct Held {
        Number weight;
    };
    Rows<Float> weights;

    FASTFM_INLINE void request(int64_t row, int64_t c, int64_t count) const { prefetch(weights[row] + c, count); }
    template <class Number> FASTFM_INLINE Held<Number> hold(int64_t row, int64_t c, int64_t left) const {
        return {load_as<Number>(weights[row] + c, left)};
    }
    template <class Number>
    FASTFM_INLINE void keep(const Held<Number>& held, int64_t row, int64_t c, int64_t left) const {
        store(weights[row] + c, held.weight, left);
    }
    template <class Number> FASTFM_INLINE void step(Held<Number>& held, const Number& g, Float lr) const {
        held.weight = held.weight - lr * g;
    }
};

// a += g^2;  w -= lr g / (sqrt(a) + eps)
template <class Float> struct Adagrad {
    static constexpr bool tuned = true;
    using Now = Float; // lr
    template <class Number> struct Held {
        Number weight, summed;
    };
    Rows<Float> weights, accumulator;
    Float eps;

    FASTFM_INLINE void request(int64_t row, int64_t c, int64_t count) const {
        prefetch(weights[row] + c, count);
        prefetch(accumulator[row] + c, count);
    }
    template <class Number> FASTFM_INLINE Held<Number> hold(int64_t row, int64_t c, int64_t left) const {
        return {load_as<Number>(weights[row] + c, left), load_as<Number>(accumulator[row] + c, left)};
    }
    template <class Number>
    FASTFM_INLINE void keep(const Held<Number>& held, int64_t row, int64_t c, int64_t left) const {
        store(accumulator[row] + c, held.summed, left);
        store(weights[row] + c, held.weight, left);
    }
    template <class Number> FASTFM_INLINE void step(Held<Number>& held, const Number& g, Float lr) const {
        held.summed = held.summed + g * g;
        held.weight = held.weight - lr * g / (root(held.summed) + eps);
    }
};

// What a mean that fades keeps of itself and takes of a new number, beta and 1 - beta. Both are rounded from double: in
// float 1 - 0.999f is less than 0.001 by a share of 1.3e-5, and Adam's correction would not fit its moments.
template <class Float> struct Fading {
    Float kept, added;

    FASTFM_INLINE Fading(double beta) : kept(Float(beta)), added(Float(1 - beta)) {}
};

// m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  w = kept w - size m / (sqrt(v) correction + eps), where
// size = lr / (1 - b1^t), correction = 1 / sqrt(1 - b2^t), and kept = 1 - lr weight_decay, which is 1 for plain Adam.
template <class Float> struct Adam {
    static constexpr bool tuned = true;
    using Now = AdamStep<Float>;
    template <class Number> struct Held {
        Number weight, mean, square;
    };
    Rows<Float> weights, moment1, moment2;
    Fading<Float> beta1, beta2;
    Float eps;
    bool decays = false; // whether kept is ever another number than 1

    FASTFM_INLINE void request(int64_t row, int64_t c, int64_t count) const {
        prefetch(weights[row] + c, count);
        prefetch(moment1[row] + c, count);
        prefetch(moment2[row] + c, count);
    }
    template <class Number> FASTFM_INLINE Held<Number> hold(int64_t row, int64_t c, int64_t left) const {
        return {load_as<Number>(weights[row] + c, left), load_as<Number>(moment1[row] + c, left),
                load_as<Number>(moment2[row] + c, left)};
    }
    template <class Number>
    FASTFM_INLINE void keep(const Held<Number>& held, int64_t row, int64_t c, int64_t left) const {
        store(moment1[row] + c, held.mean, left);
        store(moment2[row] + c, held.square, left);
        store(weights[row] + c, held.weight, left);
    }
    template <class Number> FASTFM_INLINE void step(Held<Number>& held, const Number& g, const Now& now) const {
        held.mean = held.mean * beta1.kept + g * beta1.added;
        held.square = held.square * beta2.kept + g * g * beta2.added;
        const auto step = now.size * held.mean / (root(held.square) * now.correction + eps);
        held.weight = held.weight * now.kept - step;
    }
};

// n += g^2;  r = (beta + sqrt(n)) / lr;  z = (-sign(w) l1 - ridge w, where w is not 0, else z) + g - r w;
// w = -(z - sign(z) l1) / (r + ridge) where |z| > l1, else 0
template <class Float> struct Ftrl {
    static constexpr bool tuned = false;
    using Now = Float; // lr
    template <class Number> struct Held {
        Number weight, dual, summed;
    };
    Rows<Float> weights, dual, accumulator;
    Float beta, l1, ridge;

    FASTFM_INLINE void request(int64_t row, int64_t c, int64_t count) const {
        prefetch(weights[row] + c, count);
        prefetch(dual[row] + c, count);
        prefetch(accumulator[row] + c, count);
    }
    template <class Number> FASTFM_INLINE Held<Number> hold(int64_t row, int64_t c, int64_t left) const {
        return {load_as<Number>(weights[row] + c, left), load_as<Number>(dual[row] + c, left),
                load_as<Number>(accumulator[row] + c, left)};
    }
    template <class Number>
    FASTFM_INLINE void keep(const Held<Number>& held, int64_t row, int64_t c, int64_t left) const {
        store(dual[row] + c, held.dual, left);
        store(accumulator[row] + c, held.summed, left);
        store(weights[row] + c, held.weight, left);
    }
    template <class Number> FASTFM_INLINE void step(Held<Number>& held, const Number& g, Float lr) const {
        const auto all = [](Float number) { return fill_as<Number>(number); };
        const Number zero = all(0), weight = held.weight;
        held.summed = held.summed + g * g;
        const Number slope = (root(held.summed) + all(beta)) / all(lr);
        const Number below = where_above(zero, weight, all(l1) - weight * ridge, held.dual);
        const Number z = where_above(weight, zero, all(-l1) - weight * ridge, below) + g - slope * weight;
        const Number divisor = slope + all(ridge);
        const Number negative = where_above(all(-l1), z, (all(-l1) - z) / divisor, zero);
        held.weight = where_above(z, all(l1), (all(l1) - z) / divisor, negative);
        held.dual = z;
    }
};

// A rule with its gradients, to be handed to for_each_row: one step.
template <class Float, class Rule> struct Update {
    static constexpr bool tuned = Rule::tuned;
    Rule rule;
    typename Rule::Now now;
    Rate<Float> rate;

    FASTFM_INLINE void request(int64_t row, int64_t c, int64_t count) const { rule.request(row, c, count); }
    template <class Number>
    FASTFM_INLINE void move(int64_t, int64_t row, int64_t c, const Number& gradient, int64_t left) const {
        auto held = rule.template hold<Number>(row, c, left);
        rule.step(held, scaled(rate, gradient, held.weight), now);
        rule.keep(held, row, c, left);
    }
};

template <class Float, class Rule>
FASTFM_INLINE Update<Float, Rule> update(const Rule& rule, const typename Rule::Now& now, const Rate<Float>& rate) {
    return {rule, now, rate};
}

// a += mean_d(g_d^2), one number a row: the whole row is summed before any of it moves;  w -= lr g / (sqrt(a) + eps)
template <class Float> struct RowwiseAdagrad {
    Rows<Float> weights, accumulator;
    Float eps;

    FASTFM_INLINE void request(int64_t row, int64_t c, int64_t count) const {
        prefetch(weights[row] + c, count);
        prefetch(accumulator[row], 1);
    }
    // Adds a row's squares to its accumulator and returns what its gradient is multiplied with.
    FASTFM_INLINE Float factor(int64_t row, const Line<Float>& squares, int64_t columns, Float lr) const {
        Float& summed = *accumulator[row];
        summed += total(squares) / Float(most(columns, int64_t(1)));
        return lr / (root(summed) + eps);
    }
};

template <class Float, class Id>
void for_each_row(const RowGradients<Float, Id>& of, const RowwiseAdagrad<Float>& given, const Rate<Float>& rate,
                  int64_t low, int64_t high) {
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
                const auto g = scaled(rate, gradient, load_as<Number>(rule.weights[row] + c, left));
                squares += as_line(g * g);
            });
            const Float factor = rule.factor(gradients.plan.rows[u], squares, gradients.columns(), rate.lr);
            each_line(u, [&](int64_t, int64_t row, int64_t c, const auto& gradient, int64_t left) {
                const auto weight = load_as<std::decay_t<decltype(gradient)>>(rule.weights[row] + c, left);
                store(rule.weights[row] + c, weight - factor * scaled(rate, gradient, weight), left);
            });
        }
    });
}

} // namespace FASTFM_ISA
} // namespace fastfm
