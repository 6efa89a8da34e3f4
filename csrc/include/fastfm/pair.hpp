// Interactions of chosen pairs (f, g) of field vectors e [B, F, D], whose samples may lie any stride apart.
//
//     interaction_b = sum_p r_p <e_bf, e_bg>        product_bp: <e_f, e_g>, or e_f * e_g, or e_f[i] e_g[j]
//
// Pairs that follow one another with the same first field share its vector: sum_g r_fg <e_f, e_g> = <e_f, sum_g r_fg
// e_g>. Formulas and sources: fastfm_core/contract.py.
#pragma once
#include "fastfm/contract.hpp"
#include "fastfm/vector.hpp"

namespace fastfm {

inline namespace FASTFM_ISA {

// Samples low .. high - 1; out [B].
template <class Float> void pair_interaction(const FieldPairs<Float>& in, Float* out, int64_t low, int64_t high) {
    for (int64_t b = low; b < high; ++b) {
        auto sum = fill(Float(0));
        for (int64_t c = 0; c < in.dim; c += Line<Float>::lanes) {
            const int64_t left = in.dim - c;
            for (int64_t p = 0; p < in.count;) {
                const int32_t first = in.first(p);
                auto others = fill(Float(0));
                for (; p < in.count && in.first(p) == first; ++p)
                    others += load(in.vector(b, in.second(p)) + c, left) * in.weight(p);
                sum += load(in.vector(b, first) + c, left) * others;
            }
        }
        out[b] = total(sum);
    }
}

// grad [B] -> out [B, F, D], which begins with zeros; and, where weight_sums [P, lanes] are given, adds to them lane by
// lane what the weights' gradients are the totals of.
template <class Float>
void pair_interaction_backward(const FieldPairs<Float>& in, const Float* grad, Float* out, Float* weight_sums,
                               int64_t low, int64_t high) {
    constexpr int64_t lanes = Line<Float>::lanes;
    for (int64_t b = low; b < high; ++b)
        for (int64_t c = 0; c < in.dim; c += lanes) {
            const int64_t left = in.dim - c;
            Float* const to = out + b * in.fields * in.dim + c;
            for (int64_t p = 0; p < in.count;) {
                const int32_t first = in.first(p);
                const auto own = load(in.vector(b, first) + c, left);
                auto others = load(to + first * in.dim, left);
                for (; p < in.count && in.first(p) == first; ++p) {
                    const int32_t second = in.second(p);
                    const auto other = load(in.vector(b, second) + c, left);
                    const Float factor = grad[b] * in.weight(p);
                    others += other * factor;
                    store(to + second * in.dim, load(to + second * in.dim, left) + own * factor, left);
                    if (weight_sums) {
                        Float* const sums = weight_sums + p * lanes;
                        store(sums, load(sums) + own * other * grad[b]);
                    }
                }
                store(to + first * in.dim, others, left);
            }
        }
}

// out [B, P, W]
template <class Float>
void pair_products(const FieldPairs<Float>& in, Product product, Float* out, int64_t low, int64_t high) {
    const int64_t width = in.width(product);
    for (int64_t b = low; b < high; ++b)
        for (int64_t p = 0; p < in.count; ++p) {
            const Float *first = in.vector(b, in.first(p)), *second = in.vector(b, in.second(p));
            Float* const to = out + (b * in.count + p) * width;
            auto sum = fill(Float(0));
            for (int64_t c = 0; c < in.dim; c += Line<Float>::lanes) {
                const int64_t left = in.dim - c;
                const auto other = load(second + c, left);
                if (product == Product::outer) {
                    for (int64_t i = 0; i < in.dim; ++i) store(to + i * in.dim + c, other * first[i], left);
                    continue;
                }
                const auto both = load(first + c, left) * other;
                if (product == Product::elementwise) store(to + c, both, left);
                else sum += both;
            }
            if (product == Product::inner) *to = total(sum);
        }
}

// grad [B, P, W] -> out [B, F, D], which begins with zeros
template <class Float>
void pair_products_backward(const FieldPairs<Float>& in, Product product, const Float* grad, Float* out, int64_t low,
                            int64_t high) {
    const int64_t width = in.width(product);
    const auto add = [](Float* to, const Line<Float>& line, int64_t left) { store(to, load(to, left) + line, left); };
    for (int64_t b = low; b < high; ++b)
        for (int64_t p = 0; p < in.count; ++p) {
            const int32_t f = in.first(p), g = in.second(p);
            const Float *first = in.vector(b, f), *second = in.vector(b, g);
            const Float* from = grad + (b * in.count + p) * width;
            Float *by_first = out + (b * in.fields + f) * in.dim, *by_second = out + (b * in.fields + g) * in.dim;
            if (product == Product::outer) {
                for (int64_t i = 0; i < in.dim; ++i, from += in.dim) {
                    auto sum = fill(Float(0));
                    for (int64_t c = 0; c < in.dim; c += Line<Float>::lanes) {
                        const auto each = load(from + c, in.dim - c);
                        sum += each * load(second + c, in.dim - c);
                        add(by_second + c, each * first[i], in.dim - c);
                    }
                    by_first[i] += total(sum);
                }
                continue;
            }
            for (int64_t c = 0; c < in.dim; c += Line<Float>::lanes) {
                const int64_t left = in.dim - c;
                const auto each = product == Product::inner ? fill(*from) : load(from + c, left);
                add(by_first + c, each * load(second + c, left), left);
                add(by_second + c, each * load(first + c, left), left);
            }
        }
}

} // namespace FASTFM_ISA
} // namespace fastfm
