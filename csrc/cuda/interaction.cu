// The FM interaction of given field vectors e [B, F, D], summed to [B] or kept per dim (bi-interaction) [B, D].
//
//     1/2 ((sum_f e_f)^2 - sum_f e_f^2),  gradient by e_f: grad (S - e_f) with S = sum_f e_f
//
// Rendle, ICDM 2010, Lemma 3.1; He & Chua, SIGIR 2017. A thread has V neighbouring dims of one sample and adds its
// fields in order; the lanes of a sample add their dims in an order that depends on D alone.
#include "common.cuh"

// Sums over the fields of V dims of one sample, and of their squares.
template <class T, int V> struct FieldSums {
    Vector<T, V> sums = {}, squares = {};

    __device__ __forceinline__ FieldSums(const T* fields, int64 count, int64 dim) {
#pragma unroll 8
        for (int64 f = 0; f < count; ++f) {
            const Vector<T, V> e = load<V>(fields + f * dim);
            for (int k = 0; k < V; ++k) sums.at[k] += e.at[k], squares.at[k] += e.at[k] * e.at[k];
        }
    }

    __device__ __forceinline__ T pairs(int k) const { return (sums.at[k] * sums.at[k] - squares.at[k]) / T(2); }
};

// fields [B, F, D] -> out [B], ``across`` lanes a sample
template <class T, int V>
__global__ void fm_interaction(const T* __restrict__ fields, T* __restrict__ out, int64 samples, int64 count, int64 dim,
                               int64 across) {
    const Lanes lanes{int(across)};
    const int64 b = thread_number() / across;
    if (b >= samples) return;
    T sum = T(0);
    for (int64 d = V * lanes.lane; d < dim; d += V * across) {
        const FieldSums<T, V> of(fields + b * count * dim + d, count, dim);
        for (int k = 0; k < V; ++k) sum += of.pairs(k);
    }
    sum = lanes.sum(sum);
    if (lanes.lane == 0) out[b] = sum;
}

// fields [B, F, D] -> out [B, D]
template <class T, int V>
__global__ void bi_interaction(const T* __restrict__ fields, T* __restrict__ out, int64 samples, int64 count,
                               int64 dim) {
    const int64 groups = dim / V, b = thread_number() / groups, d = V * (thread_number() - b * groups);
    if (b >= samples) return;
    const FieldSums<T, V> of(fields + b * count * dim + d, count, dim);
    Vector<T, V> pairs;
    for (int k = 0; k < V; ++k) pairs.at[k] = of.pairs(k);
    store<V>(out + b * dim + d, pairs);
}

// grad [B, D] if ``per_dim``, else [B] -> out [B, F, D]. The second walk goes backwards: the last fields are in the
// cache.
template <class T, int V>
__global__ void interaction_backward(const T* __restrict__ grad, const T* __restrict__ fields, T* __restrict__ out,
                                     int64 samples, int64 count, int64 dim, int64 per_dim) {
    const int64 groups = dim / V, b = thread_number() / groups, d = V * (thread_number() - b * groups);
    if (b >= samples) return;
    const int64 start = b * count * dim + d;
    const FieldSums<T, V> of(fields + start, count, dim);
    Vector<T, V> upper;
    if (per_dim) upper = load<V>(grad + b * dim + d);
    else
        for (int k = 0; k < V; ++k) upper.at[k] = grad[b];
#pragma unroll 4
    for (int64 f = count - 1; f >= 0; --f) {
        Vector<T, V> e = load<V>(fields + start + f * dim);
        for (int k = 0; k < V; ++k) e.at[k] = upper.at[k] * (of.sums.at[k] - e.at[k]);
        store<V>(out + start + f * dim, e);
    }
}
