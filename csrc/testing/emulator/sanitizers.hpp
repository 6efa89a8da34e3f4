// What the sanitizers must know about fibers and memory; nothing where the runtime is built without one.
//
// The runtime itself is never instrumented. Built with EMULATOR_ADDRESS it tells AddressSanitizer about stacks and
// unusable memory; with EMULATOR_THREAD it tells ThreadSanitizer that fibers are threads and what orders them.
#pragma once

#include <cstddef>

extern "C" {
#ifdef EMULATOR_ADDRESS
void __sanitizer_start_switch_fiber(void** fake_stack, const void* bottom, size_t size);
void __sanitizer_finish_switch_fiber(void* fake_stack, const void** bottom, size_t* size);
void __asan_poison_memory_region(const volatile void* start, size_t size);
void __asan_unpoison_memory_region(const volatile void* start, size_t size);
#endif
#ifdef EMULATOR_THREAD
void* __tsan_create_fiber(unsigned flags);
void* __tsan_get_current_fiber();
void __tsan_destroy_fiber(void* fiber);
void __tsan_switch_to_fiber(void* fiber, unsigned flags);
void __tsan_acquire(void* token);
void __tsan_release(void* token);
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
#endif
}

namespace emulator {

#ifdef EMULATOR_ADDRESS
inline void hide(void* start, size_t size) { __asan_poison_memory_region(start, size); }
inline void show(void* start, size_t size) { __asan_unpoison_memory_region(start, size); }
#else
inline void hide(void*, size_t) {}
inline void show(void*, size_t) {}
#endif

// What was done before a release of a token comes before what is done after a later acquire of it.
#ifdef EMULATOR_THREAD
constexpr bool finds_races = true;
inline void acquire(void* token) { __tsan_acquire(token); }
inline void release(void* token) { __tsan_release(token); }
#else
constexpr bool finds_races = false;
inline void acquire(void*) {}
inline void release(void*) {}
#endif

// While it lives, the C library's functions that the runtime calls are no accesses of the running thread.
struct Unwatched {
#ifdef EMULATOR_THREAD
    Unwatched() {
        AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
        AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
    }
    ~Unwatched() {
        AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
        AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
    }
#else
    Unwatched() {}
#endif
    Unwatched(const Unwatched&) = delete;
};

} // namespace emulator
