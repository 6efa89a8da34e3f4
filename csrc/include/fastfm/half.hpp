// Numbers stored in 16 bits, widened to float when they are loaded. Every one of them is a float: nothing is rounded.
//
// A bfloat16 is a float's upper half. A float16 is (-1)^sign 2^(exponent - 15) 1.fraction; with exponent 0 it is
// (-1)^sign 2^-24 fraction, with exponent 31 infinite or NaN. Half a register of bits makes a register of floats.
#pragma once
#include "fastfm/contract.hpp"
#include "fastfm/vector.hpp"

namespace fastfm {
inline namespace FASTFM_ISA {

typedef Line<float>::Register Floats;
typedef int32_t Words __attribute__((vector_size(register_bytes)));
typedef uint16_t Halves __attribute__((vector_size(register_bytes / 2)));

FASTFM_INLINE Floats widened(Halves bits, BFloat16) { return Floats(__builtin_convertvector(bits, Words) << 16); }

FASTFM_INLINE Floats widened(Halves bits, Float16) {
#if defined(__AVX512F__)
    return _mm512_maskz_cvtph_ps(0xffff, __m256i(bits));
#elif defined(__F16C__)
    return _mm256_cvtph_ps(__m128i(bits));
#else
    const Words words = __builtin_convertvector(bits, Words), sign = (words & 0x8000) << 16, rest = words & 0x7fff;
    const Words bias = rest < 0x7c00 ? Words{} + (127 - 15) : Words{} + (255 - 31); // float's less float16's
    const Words tiny = Words(__builtin_convertvector(rest, Floats) * 0x1p-24f);
    return Floats(sign | (rest < 0x0400 ? tiny : (rest << 13) + (bias << 23)));
#endif
}

// One number; a float or double is what it is.
template <class Stored> FASTFM_INLINE Widened<Stored> widened(Stored number) {
    if constexpr (sizeof(Stored) == 2) return widened(Halves{number.bits}, number)[0];
    else return number;
}

// The first `left` numbers of a register, 0 behind them; left may be 0 or less. Memory from there on is not touched.
template <Format format> FASTFM_INLINE Halves load_halves(const Half<format>* from, int64_t left) {
    Halves bits{};
#if defined(__AVX512BW__) && defined(__AVX512VL__)
    bits = Halves(_mm256_maskz_loadu_epi16(__mmask16(lane_mask<float>(left)), from));
#else
    if (left >= Line<float>::part_lanes) std::memcpy(&bits, from, sizeof bits);
    else
        for (int64_t lane = 0; lane < left; ++lane) bits[lane] = from[lane].bits;
#endif
    return bits;
}

// As the loads of vector.hpp.
template <Format format> FASTFM_INLINE Line<float> load(const Half<format>* from) {
    Line<float> line;
    for (int64_t p = 0; p < Line<float>::parts; ++p) {
        Halves bits;
        std::memcpy(&bits, from + p * Line<float>::part_lanes, sizeof bits);
        line.part[p] = widened(bits, Half<format>());
    }
    return line;
}
template <Format format> FASTFM_INLINE Line<float> load(const Half<format>* from, int64_t left) {
    Line<float> line;
    for (int64_t p = 0; p < Line<float>::parts; ++p) {
        const int64_t start = p * Line<float>::part_lanes;
        line.part[p] = widened(load_halves(from + start, left - start), Half<format>());
    }
    return line;
}

} // namespace FASTFM_ISA
} // namespace fastfm
