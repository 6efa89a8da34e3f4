// Atomic operations on integers, and loads and stores with a hint. An addition of floats would depend on the threads'
// order: it is no operation here, and a kernel that asks for one does not compile.
#pragma once

namespace emulator {

// Replaces *at by change(*at, value) in one step; returns what was there.
template <class T, class Change> T replace(T* at, T value, Place place, Change change) {
    maybe_let_others_go(place);
    T before = __atomic_load_n(at, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(at, &before, change(before, value), false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return before;
}

} // namespace emulator

#define EMULATOR_ATOMIC(name, T, change)                                                                               \
    inline T name(T* at, T value, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {                  \
        return emulator::replace(at, value, {file, line}, [](T old, T with) -> T { return change; });                  \
    }
#define EMULATOR_ATOMICS(T)                                                                                            \
    EMULATOR_ATOMIC(atomicExch, T, (void(old), with))                                                                  \
    EMULATOR_ATOMIC(atomicMin, T, with < old ? with : old)                                                             \
    EMULATOR_ATOMIC(atomicMax, T, with > old ? with : old)                                                             \
    EMULATOR_ATOMIC(atomicAnd, T, old& with)                                                                           \
    EMULATOR_ATOMIC(atomicOr, T, old | with)                                                                           \
    EMULATOR_ATOMIC(atomicXor, T, old ^ with)                                                                          \
    inline T atomicCAS(T* at, T expected, T value, const char* file = __builtin_FILE(), int line = __builtin_LINE()) { \
        emulator::maybe_let_others_go({file, line});                                                                   \
        __atomic_compare_exchange_n(at, &expected, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);                  \
        return expected;                                                                                               \
    }
EMULATOR_ATOMICS(int)
EMULATOR_ATOMICS(unsigned)
EMULATOR_ATOMICS(unsigned long long)
EMULATOR_ATOMIC(atomicAdd, int, int(unsigned(old) + unsigned(with)))
EMULATOR_ATOMIC(atomicAdd, unsigned, old + with)
EMULATOR_ATOMIC(atomicAdd, unsigned long long, old + with)
#undef EMULATOR_ATOMICS
#undef EMULATOR_ATOMIC

float atomicAdd(float*, float) = delete;
double atomicAdd(double*, double) = delete;

template <class T> T __ldg(const T* from) { return *from; }
template <class T> T __ldca(const T* from) { return *from; }
template <class T> T __ldcg(const T* from) { return *from; }
template <class T> T __ldcs(const T* from) { return *from; }
template <class T> void __stcg(T* to, T value) { *to = value; }
template <class T> void __stcs(T* to, T value) { *to = value; }
