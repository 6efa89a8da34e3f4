// FM interactions of field vectors e [B, F, D] that are given; C-contiguous. Formulas and source: lookup.hpp.
//
//     fm_b = 1/2 sum_d (S_bd^2 - sum_f e_bfd^2)        bi_bd: the same kept per dim        S_b = sum_f e_bf
//     backward: de_bf = grad_b (S_b - e_bf), where grad is one number a sample, or one for each dim
#pragma once
#include "fastfm/contract.hpp"
#include "fastfm/vector.hpp"

namespace fastfm {

inline namespace FASTFM_ISA {

// Samples low .. high - 1; out is [B, D] if per_dim, else [B].
template <class Float>
void interact_fields(const Fields<Float>& in, bool per_dim, Float* out, int64_t low, int64_t high) {
    const Float half = 0.5;
    for (int64_t b = low; b < high; ++b) {
        auto pair = fill(Float(0));
        for (int64_t c = 0; c < in.dim; c += Line<Float>::lanes) {
            auto sum = fill(Float(0)), own = fill(Float(0));
            for (int64_t f = 0; f < in.fields; ++f) {
                const auto e = load(in.e + (b * in.fields + f) * in.dim + c, in.dim - c);
                sum += e;
                own += e * e;
            }
            const auto crosses = fill(half) * (sum * sum - own);
            if (per_dim) store(out + b * in.dim + c, crosses, in.dim - c);
            pair += crosses;
        }
        if (!per_dim) out[b] = total(pair);
    }
}

// grad is [B, D] if per_dim, else [B]; out [B, F, D].
template <class Float>
void interact_fields_backward(const Fields<Float>& in, bool per_dim, const Float* grad, Float* out, int64_t low,
                              int64_t high) {
    for (int64_t b = low; b < high; ++b) {
        for (int64_t c = 0; c < in.dim; c += Line<Float>::lanes) {
            const int64_t start = b * in.fields * in.dim + c, left = in.dim - c;
            auto sum = fill(Float(0));
            for (int64_t f = 0; f < in.fields; ++f) sum += load(in.e + start + f * in.dim, left);
            const auto scale = per_dim ? load(grad + b * in.dim + c, left) : fill(grad[b]);
            for (int64_t f = 0; f < in.fields; ++f)
                store(out + start + f * in.dim, scale * (sum - load(in.e + start + f * in.dim, left)), left);
        }
    }
}

} // namespace FASTFM_ISA
} // namespace fastfm
