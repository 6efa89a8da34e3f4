// Kernels for tests of the emulator: each right, and wrong in one way. The line of a mistake ends in "// wrong:
// <what>".

// y[i] = x of the block's mirrored thread.
template <bool right> __global__ void mirror(const float* x, float* y) {
    SHARED(float, row, 256);
    const long long first = (long long)(blockIdx.x) * blockDim.x;
    row[threadIdx.x] = x[first + threadIdx.x];
    if (right) __syncthreads();
    y[first + threadIdx.x] = row[blockDim.x - 1 - threadIdx.x]; // wrong: mirror
}

// y[i] = the sum of what the block's threads with an even number have.
template <bool right> __global__ void even_sum(const float* x, float* y) {
    SHARED(float, evens, 256);
    const long long first = (long long)(blockIdx.x) * blockDim.x;
    if (right || threadIdx.x % 2 == 0) evens[threadIdx.x] = threadIdx.x % 2 == 0 ? x[first + threadIdx.x] : 0.0f;
    __syncthreads();
    float sum = 0.0f;
    for (unsigned i = 0; i < blockDim.x; ++i) sum += evens[i];
    y[first + threadIdx.x] = sum;
}

template <bool right> __global__ void two_barriers(const float* x, float* y) {
    if (right || threadIdx.x < 100) __syncthreads();
    else __syncthreads(); // wrong: two_barriers
    y[threadIdx.x] = x[threadIdx.x];
}

template <bool right> __global__ void leave_early(const float* x, float* y) {
    if (!right && threadIdx.x >= 100) return;
    __syncthreads(); // wrong: leave_early
    y[threadIdx.x] = x[threadIdx.x];
}

template <bool right> __global__ void lack_caller(const float* x, float* y) {
    const unsigned mask = right || threadIdx.x % 32 < 16 ? 0xffffffffu : 0x0000ffffu;
    y[threadIdx.x] = __shfl_xor_sync(mask, x[threadIdx.x], 1); // wrong: lack_caller
}

template <bool right> __global__ void other_operation(const float* x, float* y) {
    if (right || threadIdx.x % 2) y[threadIdx.x] = __shfl_up_sync(0xffffffffu, x[threadIdx.x], 1);
    else y[threadIdx.x] = __shfl_down_sync(0xffffffffu, x[threadIdx.x], 1); // wrong: other_operation
}

template <bool right> __global__ void outside_mask(const float* x, float* y) {
    if (threadIdx.x % 32 < 16)
        y[threadIdx.x] = __shfl_sync(0x0000ffffu, x[threadIdx.x], right ? 3 : 20); // wrong: outside_mask
}

template <bool right> __global__ void left_lanes(const float* x, float* y) {
    if (!right && threadIdx.x % 32 == 5) return;
    y[threadIdx.x] = __any_sync(0xffffffffu, x[threadIdx.x] > 0.0f); // wrong: left_lanes
}

template <bool right> __global__ void wait_for_each_other(const float* x, float* y) {
    if (right || threadIdx.x % 32 == 5) __syncthreads();
    __syncwarp();
    if (!right && threadIdx.x % 32 != 5) __syncthreads();
    y[threadIdx.x] = x[threadIdx.x];
}

// The last block that comes waits for nobody; waiting for all the others is waiting for blocks that have no place yet.
template <bool right> __global__ void spin(unsigned* arrived, float* y) {
    const unsigned before = threadIdx.x == 0 ? atomicAdd(arrived, 1u) : 0u;
    if (!right && threadIdx.x == 0)
        while (atomicAdd(arrived, 0u) < gridDim.x) __nanosleep(100); // wrong: spin
    y[blockIdx.x * blockDim.x + threadIdx.x] = float(before * 0u);
}

template <bool right> __global__ void much_shared(const float* x, float* y) {
    SHARED(double, numbers, right ? 6000 : 6200); // wrong: much_shared
    numbers[threadIdx.x] = x[threadIdx.x];
    y[threadIdx.x] = float(numbers[threadIdx.x]);
}

// The number of each thread, by its own place or by the order in which they come.
template <bool right> __global__ void append(unsigned* count, float* y) {
    const unsigned place = atomicAdd(count, 1u);
    y[right ? threadIdx.x : place] = float(threadIdx.x);
}

// Under AddressSanitizer and the checks of undefined behaviour.

template <bool right> __global__ void past_end(const float* x, float* y) {
    y[threadIdx.x] = x[threadIdx.x + (right ? 0 : 1)]; // wrong: past_end
}

template <bool right> __global__ void past_shared(const float* x, float* y) {
    SHARED(float, row, 128);
    row[threadIdx.x + (right ? 0 : 1)] = x[threadIdx.x]; // wrong: past_shared
    y[threadIdx.x] = x[threadIdx.x];
}

template <bool right> __global__ void misaligned(const float* x, float* y) {
    if (threadIdx.x >= 32) return;
    const float4 four = *reinterpret_cast<const float4*>(x + 4 * threadIdx.x + (right ? 0 : 2)); // wrong: misaligned
    y[threadIdx.x] = four.x;
}

template <bool right> __global__ void overflow(const float* x, float* y) {
    const int rows = 70'000 + int(threadIdx.x);
    const long long offset = right ? (long long)(rows)*rows : rows * rows; // wrong: overflow
    y[threadIdx.x] = offset > 0 ? x[threadIdx.x] : 0.0f;
}

// Under ThreadSanitizer, as mirror is.

template <bool right> __global__ void second_barrier(const float* x, float* y) {
    SHARED(float, row, 256);
    const long long first = (long long)(blockIdx.x) * blockDim.x;
    float sum = 0.0f;
    for (int round = 0; round < 2; ++round) {
        row[threadIdx.x] = x[first + threadIdx.x] + float(round); // wrong: second_barrier
        __syncthreads();
        sum += row[blockDim.x - 1 - threadIdx.x];
        if (right) __syncthreads();
    }
    y[first + threadIdx.x] = sum;
}

template <bool right> __global__ void within_warp(const float* x, float* y) {
    SHARED(float, row, 256);
    row[threadIdx.x] = x[threadIdx.x];
    if (right) __syncwarp();
    y[threadIdx.x] = row[threadIdx.x ^ 1u]; // wrong: within_warp
}

template <bool right> __global__ void across_blocks(unsigned* count, float* y) {
    if (right) atomicAdd(count, 1u);
    else *count = *count + 1u; // wrong: across_blocks
    y[blockIdx.x * blockDim.x + threadIdx.x] = 0.0f;
}

// The last block adds what the others have left: each sums up, raises its fence, and counts itself in.
template <bool right> __global__ void last_block(unsigned* arrived, float* y) {
    if (threadIdx.x) return;
    y[blockIdx.x] = float(blockIdx.x);
    if (right) __threadfence();
    if (atomicAdd(arrived, 1u) + 1u < gridDim.x) return;
    if (right) __threadfence();
    float sum = 0.0f;
    for (unsigned i = 0; i < gridDim.x; ++i) sum += y[i]; // wrong: last_block
    y[gridDim.x] = sum;
}
