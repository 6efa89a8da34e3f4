// What every CPU of the architecture has: SSE2 on x86-64, NEON on ARM.
#define FASTFM_ISA baseline
#include "fill.hpp"

namespace fastfm {
constexpr Isa isa_baseline = isa_of("baseline");
}
