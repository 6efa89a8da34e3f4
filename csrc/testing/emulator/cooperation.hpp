// Barriers, warp operations and fences. The place of a call is that of the kernel's line: __builtin_FILE and
// __builtin_LINE, as default arguments, are the caller's.
#pragma once

#include <cstring>
#include <type_traits>

namespace emulator {

// The bits of a number that a warp operation can carry; small integers are widened to int as in CUDA.
template <class T> uint64_t to_bits(T value) {
    static_assert(std::is_arithmetic_v<T> && sizeof(T) <= 8, "warp operations carry numbers of at most 8 bytes");
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof value);
    return bits;
}
template <class T> T from_bits(uint64_t bits) {
    T value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}
template <class T> using Widened = decltype(+T());

template <class T>
Widened<T> shuffle(unsigned mask, Operation operation, T value, int argument, int width, Place place) {
    return from_bits<Widened<T>>(meet_warp(mask, operation, to_bits<Widened<T>>(value), argument, width, place));
}

inline unsigned ballot(unsigned mask, bool vote, Place place) {
    return unsigned(meet_warp(mask, Operation::ballot, vote, 0, warpSize, place));
}

} // namespace emulator

#define EMULATOR_PLACE const char *file = __builtin_FILE(), int line = __builtin_LINE()

inline void __syncthreads(EMULATOR_PLACE) { emulator::meet_block({file, line}); }

inline void __syncwarp(unsigned mask = 0xffffffffu, EMULATOR_PLACE) {
    emulator::meet_warp(mask, emulator::Operation::synchronize, 0, 0, warpSize, {file, line});
}

#define EMULATOR_SHUFFLE(name, operation, T, argument)                                                                 \
    template <class T> auto name(unsigned mask, T value, argument, int width = warpSize, EMULATOR_PLACE) {             \
        return emulator::shuffle(mask, emulator::Operation::operation, value, int(other), width, {file, line});        \
    }
EMULATOR_SHUFFLE(__shfl_sync, shuffle, T, int other)
EMULATOR_SHUFFLE(__shfl_xor_sync, shuffle_xor, T, int other)
EMULATOR_SHUFFLE(__shfl_up_sync, shuffle_up, T, unsigned other)
EMULATOR_SHUFFLE(__shfl_down_sync, shuffle_down, T, unsigned other)
#undef EMULATOR_SHUFFLE

inline unsigned __ballot_sync(unsigned mask, int vote, EMULATOR_PLACE) {
    return emulator::ballot(mask, vote != 0, {file, line});
}
inline int __any_sync(unsigned mask, int vote, EMULATOR_PLACE) {
    return emulator::ballot(mask, vote != 0, {file, line}) != 0;
}
inline int __all_sync(unsigned mask, int vote, EMULATOR_PLACE) {
    return emulator::ballot(mask, vote != 0, {file, line}) == mask;
}
template <class T> unsigned __match_any_sync(unsigned mask, T value, EMULATOR_PLACE) {
    return unsigned(emulator::meet_warp(mask, emulator::Operation::match,
                                        emulator::to_bits<emulator::Widened<T>>(value), 0, warpSize, {file, line}));
}
unsigned __activemask() = delete; // masks are explicit

inline void __threadfence() { emulator::fence(); }
inline void __threadfence_block() { emulator::fence(); }
inline void __nanosleep(unsigned, EMULATOR_PLACE) { emulator::let_others_go({file, line}); }
