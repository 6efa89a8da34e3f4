// Interactions of chosen pairs (f, g) of field vectors e [B, F, D], whose samples lie any stride apart.
//
//     interaction_b = sum_p r_p <e_bf, e_bg>        product_bp: <e_f, e_g>, or e_f * e_g, or e_f[i] e_g[j]
//
// Formulas and sources: fastfm_core/contract.py. Gradients by vectors are gathered: each field has a list of its pairs,
// ascending, made anew by one warp a field, and adds over it. Weights' gradients are added over pieces of samples whose
// number depends on shapes alone; columns.cu adds the pieces. Nothing is added in an order that a run decides.
#include "common.cuh"

enum Product { inner, elementwise, outer };

// The vectors of one sample after the other.
template <class T> struct Fields {
    const T* start;
    int64 stride, dim;

    __device__ __forceinline__ const T* at(int64 b, int64 field) const { return start + b * stride + field * dim; }
};

struct Pair {
    int first, second;
};

// -> out [B]. A sample has a warp: ``across`` lanes share a pair's dims, each group of lanes has a run of the pairs.
// Pairs that follow one another with the same first field share its vector: sum_g r <e_f, e_g> = <e_f, sum_g r e_g>.
template <class T, int V>
__global__ void pair_interaction(const T* __restrict__ vectors, const Pair* __restrict__ pairs,
                                 const T* __restrict__ weights, T* __restrict__ out, int64 samples, int64 stride,
                                 int64 dim, int64 count, int64 across) {
    const Lanes warp(32);
    const int64 b = thread_number() / 32;
    if (b >= samples) return;
    const Fields<T> e{vectors, stride, dim};
    const int64 groups = 32 / across, group = warp.lane / across;
    const int64 low = count * group / groups, high = count * (group + 1) / groups;
    T sum = T(0);
    for (int64 d = V * (warp.lane - group * across); d < dim; d += V * across) {
        int first = -1;
        Vector<T, V> own = {}, others = {};
        for (int64 p = low; p < high; ++p) {
            const Pair pair = pairs[p];
            if (pair.first != first) {
                for (int k = 0; k < V; ++k) sum += own.at[k] * others.at[k], others.at[k] = T(0);
                first = pair.first, own = load<V>(e.at(b, first) + d);
            }
            const T weight = weights ? weights[p] : T(1);
            const Vector<T, V> other = load<V>(e.at(b, pair.second) + d);
            for (int k = 0; k < V; ++k) others.at[k] += weight * other.at[k];
        }
        for (int k = 0; k < V; ++k) sum += own.at[k] * others.at[k];
    }
    sum = warp.sum(sum);
    if (warp.lane == 0) out[b] = sum;
}

// grad [B] -> partial [pieces, P]: sum of grad_b <e_f, e_g> over the samples of a piece. ``across`` lanes have a pair.
template <class T, int V>
__global__ void pair_weight_sums(const T* __restrict__ grad, const T* __restrict__ vectors,
                                 const Pair* __restrict__ pairs, T* __restrict__ partial, int64 samples, int64 stride,
                                 int64 dim, int64 count, int64 across, int64 piece_samples) {
    const Lanes lanes{int(across)};
    const int64 wide = blockDim.x / across, tiles = (count + wide - 1) / wide, piece = blockIdx.x / tiles;
    const int64 p = (blockIdx.x - piece * tiles) * wide + threadIdx.x / across;
    if (p >= count) return;
    const Fields<T> e{vectors, stride, dim};
    const Pair pair = pairs[p];
    const int64 low = piece * piece_samples, high = low + piece_samples < samples ? low + piece_samples : samples;
    T sum = T(0);
    for (int64 d = V * lanes.lane; d < dim; d += V * across)
#pragma unroll 4
        for (int64 b = low; b < high; ++b) {
            const Vector<T, V> left = load<V>(e.at(b, pair.first) + d), right = load<V>(e.at(b, pair.second) + d);
            T product = T(0);
            for (int k = 0; k < V; ++k) product += left.at[k] * right.at[k];
            sum += grad[b] * product;
        }
    sum = lanes.sum(sum);
    if (lanes.lane == 0) partial[piece * count + p] = sum;
}

// The pairs of each field, ascending: places [F, P] has 2p where it is the first of pair p, 2p + 1 where the second,
// and degrees [F] how many there are. One warp a field.
__global__ void pair_places(const Pair* __restrict__ pairs, int* __restrict__ places, int* __restrict__ degrees,
                            int64 fields, int64 count) {
    const int64 field = thread_number() / 32;
    if (field >= fields) return;
    const unsigned lane = threadIdx.x % 32;
    int degree = 0;
    for (int64 start = 0; start < count; start += 32) {
        const int64 p = start + lane;
        const Pair pair = p < count ? pairs[p] : Pair{-1, -1};
        const bool own = pair.first == field || pair.second == field;
        const unsigned found = __ballot_sync(0xffffffffu, own);
        if (own)
            places[field * count + degree + __popc(found & ((1u << lane) - 1u))] = int(2 * p + (pair.second == field));
        degree += __popc(found);
    }
    if (lane == 0) degrees[field] = degree;
}

// -> out [B, F, D]: the sum over the pairs p of each field of r_p grad_bp e_other. Where grad is one number a pair or a
// sample, or an elementwise product's, it lies at b * grad_stride + p * pair_stride; V dims a thread.
template <class T, int V>
__global__ void pair_backward(const T* __restrict__ grad, const T* __restrict__ vectors, const Pair* __restrict__ pairs,
                              const T* __restrict__ weights, const int* __restrict__ places,
                              const int* __restrict__ degrees, T* __restrict__ out, int64 samples, int64 fields,
                              int64 stride, int64 dim, int64 count, int64 grad_stride, int64 pair_stride,
                              int64 product) {
    const int64 groups = dim / V, vector = thread_number() / groups, d = V * (thread_number() - vector * groups);
    const int64 b = vector / fields, field = vector - b * fields;
    if (b >= samples) return;
    const Fields<T> e{vectors, stride, dim};
    const int degree = degrees[field];
    Vector<T, V> sums = {};
    for (int n = 0; n < degree; ++n) {
        const int place = places[field * count + n], p = place / 2;
        const T* const other = e.at(b, place % 2 ? pairs[p].first : pairs[p].second);
        const T* const upper = grad + b * grad_stride + p * pair_stride;
        if (product == inner) {
            const T factor = weights ? weights[p] * *upper : *upper;
            const Vector<T, V> with = load<V>(other + d);
            for (int k = 0; k < V; ++k) sums.at[k] += factor * with.at[k];
        } else if (product == elementwise) {
            const Vector<T, V> factors = load<V>(upper + d), with = load<V>(other + d);
            for (int k = 0; k < V; ++k) sums.at[k] += factors.at[k] * with.at[k];
        } else if (place % 2) {
            for (int64 i = 0; i < dim; ++i) {
                const Vector<T, V> row = load<V>(upper + i * dim + d);
                for (int k = 0; k < V; ++k) sums.at[k] += row.at[k] * other[i];
            }
        } else {
            for (int64 j = 0; j < dim; j += V) {
                const Vector<T, V> with = load<V>(other + j);
                for (int k = 0; k < V; ++k) {
                    const Vector<T, V> row = load<V>(upper + (d + k) * dim + j);
                    for (int m = 0; m < V; ++m) sums.at[k] += row.at[m] * with.at[m];
                }
            }
        }
    }
    store<V>(out + vector * dim + d, sums);
}

// -> out [B, P]: inner products, ``across`` lanes each
template <class T, int V>
__global__ void pair_inner(const T* __restrict__ vectors, const Pair* __restrict__ pairs, T* __restrict__ out,
                           int64 samples, int64 stride, int64 dim, int64 count, int64 across) {
    const Lanes lanes{int(across)};
    const int64 at = thread_number() / across, b = at / count, p = at - b * count;
    if (b >= samples) return;
    const Fields<T> e{vectors, stride, dim};
    const T *const first = e.at(b, pairs[p].first), *const second = e.at(b, pairs[p].second);
    T sum = T(0);
    for (int64 d = V * lanes.lane; d < dim; d += V * across) {
        const Vector<T, V> left = load<V>(first + d), right = load<V>(second + d);
        for (int k = 0; k < V; ++k) sum += left.at[k] * right.at[k];
    }
    sum = lanes.sum(sum);
    if (lanes.lane == 0) out[at] = sum;
}

// -> out [B, P, rows, D]: rows is 1 for elementwise products, D for outer ones, whose row i is e_f[i] e_g. A thread has
// V neighbours of a row.
template <class T, int V>
__global__ void pair_outer(const T* __restrict__ vectors, const Pair* __restrict__ pairs, T* __restrict__ out,
                           int64 samples, int64 stride, int64 dim, int64 count, int64 rows) {
    const int64 groups = dim / V, row = thread_number() / groups, d = V * (thread_number() - row * groups);
    const int64 at = row / rows, i = row - at * rows, b = at / count, p = at - b * count;
    if (b >= samples) return;
    const Fields<T> e{vectors, stride, dim};
    const T* const first = e.at(b, pairs[p].first);
    Vector<T, V> made = load<V>(e.at(b, pairs[p].second) + d);
    Vector<T, V> factors = {};
    if (rows == 1) factors = load<V>(first + d);
    else
        for (int k = 0; k < V; ++k) factors.at[k] = first[i];
    for (int k = 0; k < V; ++k) made.at[k] *= factors.at[k];
    store<V>(out + row * dim + d, made);
}
