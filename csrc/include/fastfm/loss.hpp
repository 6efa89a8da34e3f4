// Losses of logits or predictions [B], or [B, C] for groups of which the first column is the positive one: the sum over
// samples low .. high - 1 in double, and the gradient of the mean.
//
// The mean divides by `mass`, the sum of the weights; weights may be null. Formulas: fastfm_core/contract.py.
#pragma once
#include "fastfm/isa.hpp"
#include <math.h>

namespace fastfm {
inline namespace FASTFM_ISA {

// weight (softplus(z) - y z); gradient weight (sigmoid(z) - y) / mass
template <class Float>
double bce_with_logits(const Float* logits, const Float* labels, const Float* weights, double mass, Float* grad,
                       int64_t low, int64_t high) {
    double loss = 0;
    for (int64_t b = low; b < high; ++b) {
        const double z = logits[b], y = labels[b], weight = weights ? weights[b] : 1;
        const double small = ::exp(z < 0 ? z : -z);
        const double sigmoid = z < 0 ? small / (1 + small) : 1 / (1 + small);
        loss += weight * ((z < 0 ? 0 : z) - y * z + ::log1p(small));
        grad[b] = Float(weight * (sigmoid - y) / mass);
    }
    return loss;
}

// weight (p - y)^2; gradient 2 weight (p - y) / mass
template <class Float>
double squared_error(const Float* predictions, const Float* labels, const Float* weights, double mass, Float* grad,
                     int64_t low, int64_t high) {
    double loss = 0;
    for (int64_t b = low; b < high; ++b) {
        const double error = double(predictions[b]) - labels[b], weight = weights ? weights[b] : 1;
        loss += weight * error * error;
        grad[b] = Float(2 * weight * error / mass);
    }
    return loss;
}

// weight (log sum_c exp(z_c) - z_0); gradient weight (softmax(z) - [c = 0]) / mass. Exponents of the largest logit's
// rest are added apart from its 1, so that neither a small loss nor a small gradient is a difference of large numbers.
template <class Float>
double softmax_cross_entropy(const Float* logits, int64_t columns, const Float* weights, double mass, Float* grad,
                             int64_t low, int64_t high) {
    double loss = 0;
    for (int64_t b = low; b < high; ++b) {
        const Float* z = logits + b * columns;
        const double weight = weights ? weights[b] : 1;
        int64_t top = 0;
        for (int64_t c = 1; c < columns; ++c)
            if (z[c] > z[top] || z[c] != z[c]) top = c;
        Float* const out = grad + b * columns;
        double rest = 0, others = 0;
        for (int64_t c = 0; c < columns; ++c) {
            const double power = c == top ? 1 : ::exp(double(z[c]) - z[top]);
            if (c != top) rest += power;
            if (c != 0) others += power;
            out[c] = Float(power);
        }
        loss += weight * (double(z[top]) - z[0] + ::log1p(rest));
        const double share = weight / mass / (1 + rest);
        for (int64_t c = 1; c < columns; ++c) out[c] = Float(share * out[c]);
        out[0] = Float(-share * others);
    }
    return loss;
}

// weight mean_c softplus(z_c - z_0) over the negatives c > 0; gradient weight sigmoid(z_c - z_0) / (negatives mass),
// and minus their sum for the positive
template <class Float>
double bpr(const Float* logits, int64_t columns, const Float* weights, double mass, Float* grad, int64_t low,
           int64_t high) {
    const double negatives = columns > 1 ? double(columns - 1) : 1;
    double loss = 0;
    for (int64_t b = low; b < high; ++b) {
        const Float* z = logits + b * columns;
        const double weight = (weights ? weights[b] : 1) / negatives;
        double sum = 0, slopes = 0;
        for (int64_t c = 1; c < columns; ++c) {
            const double apart = double(z[c]) - z[0], small = ::exp(apart < 0 ? apart : -apart);
            const double slope = apart < 0 ? small / (1 + small) : 1 / (1 + small);
            sum += (apart < 0 ? 0 : apart) + ::log1p(small);
            slopes += slope;
            grad[b * columns + c] = Float(weight * slope / mass);
        }
        loss += weight * sum;
        grad[b * columns] = Float(-weight * slopes / mass);
    }
    return loss;
}

} // namespace FASTFM_ISA
} // namespace fastfm
