// Where a thread runs. A kernel may wake a thread on the CPU of the one that woke it and leave it there for a while,
// though others are idle (Linux on a virtual machine takes a halted CPU for one that its host has taken away).
//
//     current()       the number of the CPU that this thread runs on; -1 where it cannot be told
//     move_off(cpu)   if this thread runs on that CPU and may run on others, goes to one of them; no CPU is ruled out
//                     for long: the set of allowed CPUs is put back at once
#pragma once

#if defined(__linux__)
#include <sched.h>
#endif

namespace fastfm::cpu {

#if defined(__linux__)

inline int current() { return sched_getcpu(); }

inline void move_off(int cpu) {
    cpu_set_t allowed;
    if (cpu < 0 || cpu != current() || sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
    cpu_set_t others = allowed;
    CPU_CLR(cpu, &others);
    if (CPU_COUNT(&others) > 0 && sched_setaffinity(0, sizeof others, &others) == 0)
        sched_setaffinity(0, sizeof allowed, &allowed);
}

#else

inline int current() { return -1; }
inline void move_off(int) {}

#endif

} // namespace fastfm::cpu
