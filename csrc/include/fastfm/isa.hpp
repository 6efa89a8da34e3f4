// The instruction set that a translation unit is compiled for.
//
// Everything that the compiler may vectorise stands in an inline namespace named after it, so that one program can hold
// the same kernels for several instruction sets and the linker never mixes them up. A program that includes these
// headers with its own compiler flags need not care: its kernels are in fastfm::host, found as fastfm::...
#pragma once
#include <cstdint>
#include <cstring>

#ifndef FASTFM_ISA
#define FASTFM_ISA host
#endif

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace fastfm {
inline namespace FASTFM_ISA {

#if defined(__AVX512F__)
constexpr int64_t register_bytes = 64;
#elif defined(__AVX__)
constexpr int64_t register_bytes = 32;
#else
constexpr int64_t register_bytes = 16;
#endif

// std::min and std::max are left alone here: the linker would keep one copy for all instruction sets.
template <class Number> constexpr Number least(Number a, Number b) { return b < a ? b : a; }
template <class Number> constexpr Number most(Number a, Number b) { return a < b ? b : a; }

} // namespace FASTFM_ISA
} // namespace fastfm
