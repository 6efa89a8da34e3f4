// __half on the CPU: (-1)^sign 2^(exponent - 15) 1.fraction in 1, 5 and 10 bits; exponent 0 is 2^-24 fraction, exponent
// 31 infinite or not a number. Conversions alone: kernels compute in float.
#pragma once

struct __half {
    unsigned short bits;
};
struct alignas(4) __half2 {
    __half x, y;
};

inline float __half2float(__half number) {
    const unsigned sign = (number.bits & 0x8000u) << 16, rest = number.bits & 0x7fffu;
    if (rest < 0x0400u) return __uint_as_float(sign | __float_as_uint(float(rest) * 0x1p-24f));
    const unsigned bias = rest < 0x7c00u ? 127 - 15 : 255 - 31; // float's less half's
    return __uint_as_float(sign | ((rest << 13) + (bias << 23)));
}

// To the nearest, of two equally near to the even one.
inline __half __float2half_rn(float number) {
    const unsigned bits = __float_as_uint(number), sign = bits >> 16 & 0x8000u, rest = bits & 0x7fffffffu;
    if (rest > 0x7f800000u) return {0x7fff};
    if (rest >= 0x47800000u) return {(unsigned short)(sign | 0x7c00u)}; // 2^16 and more: infinite
    if (rest < 0x38800000u) {                                           // below 2^-14: a multiple of 2^-24
        const float scaled = __uint_as_float(rest) * 0x1p24f;
        return {(unsigned short)(sign | unsigned(rintf(scaled)))};
    }
    const unsigned rounded = rest + 0x0fffu + (rest >> 13 & 1u);
    return {(unsigned short)(sign | ((rounded - (112u << 23)) >> 13))};
}
inline __half __float2half(float number) { return __float2half_rn(number); }
