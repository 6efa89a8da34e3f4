// AVX-512 (F, BW, DQ, VL): server CPUs since 2017, AMD since Zen 4. setup.py compiles this file for them.
#if defined(__x86_64__)
#define FASTFM_ISA avx512
#include "fill.hpp"

namespace fastfm {
constexpr Isa isa_avx512 = isa_of("avx512");
}
#endif
