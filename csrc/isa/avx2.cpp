// AVX2, FMA and F16C: x86-64 CPUs since about 2013. setup.py compiles this file for them.
#if defined(__x86_64__)
#define FASTFM_ISA avx2
#include "fill.hpp"

namespace fastfm {
constexpr Isa isa_avx2 = isa_of("avx2");
}
#endif
