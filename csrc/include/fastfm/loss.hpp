// Losses of logits or predictions [B]: the sum over samples low .. high - 1 in double, and the gradient of the mean.
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

} // namespace FASTFM_ISA
} // namespace fastfm
