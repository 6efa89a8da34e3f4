// Line: one cache line of numbers (16 float, 8 double) held in registers, and rows walked line by line.
//
// A line is one AVX-512, two AVX or four SSE registers of the compiler's vector type. Memory is reached through memcpy,
// which compilers turn into unaligned moves: vector types of reduced alignment crash where the compiler trusts them.
// `left` says how many elements of a row are left: lanes from there on are 0 and their memory is not touched.
#pragma once
#include "fastfm/isa.hpp"
#include <type_traits>

namespace fastfm {
inline namespace FASTFM_ISA {

#define FASTFM_INLINE inline __attribute__((always_inline))

template <auto Value> struct Constant {
    static constexpr auto value = Value;
};

template <class Float> struct Line {
    static constexpr int64_t lanes = 64 / int64_t(sizeof(Float));
    static constexpr int64_t parts = 64 / register_bytes;
    static constexpr int64_t part_lanes = lanes / parts;
    typedef Float Register __attribute__((vector_size(register_bytes)));
    Register part[parts];
};

template <class Float> FASTFM_INLINE Line<Float> fill(Float value) {
    Line<Float> line;
    for (auto& part : line.part) part = value - typename Line<Float>::Register{};
    return line;
}

template <class Float> FASTFM_INLINE Line<Float> load(const Float* from) {
    Line<Float> line;
    std::memcpy(&line, from, sizeof line);
    return line;
}

template <class Float> FASTFM_INLINE void store(Float* to, const Line<Float>& line) {
    std::memcpy(to, &line, sizeof line);
}

#define FASTFM_LANEWISE(operation, assignment)                                                                         \
    template <class Float> FASTFM_INLINE Line<Float> operator operation(Line<Float> a, const Line<Float>& b) {         \
        for (int64_t p = 0; p < Line<Float>::parts; ++p) a.part[p] = a.part[p] operation b.part[p];                    \
        return a;                                                                                                      \
    }                                                                                                                  \
    template <class Float> FASTFM_INLINE Line<Float> operator operation(const Line<Float>& a, Float b) {               \
        return a operation fill(b);                                                                                    \
    }                                                                                                                  \
    template <class Float> FASTFM_INLINE Line<Float> operator operation(Float a, const Line<Float>& b) {               \
        return fill(a) operation b;                                                                                    \
    }                                                                                                                  \
    template <class Float> FASTFM_INLINE Line<Float>& operator assignment(Line<Float>& a, const Line<Float>& b) {      \
        return a = a operation b;                                                                                      \
    }
FASTFM_LANEWISE(+, +=)
FASTFM_LANEWISE(-, -=)
FASTFM_LANEWISE(*, *=)
FASTFM_LANEWISE(/, /=)
#undef FASTFM_LANEWISE

// a b + c, rounded once where the instruction set can: a compiler may fuse or not, depending on the loop around it.
template <class Float> FASTFM_INLINE Float multiply_add(Float a, Float b, Float c) {
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
    if constexpr (sizeof(Float) == 4) return __builtin_fmaf(a, b, c);
    else return __builtin_fma(a, b, c);
#else
    return a * b + c;
#endif
}

// Square root of each lane.
template <class Float> FASTFM_INLINE Line<Float> root(Line<Float> line) {
    for (auto& part : line.part) {
#if defined(__AVX512F__)
        if constexpr (sizeof(Float) == 4) part = _mm512_maskz_sqrt_ps(0xffff, part);
        else part = _mm512_maskz_sqrt_pd(0xff, part);
#elif defined(__AVX__)
        if constexpr (sizeof(Float) == 4) part = _mm256_sqrt_ps(part);
        else part = _mm256_sqrt_pd(part);
#elif defined(__x86_64__)
        if constexpr (sizeof(Float) == 4) part = _mm_sqrt_ps(part);
        else part = _mm_sqrt_pd(part);
#else
        for (int64_t lane = 0; lane < Line<Float>::part_lanes; ++lane)
            part[lane] = sizeof(Float) == 4 ? Float(__builtin_sqrtf(float(part[lane]))) : __builtin_sqrt(part[lane]);
#endif
    }
    return line;
}

FASTFM_INLINE float root(float number) { return __builtin_sqrtf(number); }
FASTFM_INLINE double root(double number) { return __builtin_sqrt(number); }

// Sum of `bytes` of numbers that a register holds, halves added pairwise, without a way through memory.
template <class Float, int64_t bytes, class Register> FASTFM_INLINE Float total_of(const Register& numbers) {
    if constexpr (bytes == 2 * sizeof(Float)) {
        return numbers[0] + numbers[1];
    } else {
        typedef Float Half __attribute__((vector_size(bytes / 2)));
        Half low, high;
        std::memcpy(&low, &numbers, bytes / 2);
        std::memcpy(&high, reinterpret_cast<const char*>(&numbers) + bytes / 2, bytes / 2);
        return total_of<Float, bytes / 2>(low + high);
    }
}

// Sum of the lanes, halves added pairwise.
template <class Float> FASTFM_INLINE Float total(Line<Float> line) {
    for (int64_t half = Line<Float>::parts / 2; half > 0; half /= 2)
        for (int64_t p = 0; p < half; ++p) line.part[p] += line.part[p + half];
    return total_of<Float, register_bytes>(line.part[0]);
}

#if defined(__AVX__) && !defined(__AVX512F__)
// Sign bits of the first `left` lanes of one register, as AVX's masked moves want them.
template <class Float> FASTFM_INLINE __m256i tail_mask(int64_t left) {
    typedef int32_t Narrow __attribute__((vector_size(32)));
    typedef int64_t Wide __attribute__((vector_size(32)));
    left = most(least(left, int64_t(8)), int64_t(0));
    if constexpr (sizeof(Float) == 4) return __m256i(Narrow{0, 1, 2, 3, 4, 5, 6, 7} < int32_t(left) - Narrow{});
    else return __m256i(Wide{0, 1, 2, 3} < left - Wide{});
}
#endif

#if defined(__AVX512F__)
// The first `count` lanes; count may be 0 or less, or too many.
template <class Float> FASTFM_INLINE uint32_t lane_mask(int64_t count) {
    return (1u << least(most(count, int64_t(0)), Line<Float>::lanes)) - 1;
}
#endif

// Writes a line past the caches, to an address that lies on one; others may read it after `end_streams`.
template <class Float> FASTFM_INLINE void stream(Float* to, const Line<Float>& line) {
#if defined(__x86_64__)
    for (int64_t p = 0; p < Line<Float>::parts; ++p) {
        float* const place = reinterpret_cast<float*>(to + p * Line<Float>::part_lanes);
#if defined(__AVX512F__)
        _mm512_stream_ps(place, __m512(line.part[p]));
#elif defined(__AVX__)
        _mm256_stream_ps(place, __m256(line.part[p]));
#else
        _mm_stream_ps(place, __m128(line.part[p]));
#endif
    }
#else
    store(to, line);
#endif
}

FASTFM_INLINE void end_streams() {
#if defined(__x86_64__)
    _mm_sfence();
#endif
}

// The first `left` lanes of memory, 0 behind them; left may be 0 or less. No branch: masks stay the same in a loop.
template <class Float> FASTFM_INLINE Line<Float> load(const Float* from, int64_t left) {
#if defined(__AVX512F__)
    Line<Float> line;
    if constexpr (sizeof(Float) == 4) line.part[0] = _mm512_maskz_loadu_ps(__mmask16(lane_mask<Float>(left)), from);
    else line.part[0] = _mm512_maskz_loadu_pd(__mmask8(lane_mask<Float>(left)), from);
    return line;
#elif defined(__AVX__)
    Line<Float> line;
    for (int64_t p = 0; p < 2; ++p) {
        const int64_t start = p * Line<Float>::part_lanes;
        const __m256i mask = tail_mask<Float>(left - start);
        if constexpr (sizeof(Float) == 4) line.part[p] = _mm256_maskload_ps(from + start, mask);
        else line.part[p] = _mm256_maskload_pd(from + start, mask);
    }
    return line;
#else
    if (left >= Line<Float>::lanes) return load(from);
    Float numbers[Line<Float>::lanes] = {};
    for (int64_t lane = 0; lane < left; ++lane) numbers[lane] = from[lane];
    return load(numbers);
#endif
}

// Writes the first `left` lanes. One number is written as such: a masked store would make readers of its neighbours
// wait, and rows of one number have nothing but neighbours.
template <class Float> FASTFM_INLINE void store(Float* to, const Line<Float>& line, int64_t left) {
    if (left >= Line<Float>::lanes) return store(to, line);
    if (left == 1) {
        *to = line.part[0][0];
        return;
    }
#if defined(__AVX512F__)
    if constexpr (sizeof(Float) == 4) _mm512_mask_storeu_ps(to, __mmask16(lane_mask<Float>(left)), line.part[0]);
    else _mm512_mask_storeu_pd(to, __mmask8(lane_mask<Float>(left)), line.part[0]);
#elif defined(__AVX__)
    for (int64_t p = 0; p < 2; ++p) {
        const int64_t start = p * Line<Float>::part_lanes;
        const __m256i mask = tail_mask<Float>(left - start);
        if constexpr (sizeof(Float) == 4) _mm256_maskstore_ps(to + start, mask, line.part[p]);
        else _mm256_maskstore_pd(to + start, mask, line.part[p]);
    }
#else
    Float numbers[Line<Float>::lanes];
    store(numbers, line);
    for (int64_t lane = 0; lane < left; ++lane) to[lane] = numbers[lane];
#endif
}

// A formula written for a Line or for one number reaches memory by these: load_as<Number>, store; fill_as<Number> makes
// one of a number.
template <class Number, class Float> FASTFM_INLINE Number load_as(const Float* from, int64_t left) {
    if constexpr (std::is_same_v<Number, Float>) return *from;
    else return load(from, left);
}
template <class Number, class Float> FASTFM_INLINE Number fill_as(Float number) {
    if constexpr (std::is_same_v<Number, Float>) return number;
    else return fill(number);
}
FASTFM_INLINE void store(float* to, float number, int64_t) { *to = number; }
FASTFM_INLINE void store(double* to, double number, int64_t) { *to = number; }

// The first `count` lanes, 0 behind them; count may be 0 or less.
template <class Float> FASTFM_INLINE Line<Float> first_lanes(const Line<Float>& line, int64_t count) {
#if defined(__AVX512F__)
    Line<Float> kept;
    if constexpr (sizeof(Float) == 4)
        kept.part[0] = _mm512_maskz_mov_ps(__mmask16(lane_mask<Float>(count)), line.part[0]);
    else kept.part[0] = _mm512_maskz_mov_pd(__mmask8(lane_mask<Float>(count)), line.part[0]);
    return kept;
#elif defined(__AVX__)
    Line<Float> kept;
    for (int64_t p = 0; p < 2; ++p) {
        const __m256i mask = tail_mask<Float>(count - p * Line<Float>::part_lanes);
        kept.part[p] = typename Line<Float>::Register(__m256i(line.part[p]) & mask);
    }
    return kept;
#else
    Float numbers[Line<Float>::lanes];
    store(numbers, line);
    return load(numbers, count);
#endif
}

// Lane by lane `yes` where a > b, else `no`; for numbers, too.
template <class Float>
FASTFM_INLINE Line<Float> where_above(const Line<Float>& a, const Line<Float>& b, const Line<Float>& yes,
                                      Line<Float> no) {
    for (int64_t p = 0; p < Line<Float>::parts; ++p) no.part[p] = a.part[p] > b.part[p] ? yes.part[p] : no.part[p];
    return no;
}
FASTFM_INLINE float where_above(float a, float b, float yes, float no) { return a > b ? yes : no; }
FASTFM_INLINE double where_above(double a, double b, double yes, double no) { return a > b ? yes : no; }

template <class Float> FASTFM_INLINE bool all_zero(const Line<Float>& line) {
    Float numbers[Line<Float>::lanes];
    store(numbers, line);
    bool zero = true;
    for (const Float number : numbers) zero &= number == 0;
    return zero;
}

template <class Float> FASTFM_INLINE Float lane_of(const Line<Float>& line, int64_t lane) {
    Float numbers[Line<Float>::lanes];
    store(numbers, line);
    return numbers[lane];
}

// `value` in one lane, 0 in the others.
template <class Float> FASTFM_INLINE Line<Float> one_lane(int64_t lane, Float value) {
    typedef typename Line<Float>::Register Register;
    Line<Float> line;
    for (int64_t p = 0; p < Line<Float>::parts; ++p) {
        Register numbers{};
        for (int64_t k = 0; k < Line<Float>::part_lanes; ++k) numbers[k] = Float(p * Line<Float>::part_lanes + k);
        const Register all = value - Register{};
        line.part[p] = numbers == Float(lane) - Register{} ? all : Register{};
    }
    return line;
}

template <class Float> FASTFM_INLINE Line<Float> as_line(const Line<Float>& line) { return line; }
FASTFM_INLINE Line<float> as_line(float number) { return one_lane(0, number); }
FASTFM_INLINE Line<double> as_line(double number) { return one_lane(0, number); }

// `Lines` consecutive lines of a row. Whole: all of their lanes are there, so that nothing needs to be masked.
template <class Float, int Lines> struct Span {
    Line<Float> line[Lines];
};

template <int Lines, class Float> FASTFM_INLINE Span<Float, Lines> zeros() {
    Span<Float, Lines> span;
    for (auto& line : span.line) line = fill(Float(0));
    return span;
}

template <int Lines, bool Whole, class Stored> FASTFM_INLINE auto load_span(const Stored* from, int64_t left) {
    constexpr int64_t lanes = Line<Widened<Stored>>::lanes;
    Span<Widened<Stored>, Lines> span;
    for (int64_t l = 0; l < Lines; ++l)
        span.line[l] = Whole ? load(from + l * lanes) : load(from + l * lanes, left - l * lanes);
    return span;
}

// Writes `left` elements. What stands in the `room` behind them may be overwritten: it is written later.
template <int Lines, class Float>
FASTFM_INLINE void store_span(Float* to, const Span<Float, Lines>& span, int64_t left, int64_t room = 0) {
    constexpr int64_t lanes = Line<Float>::lanes;
    for (int64_t l = 0; l < Lines && l * lanes < left; ++l)
        if (left + room >= (l + 1) * lanes) store(to + l * lanes, span.line[l]);
        else store(to + l * lanes, span.line[l], left - l * lanes);
}

// Writes whole lines past the caches, to an address that lies on one.
template <int Lines, class Float> FASTFM_INLINE void stream_span(Float* to, const Span<Float, Lines>& span) {
    for (int64_t l = 0; l < Lines; ++l) stream(to + l * Line<Float>::lanes, span.line[l]);
}

template <int Lines, class Float>
FASTFM_INLINE Span<Float, Lines>& operator+=(Span<Float, Lines>& a, const Span<Float, Lines>& b) {
    for (int64_t l = 0; l < Lines; ++l) a.line[l] += b.line[l];
    return a;
}
template <int Lines, class Float>
FASTFM_INLINE Span<Float, Lines>& operator-=(Span<Float, Lines>& a, const Span<Float, Lines>& b) {
    for (int64_t l = 0; l < Lines; ++l) a.line[l] -= b.line[l];
    return a;
}
template <int Lines, class Float> FASTFM_INLINE Span<Float, Lines>& operator*=(Span<Float, Lines>& a, Float factor) {
    for (auto& line : a.line) line = line * factor;
    return a;
}

// Calls work(lines, whole) with the constants that fit rows of `count` elements; longer rows are walked four lines at a
// time; double, which is not tuned, one line at a time. Both are constants: write decltype(lines)::value.
template <class Float, class Work> FASTFM_INLINE void by_length(int64_t count, Work&& work) {
    constexpr int64_t lanes = Line<Float>::lanes;
    if constexpr (sizeof(Float) == 8) {
        work(Constant<1>{}, Constant<false>{});
    } else {
        const bool whole = count > 0 && count % lanes == 0;
        if (count <= lanes) whole ? work(Constant<1>{}, Constant<true>{}) : work(Constant<1>{}, Constant<false>{});
        else if (count <= 2 * lanes)
            whole ? work(Constant<2>{}, Constant<true>{}) : work(Constant<2>{}, Constant<false>{});
        else if (count == 4 * lanes) work(Constant<4>{}, Constant<true>{});
        else work(Constant<4>{}, Constant<false>{});
    }
}

// Ask for the cache lines of `count` elements; any address is allowed. They come to the second-level cache: a CPU waits
// for far more lines there than in the first, and lines that will be written come as readily as those only read.
template <class Stored> FASTFM_INLINE void prefetch(const Stored* from, int64_t count) {
    for (int64_t c = 0; c < count; c += 64 / int64_t(sizeof(Stored))) __builtin_prefetch(from + c, 0, 2);
}

} // namespace FASTFM_ISA
} // namespace fastfm
