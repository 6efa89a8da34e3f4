// The one pool of threads that kernels, element-wise passes and matrix products run on.
//
//     pool::run(pieces, work)    calls work(piece) once for each piece in 0 .. pieces - 1
//
// The caller is a member; up to threads() - 1 workers help it. Pieces are claimed one by one from a counter. How work
// is cut into pieces is the caller's matter and must not depend on the number of threads: then no bit of a result does.
//
// A region is open while its door has seats. A worker takes a seat by a compare-and-swap on the door, which also counts
// it as inside; the caller takes the seats left away once all pieces are claimed, and waits for those inside alone. So
// nobody waits for a worker that wakes late: it finds no seat. What describes the region is written while nobody is
// inside and no seat is free, and a seat is always one of the region that is open now, whatever the worker saw before.
//
// A call within a piece, or from a second thread while the pool is busy, runs on its caller alone and never blocks.
// An exception ends the region early, pieces not yet begun are dropped, and run() throws the first one.
// A forked child finds the pool as it was at first: no workers, nothing running. A piece itself must not fork.
// Workers spin for 200 us after a region, longer than a training step spends between two, and then sleep in the kernel,
// which needs as long as a small region to wake them; they are never joined, so they delay no exit.
// They are not pinned, but one that finds itself on the caller's CPU goes elsewhere before it takes a seat.
#pragma once

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>

#include "fastfm/cpu.hpp"
#include "fastfm/linkage.hpp"
#include "fastfm/sleep.hpp"

namespace fastfm::pool {

constexpr int MOST_THREADS = 256;

namespace detail {

using Call = void (*)(void* work, int64_t piece);

constexpr std::chrono::microseconds SPIN{200};
constexpr uint32_t SEAT = 1 << 16; // a door's value: free seats * SEAT + threads inside
constexpr uint32_t INSIDE = SEAT - 1;

inline void pause() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("isb");
#endif
}

// Asks ready() again and again; false if it was not true within SPIN.
template <class Ready> bool spin_until(Ready ready) {
    const auto end = std::chrono::steady_clock::now() + SPIN;
    do {
        for (int ask = 0; ask < 16; ask++) {
            if (ready()) return true;
            pause();
        }
    } while (std::chrono::steady_clock::now() < end);
    return false;
}

class Pool {
  public:
    // Up to `helpers` workers and the caller run the pieces; false, and nothing done, while another region runs.
    bool try_run(int64_t pieces, int helpers, Call call, void* work) {
        if (busy_.exchange(true)) return false;
        const std::unique_ptr<std::atomic<bool>, Free> release(&busy_);
        for (; workers_ < helpers; workers_++) std::thread(&Pool::serve, this).detach();
        call_ = call, work_ = work, pieces_ = pieces;
        next_.store(0);
        failed_.store(false);
        callers_cpu_.store(cpu::current());
        door_.store(static_cast<uint32_t>(helpers) * SEAT);
        if (sleepers_.load() > 0) bed_.wake(door_, helpers);
        drain();
        door_.fetch_and(INSIDE);
        wait_until_empty();
        if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
        return true;
    }

  private:
    struct Free {
        void operator()(std::atomic<bool>* busy) const { busy->store(false); }
    };

    void serve() {
        for (;;) {
            while (!spin_until([this] { return take_seat(); })) sleep_until_called();
            drain();
            if ((door_.fetch_sub(1) & INSIDE) == 1 && caller_sleeps_.exchange(0) == 1) bed_.wake(caller_sleeps_, 1);
        }
    }

    bool take_seat() {
        if (door_.load() < SEAT) return false;
        cpu::move_off(callers_cpu_.load());
        uint32_t seen = door_.load();
        return seen >= SEAT && door_.compare_exchange_strong(seen, seen - SEAT + 1);
    }

    void sleep_until_called() {
        sleepers_.fetch_add(1);
        const uint32_t seen = door_.load();
        if (seen < SEAT) bed_.wait(door_, seen);
        sleepers_.fetch_sub(1);
    }

    void drain() {
        for (int64_t piece; (piece = next_.fetch_add(1, std::memory_order_relaxed)) < pieces_;) {
            try {
                call_(work_, piece);
            } catch (...) {
                if (!failed_.exchange(true)) error_ = std::current_exception();
                next_.store(pieces_);
            }
        }
    }

    void wait_until_empty() {
        const auto empty = [this] { return (door_.load() & INSIDE) == 0; };
        if (spin_until(empty)) return;
        do {
            caller_sleeps_.store(1);
            if (!empty()) bed_.wait(caller_sleeps_, 1);
        } while (!empty());
        caller_sleeps_.store(0);
    }

    // What spinning threads read, what claims change and what is written once a region lie on lines of their own.
    alignas(64) std::atomic<uint32_t> door_{0};
    alignas(64) std::atomic<int64_t> next_{0};
    alignas(64) std::atomic<uint32_t> caller_sleeps_{0};
    std::atomic<int> sleepers_{0};
    std::atomic<bool> busy_{false}, failed_{false};
    std::atomic<int> callers_cpu_{-1};
    int workers_ = 0;
    int64_t pieces_ = 0;
    Call call_ = nullptr;
    void* work_ = nullptr;
    std::exception_ptr error_;
    Bed bed_;
};

// Made when the library is loaded; never destroyed, for workers may look at it while the process exits.
inline Pool& make() {
    alignas(Pool) static unsigned char memory[sizeof(Pool)];
    pthread_atfork(nullptr, nullptr, [] { new (memory) Pool; });
    return *new (memory) Pool;
}

// A program that links libfastfm uses the pool in it, so that a process has one; with the headers alone it has its own.
#ifdef FASTFM_LINKED
FASTFM_API extern Pool& the_pool;
FASTFM_API extern std::atomic<int> width;
#else
inline Pool& the_pool = make();
inline std::atomic<int> width{1};
#endif

} // namespace detail

// Use at most `count` threads (1 to 256), the caller included; 1 until set.
inline void set_threads(int count) {
    if (count < 1 || count > MOST_THREADS)
        throw std::invalid_argument("threads must be from 1 to 256, got " + std::to_string(count));
    detail::width.store(count);
}

inline int threads() { return detail::width.load(); }

template <class F> void run(int64_t pieces, F&& work) {
    using Work = std::remove_reference_t<F>;
    const int helpers = static_cast<int>(std::min<int64_t>(threads(), pieces)) - 1;
    const detail::Call call = [](void* callable, int64_t piece) { (*static_cast<Work*>(callable))(piece); };
    void* const callable = const_cast<void*>(static_cast<const void*>(std::addressof(work)));
    if (helpers > 0 && detail::the_pool.try_run(pieces, helpers, call, callable)) return;
    for (int64_t piece = 0; piece < pieces; piece++) work(piece);
}

} // namespace fastfm::pool
