// CUDA's keywords, built-in variables and vectors, and the one way to shared memory.
#pragma once

#define __global__ inline
#define __device__
#define __host__
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __restrict__ __restrict
#define __constant__ static const
#define __align__(bytes) alignas(bytes)
#define __shared__ static_assert(false, "shared memory is declared with SHARED alone");

#define threadIdx (::emulator::now->thread)
#define blockIdx (::emulator::now->block)
#define blockDim (::emulator::block_size)
#define gridDim (::emulator::grid_size)
constexpr int warpSize = 32;

#define SHARED(T, name, count)                                                                                         \
    static const char declaration_of_##name = 0;                                                                       \
    T* const name = static_cast<T*>(::emulator::shared_memory(                                                         \
        &declaration_of_##name, sizeof(T) * (count), alignof(T) > 16 ? alignof(T) : 16, {__FILE__, __LINE__}))

#define EMULATOR_VECTORS(T, name, alignment4)                                                                          \
    struct alignas(2 * sizeof(T)) name##2 { T x, y; };                                                                 \
    struct alignas(alignment4) name##4 { T x, y, z, w; };                                                              \
    inline name##2 make_##name##2(T x, T y) { return {x, y}; }                                                         \
    inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }

EMULATOR_VECTORS(float, float, 16)
EMULATOR_VECTORS(double, double, 16)
EMULATOR_VECTORS(short, short, 8)
EMULATOR_VECTORS(unsigned short, ushort, 8)
EMULATOR_VECTORS(int, int, 16)
EMULATOR_VECTORS(unsigned, uint, 16)
EMULATOR_VECTORS(long long, longlong, 16)
EMULATOR_VECTORS(unsigned long long, ulonglong, 16)
#undef EMULATOR_VECTORS
