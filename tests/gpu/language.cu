// One kernel per part of CUDA that the emulator stands in for: what each computes is compared with NumPy.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

// Results of all warp operations: shuffles are rows of y.
template <class T> __global__ void shuffles(const T* x, T* y, long long width) {
    const T own = x[threadIdx.x];
    const int w = int(width);
    y[threadIdx.x] = __shfl_sync(0xffffffffu, own, 3, w);
    y[32 + threadIdx.x] = __shfl_xor_sync(0xffffffffu, own, 5, w);
    y[64 + threadIdx.x] = __shfl_up_sync(0xffffffffu, own, 2, w);
    y[96 + threadIdx.x] = __shfl_down_sync(0xffffffffu, own, 2, w);
}

__global__ void votes(const int* x, unsigned* y) {
    const unsigned half = threadIdx.x < 16 ? 0x0000ffffu : 0xffff0000u;
    y[threadIdx.x] = __ballot_sync(half, x[threadIdx.x]);
    y[32 + threadIdx.x] = unsigned(__any_sync(half, x[threadIdx.x]));
    y[64 + threadIdx.x] = unsigned(__all_sync(half, x[threadIdx.x]));
    y[96 + threadIdx.x] = __match_any_sync(half, x[threadIdx.x]);
}

__global__ void indices(int* y, long long depth) {
    const long long block = blockIdx.x + gridDim.x * (long long)(blockIdx.y);
    const long long thread = threadIdx.x + blockDim.x * (long long)(threadIdx.y + blockDim.y * threadIdx.z);
    y[block * blockDim.x * blockDim.y * blockDim.z + thread] += int(block * 1000 + thread + depth);
}

__global__ void atomics(const int* x, int* whole, unsigned* bits, unsigned long long* wide) {
    const int own = x[threadIdx.x];
    atomicAdd(whole, own);
    atomicMax(whole + 1, own);
    atomicMin(whole + 2, own);
    atomicOr(bits, 1u << own % 32);
    atomicXor(bits + 1, unsigned(own));
    atomicAnd(bits + 2, ~(1u << own % 32));
    atomicAdd(wide, (unsigned long long)(own) << 32);
    if (atomicCAS(whole + 3, 0, own) == 0) atomicExch(bits + 3, unsigned(own));
}

__global__ void halves(const __half* halves, const __nv_bfloat16* brains, float* from_half, float* from_brain,
                       const float* x, __half* to_half, __nv_bfloat16* to_brain) {
    const long long i = (long long)(blockIdx.x) * blockDim.x + threadIdx.x;
    from_half[i] = __half2float(halves[i]);
    from_brain[i] = __bfloat162float(brains[i]);
    to_half[i] = __float2half(x[i]);
    to_brain[i] = __float2bfloat16(x[i]);
}

__global__ void __launch_bounds__(32) numbers(const float* __restrict__ x, float* __restrict__ y) {
    const float own = __ldg(x + threadIdx.x);
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < 4; ++i) sum += max(own, float(i)) - min(own, 2);
    __stcs(y + threadIdx.x, sum + fmaf(own, own, rsqrt(own)) + __fdividef(own, 3.0f) + max(own, nanf("")));
    y[32 + threadIdx.x] = float(__popc(threadIdx.x) + 10 * __ffs(int(threadIdx.x)) + 1000 * __clz(int(threadIdx.x)));
}
