// Losses of logits or predictions [B], and of groups [B, C] whose first column is the positive one, with their
// gradients. Formulas and sources: fastfm_core/contract.py.
//
// Two launches: the first leaves each block's sums of weighted losses and of weights, the second adds them in each of
// its blocks in the same fixed order, writes the mean and the gradient, which it divides by the sum of the weights. All
// is done in double; blocks follow from shapes alone. A batch without mass has loss 0 and gradient 0.
#include "common.cuh"

// A sample's loss and its slope by the prediction.
struct Loss {
    double value, slope;
};

// softplus(z), and its slope, the sigmoid
__device__ __forceinline__ Loss softplus(double z) {
    const double small = exp(z < 0 ? z : -z);
    return {(z < 0 ? 0 : z) + log1p(small), z < 0 ? small / (1 + small) : 1 / (1 + small)};
}

// (p - y)^2 if ``squared``, else softplus(z) - y z
__device__ __forceinline__ Loss sample_loss(double prediction, double label, bool squared) {
    if (squared) return {(prediction - label) * (prediction - label), 2 * (prediction - label)};
    const Loss positive = softplus(prediction);
    return {positive.value - label * prediction, positive.slope - label};
}

// The sum of x over a block of 256 threads, known to all; ``held`` has a double per warp. The first barrier is for the
// warps' lanes, which may have been in smaller groups, and for ``held``.
__device__ __forceinline__ double block_sum(double x, double* held) {
    __syncthreads();
    x = Lanes(32).sum(x);
    if (threadIdx.x % 32 == 0) held[threadIdx.x / 32] = x;
    __syncthreads();
    double sum = 0;
    for (int warp = 0; warp < 8; ++warp) sum += held[warp];
    return sum;
}

// One block's part of sums [2, blocks]: weighted losses, and weights.
__device__ __forceinline__ void store_sums(double loss, double weight, double* sums) {
    SHARED(double, held, 8);
    loss = block_sum(loss, held), weight = block_sum(weight, held);
    if (threadIdx.x == 0) sums[blockIdx.x] = loss, sums[gridDim.x + blockIdx.x] = weight;
}

// From sums [2, parts] the sum of all weights; the first block writes the mean loss.
__device__ __forceinline__ double mass_of(const double* sums, int64 parts, double* mean) {
    SHARED(double, held, 8);
    double loss = 0, mass = 0;
    for (int64 part = threadIdx.x; part < parts; part += blockDim.x) loss += sums[part], mass += sums[parts + part];
    loss = block_sum(loss, held), mass = block_sum(mass, held);
    if (thread_number() == 0) *mean = mass == 0 ? 0 : loss / mass;
    return mass;
}

template <class T>
__global__ void sample_losses(const T* __restrict__ predictions, const T* __restrict__ labels,
                              const T* __restrict__ weights, double* __restrict__ sums, int64 samples, int64 squared) {
    double loss = 0, mass = 0;
    for (int64 b = thread_number(); b < samples; b += int64(gridDim.x) * blockDim.x) {
        const double weight = weights ? weights[b] : 1;
        loss += weight * sample_loss(predictions[b], labels[b], squared).value;
        mass += weight;
    }
    store_sums(loss, mass, sums);
}

template <class T>
__global__ void sample_gradients(const T* __restrict__ predictions, const T* __restrict__ labels,
                                 const T* __restrict__ weights, const double* __restrict__ sums,
                                 double* __restrict__ mean, T* __restrict__ grad, int64 samples, int64 parts,
                                 int64 squared) {
    const double mass = mass_of(sums, parts, mean);
    const int64 b = thread_number();
    if (b >= samples) return;
    const double weight = weights ? weights[b] : 1;
    grad[b] = mass == 0 ? T(0) : T(weight * sample_loss(predictions[b], labels[b], squared).slope / mass);
}

// The softmax of one group z [C], which a group of lanes walks: exponentials of the largest logit's rest are added
// apart from its 1, so that neither a small loss nor a small gradient is a difference of large numbers. NaN counts as
// largest.
template <class T> struct Softmax {
    const T* z;
    int64 top;   // column of the largest logit
    double rest; // sum of exp(z_c - z_top) over c other than top

    __device__ __forceinline__ double power(int64 c) const { return c == top ? 1 : exp(double(z[c]) - double(z[top])); }

    __device__ __forceinline__ Softmax(const T* z, int64 columns, const Lanes& lanes) : z(z), top(0), rest(0) {
        for (int64 c = lanes.lane; c < columns; c += lanes.count)
            if (above(c, top)) top = c;
        for (int apart = lanes.count / 2; apart > 0; apart /= 2) {
            const int64 other = __shfl_xor_sync(lanes.mask, top, apart, lanes.count);
            if (above(other, top)) top = other;
        }
        for (int64 c = lanes.lane; c < columns; c += lanes.count)
            if (c != top) rest += power(c);
        rest = lanes.sum(rest);
    }

    // Whether column c comes before d as the largest: the first of equal ones, NaN first of all.
    __device__ __forceinline__ bool above(int64 c, int64 d) const {
        const T x = z[c], y = z[d];
        if (x != x || y != y) return x != x && (y == y || c < d);
        return x > y || (x == y && c < d);
    }
};

template <class T>
__device__ __forceinline__ double group_loss(const T* z, int64 columns, bool ranked, const Lanes& lanes) {
    if (!ranked) {
        const Softmax<T> softmax(z, columns, lanes);
        return double(z[softmax.top]) - double(z[0]) + log1p(softmax.rest);
    }
    double sum = 0;
    for (int64 c = 1 + lanes.lane; c < columns; c += lanes.count) sum += softplus(double(z[c]) - double(z[0])).value;
    return lanes.sum(sum) / (columns > 1 ? columns - 1 : 1);
}

// scale times the slopes; those of the negatives are positive, the positive's is minus their sum
template <class T>
__device__ __forceinline__ void group_slopes(const T* z, int64 columns, bool ranked, double scale, const Lanes& lanes,
                                             T* out) {
    double sum = 0;
    if (ranked) {
        scale /= columns > 1 ? columns - 1 : 1;
        for (int64 c = 1 + lanes.lane; c < columns; c += lanes.count) {
            const double slope = softplus(double(z[c]) - double(z[0])).slope;
            sum += slope, out[c] = T(scale * slope);
        }
    } else {
        const Softmax<T> softmax(z, columns, lanes);
        scale /= 1 + softmax.rest;
        for (int64 c = 1 + lanes.lane; c < columns; c += lanes.count) {
            const double power = softmax.power(c);
            sum += power, out[c] = T(scale * power);
        }
    }
    sum = lanes.sum(sum);
    if (lanes.lane == 0) out[0] = T(-scale * sum);
}

// Bayesian personalized ranking if ``ranked``, else softmax cross entropy; logits [B, C], ``across`` lanes a sample
template <class T>
__global__ void group_losses(const T* __restrict__ logits, const T* __restrict__ weights, double* __restrict__ sums,
                             int64 samples, int64 columns, int64 across, int64 ranked) {
    const Lanes lanes{int(across)};
    double loss = 0, mass = 0;
    for (int64 b = thread_number() / across; b < samples; b += int64(gridDim.x) * blockDim.x / across) {
        const double weight = weights ? weights[b] : 1, own = group_loss(logits + b * columns, columns, ranked, lanes);
        if (lanes.lane == 0) loss += weight * own, mass += weight;
    }
    store_sums(loss, mass, sums);
}

template <class T>
__global__ void group_gradients(const T* __restrict__ logits, const T* __restrict__ weights,
                                const double* __restrict__ sums, double* __restrict__ mean, T* __restrict__ grad,
                                int64 samples, int64 columns, int64 across, int64 parts, int64 ranked) {
    const double mass = mass_of(sums, parts, mean);
    const Lanes lanes{int(across)};
    const int64 b = thread_number() / across;
    if (b >= samples) return;
    T* const out = grad + b * columns;
    if (mass == 0) {
        for (int64 c = lanes.lane; c < columns; c += across) out[c] = T(0);
        return;
    }
    const double weight = weights ? weights[b] : 1;
    group_slopes(logits + b * columns, columns, ranked, weight / mass, lanes, out);
}
