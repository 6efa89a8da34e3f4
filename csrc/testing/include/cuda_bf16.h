// __nv_bfloat16 on the CPU: the upper half of a float. Conversions alone: kernels compute in float.
#pragma once

struct __nv_bfloat16 {
    unsigned short bits;
};
struct alignas(4) __nv_bfloat162 {
    __nv_bfloat16 x, y;
};

inline float __bfloat162float(__nv_bfloat16 number) { return __uint_as_float(unsigned(number.bits) << 16); }

// To the nearest, of two equally near to the even one.
inline __nv_bfloat16 __float2bfloat16_rn(float number) {
    const unsigned bits = __float_as_uint(number);
    if (number != number) return {0x7fff};
    return {(unsigned short)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16)};
}
inline __nv_bfloat16 __float2bfloat16(float number) { return __float2bfloat16_rn(number); }
