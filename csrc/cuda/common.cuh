// What all CUDA kernels share: short names of integers, vectors that move as one access, and groups of lanes.
//
// Every kernel's integers arrive as int64 and its numbers as double, whatever it computes in. Shared memory is declared
// with SHARED alone, warps take part in shuffles with explicit masks, and there are no float atomics: the same text
// then runs on a CPU in tests (csrc/testing), where barriers, masks and races are checked.

#pragma once

using int64 = long long;
using uint32 = unsigned int;
using uint64 = unsigned long long;

#ifndef FASTFM_EMULATED
#define SHARED(T, name, count) __shared__ __align__(16) T name[count]
#endif

// V numbers that are loaded and stored at once; the address is a multiple of their size.
template <class T, int V> struct alignas(sizeof(T) * V) Vector {
    T at[V];
};

template <int V, class T> __device__ __forceinline__ Vector<T, V> load(const T* from) {
    return *reinterpret_cast<const Vector<T, V>*>(from);
}

// To global memory alone: of a plain assignment of four floats nvcc makes four stores, of this one.
template <int V, class T> __device__ __forceinline__ void store(T* to, const Vector<T, V>& value) {
    if constexpr (V == 4 && sizeof(T) == 4) {
        __stcg(reinterpret_cast<float4*>(to), float4{value.at[0], value.at[1], value.at[2], value.at[3]});
    } else {
        *reinterpret_cast<Vector<T, V>*>(to) = value;
    }
}

// Number of this thread in the whole grid.
__device__ __forceinline__ int64 thread_number() { return int64(blockIdx.x) * blockDim.x + threadIdx.x; }

// A thread's place in its group of ``count`` neighbours, a power of two up to 32; all of a group's threads live.
struct Lanes {
    int count;
    int lane;
    unsigned mask;

    __device__ __forceinline__ explicit Lanes(int of) : count(of), lane(int(threadIdx.x) & (of - 1)) {
        const unsigned ones = of == 32 ? 0xffffffffu : (1u << of) - 1u;
        mask = ones << (threadIdx.x & 31u & ~unsigned(of - 1));
    }

    // The sum over the group, known to all its threads, added in an order that depends on ``count`` alone.
    template <class T> __device__ __forceinline__ T sum(T x) const {
        for (int apart = count / 2; apart > 0; apart /= 2) x += __shfl_xor_sync(mask, x, apart, count);
        return x;
    }

    // Whether it is true for any of the group's threads.
    __device__ __forceinline__ bool any(bool x) const { return __any_sync(mask, x); }

    // Number of this thread's group in the whole grid.
    __device__ __forceinline__ int64 number() const { return thread_number() >> (31 - __clz(count)); }

    // What the group's first thread has.
    template <class T> __device__ __forceinline__ T first(T x) const { return __shfl_sync(mask, x, 0, count); }
};
