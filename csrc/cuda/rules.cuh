// The optimizers' rules on single numbers: a weight, its state and its gradient g. Formulas and papers:
// fastfm_core/contract.py, update_rows_*.

#pragma once

#include "common.cuh"

// What differs from one step to the next: the step size (Adam's with its first bias correction), Adam's second bias
// correction 1 / sqrt(1 - beta2^t), and what weights are multiplied with, 1 - lr weight_decay.
template <class T> struct Now {
    T size, correction, kept;
};

// w -= lr g
template <class T> struct Sgd {
    static constexpr int states = 0;
    __device__ __forceinline__ Sgd(double, double, double) {}
    __device__ __forceinline__ void step(T& w, T&, T&, T g, const Now<T>& now) const { w -= now.size * g; }
};

// a += g^2;  w -= lr g / (sqrt(a) + eps)
template <class T> struct Adagrad {
    static constexpr int states = 1;
    T eps;
    __device__ __forceinline__ Adagrad(double of, double, double) : eps(T(of)) {}
    __device__ __forceinline__ void step(T& w, T& a, T&, T g, const Now<T>& now) const {
        a += g * g;
        w -= now.size * g / (sqrt(a) + eps);
    }
};

// m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  w = kept w - size m / (sqrt(v) correction + eps). 1 - b is rounded
// from double: in float 1 - 0.999f is less than 0.001 by a share of 1.3e-5, and the correction would not fit it.
template <class T> struct Adam {
    static constexpr int states = 2;
    T beta1, beta2, share1, share2, eps;
    __device__ __forceinline__ Adam(double one, double two, double three)
        : beta1(T(one)), beta2(T(two)), share1(T(1 - one)), share2(T(1 - two)), eps(T(three)) {}
    __device__ __forceinline__ void step(T& w, T& m, T& v, T g, const Now<T>& now) const {
        m = beta1 * m + share1 * g;
        v = beta2 * v + share2 * g * g;
        w = now.kept * w - now.size * m / (sqrt(v) * now.correction + eps);
    }
};

// n += g^2;  r = (beta + sqrt(n)) / lr;  z = (-sign(w) l1 - ridge w, where w is not 0, else z) + g - r w;
// w = -(z - sign(z) l1) / (r + ridge) where |z| > l1, else 0
template <class T> struct Ftrl {
    static constexpr int states = 2;
    T beta, l1, ridge;
    __device__ __forceinline__ Ftrl(double one, double two, double three) : beta(T(one)), l1(T(two)), ridge(T(three)) {}
    __device__ __forceinline__ void step(T& w, T& z, T& n, T g, const Now<T>& now) const {
        n += g * g;
        const T r = (beta + sqrt(n)) / now.size;
        if (w != T(0)) z = (w > T(0) ? -l1 : l1) - ridge * w;
        z += g - r * w;
        const T beyond = z > T(0) ? l1 - z : -l1 - z;
        w = fabs(z) > l1 ? beyond / (r + ridge) : z != z ? z : T(0);
    }
};

// a += mean(g^2) over the row;  w -= lr g / (sqrt(a) + eps): what a row's weights move by, for each unit of g. A step
// can be taken in two phases, 1: accumulators alone, 2: weights alone; 0 is both at once.
template <class T> struct RowwiseAdagrad {
    static constexpr int states = 1;
    T eps;
    bool accumulates, moves;
    __device__ __forceinline__ RowwiseAdagrad(double of, double phase, double)
        : eps(T(of)), accumulates(phase != 2), moves(phase != 1) {}
    __device__ __forceinline__ T factor(T a, const Now<T>& now) const { return now.size / (sqrt(a) + eps); }
};
