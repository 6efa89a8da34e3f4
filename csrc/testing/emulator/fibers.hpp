// Fibers: stacks of their own that one operating system thread switches between.
#pragma once

#include "sanitizers.hpp"

#include <cstddef>
#include <cstdlib>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__x86_64__) && defined(__linux__) && !defined(EMULATOR_PORTABLE)
#define EMULATOR_ASSEMBLY
// Saves what a function must preserve and the stack's top in *from; goes on with the stack whose top is `to`.
extern "C" void emulator_switch_stacks(void** from, void* to);
asm(R"(
    .text
    .weak emulator_switch_stacks
    .type emulator_switch_stacks, @function
emulator_switch_stacks:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size emulator_switch_stacks, .-emulator_switch_stacks
)");
#else
#include <ucontext.h>
#endif

namespace emulator {

// Pages of memory, zero at first.
inline char* new_pages(size_t size) {
    void* const pages = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pages == MAP_FAILED) std::abort();
    return static_cast<char*>(pages);
}

class Fiber {
  public:
    // The caller's own stack, which the operating system gave it.
    Fiber() {
#ifdef EMULATOR_THREAD
        sanitizer_ = __tsan_get_current_fiber();
#endif
    }

    // A new stack, on which body() starts when it is first switched to; it never returns. A page that may not be
    // touched ends it, so that too deep a stack is no silent overrun.
    explicit Fiber(void (*body)()) : stack_(new_pages(stack_size)), bottom_(stack_), size_(stack_size) {
        if (mprotect(stack_, size_t(sysconf(_SC_PAGESIZE)), PROT_NONE)) std::abort();
#ifdef EMULATOR_ASSEMBLY
        // Neighbours' tops differ in the cache lines they fall on. Below lie body's address and six saved registers.
        static unsigned made = 0;
        void** const top = reinterpret_cast<void**>(stack_ + size_ - 64 * (made++ % 61)) - 2;
        *top = reinterpret_cast<void*>(body);
        top_ = top - 6;
#else
        if (getcontext(&context_)) std::abort();
        context_.uc_stack.ss_sp = stack_;
        context_.uc_stack.ss_size = size_;
        context_.uc_link = nullptr;
        makecontext(&context_, body, 0);
#endif
#ifdef EMULATOR_THREAD
        sanitizer_ = __tsan_create_fiber(0);
#endif
    }

    Fiber(const Fiber&) = delete;
    Fiber& operator=(const Fiber&) = delete;

    // Of a fiber that is never switched to again, wherever it stands.
    ~Fiber() {
        if (!stack_) return;
#ifdef EMULATOR_THREAD
        __tsan_destroy_fiber(sanitizer_);
#endif
        show(stack_, stack_size);
        munmap(stack_, stack_size);
    }

    // Leaves this fiber, the running one, for another; returns when it is switched to again.
    void switch_to(Fiber& next) {
        left_ = this;
#ifdef EMULATOR_ADDRESS
        __sanitizer_start_switch_fiber(&fake_stack_, next.bottom_, next.size_);
#endif
#ifdef EMULATOR_THREAD
        __tsan_switch_to_fiber(next.sanitizer_, 1); // 1: a switch orders nothing
#endif
#ifdef EMULATOR_ASSEMBLY
        emulator_switch_stacks(&top_, next.top_);
#else
        if (swapcontext(&context_, &next.context_)) std::abort();
#endif
        arrived(fake_stack_);
    }

    // What this fiber, left in the middle for good, has done comes before what the running one does next.
    void join() {
#ifdef EMULATOR_THREAD
        void* const running = __tsan_get_current_fiber();
        __tsan_switch_to_fiber(sanitizer_, 0); // 0: a switch orders
        __tsan_switch_to_fiber(running, 0);
#endif
    }

    // The first thing that a body does.
    static void started() { arrived(nullptr); }

  private:
    static constexpr size_t stack_size = size_t(1) << 17;
    static inline Fiber* left_ = nullptr;

    static void arrived([[maybe_unused]] void* fake_stack) {
#ifdef EMULATOR_ADDRESS
        __sanitizer_finish_switch_fiber(fake_stack, &left_->bottom_, &left_->size_); // an own stack is found so
#endif
    }

    char* stack_ = nullptr;
    const void* bottom_ = nullptr;
    size_t size_ = 0;
#ifdef EMULATOR_ASSEMBLY
    void* top_ = nullptr;
#else
    ucontext_t context_{};
#endif
    [[maybe_unused]] void* fake_stack_ = nullptr;
    [[maybe_unused]] void* sanitizer_ = nullptr;
};

} // namespace emulator
