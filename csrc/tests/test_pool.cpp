// The pool: every piece once, nested, from several threads at once, exceptions, lazily woken workers, forked children.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "fastfm/pool.hpp"

namespace pool = fastfm::pool;

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                       \
            std::abort();                                                                                              \
        }                                                                                                              \
    } while (false)

// Plain ints: a piece that ran twice at once, or whose result is not seen by the caller, is a race that TSan reports.
static std::vector<int> counted(int64_t pieces) {
    std::vector<int> ran(static_cast<size_t>(pieces), 0);
    pool::run(pieces, [&](int64_t piece) { ran[static_cast<size_t>(piece)]++; });
    return ran;
}

static bool each_once(int64_t pieces) { return counted(pieces) == std::vector<int>(static_cast<size_t>(pieces), 1); }

static void every_piece_once() {
    for (const int width : {1, 2, 3, 8, 1, 4, 256, 2}) {
        pool::set_threads(width);
        for (const int64_t pieces : {0, 1, 2, 7, 500})
            for (int again = 0; again < 50; again++) CHECK(each_once(pieces));
    }
}

static void regions_follow_each_other_closely() {
    pool::set_threads(4);
    int64_t sum = 0;
    std::atomic<int64_t> total{0};
    for (int64_t region = 0; region < 20000; region++) {
        const int64_t local = region; // on this stack frame: a late worker that still used it would be seen
        pool::run(3, [&](int64_t piece) { total.fetch_add(local * piece, std::memory_order_relaxed); });
        sum += local * 3;
    }
    CHECK(total.load() == sum);
}

static void pieces_run_at_the_same_time() {
    for (const int width : {2, 3, 8}) {
        pool::set_threads(width);
        std::mutex mutex;
        std::condition_variable all_here;
        int here = 0;
        pool::run(width, [&](int64_t) { // each waits until all others have begun: one thread alone would never end
            std::unique_lock<std::mutex> lock(mutex);
            if (++here == width) all_here.notify_all();
            CHECK(all_here.wait_for(lock, std::chrono::seconds(60), [&] { return here == width; }));
        });
    }
}

static void no_more_threads_than_asked_for() {
    pool::set_threads(8);
    counted(100);
    for (const int width : {1, 2, 3}) {
        pool::set_threads(width);
        for (int again = 0; again < 200; again++) {
            std::atomic<int> inside{0}, most{0};
            pool::run(20, [&](int64_t) {
                const int now = ++inside;
                for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {}
                inside--;
            });
            CHECK(most <= width);
        }
    }
}

static void sleeping_workers_are_woken() {
    pool::set_threads(3);
    for (int again = 0; again < 20; again++) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        CHECK(each_once(64));
    }
    pieces_run_at_the_same_time();
}

// The caller outlasts its spin while a worker is still in a piece.
static void a_sleeping_caller_is_woken() {
    pool::set_threads(2);
    for (int again = 0; again < 20; again++) {
        const auto caller = std::this_thread::get_id();
        std::atomic<bool> begun{false};
        pool::run(2, [&](int64_t) {
            if (std::this_thread::get_id() == caller) {
                while (!begun) std::this_thread::yield();
            } else {
                begun = true;
                std::this_thread::sleep_for(std::chrono::milliseconds(2));
            }
        });
    }
}

static void nested_calls_run_inline() {
    pool::set_threads(4);
    std::vector<int> ran(5 * 4, 0);
    pool::run(5, [&](int64_t outer) {
        const auto self = std::this_thread::get_id();
        pool::run(4, [&](int64_t inner) {
            CHECK(std::this_thread::get_id() == self);
            ran[static_cast<size_t>(outer * 4 + inner)]++;
        });
    });
    CHECK(ran == std::vector<int>(20, 1));
}

static void several_callers_at_once() {
    pool::set_threads(3);
    std::vector<std::thread> callers;
    for (int caller = 0; caller < 4; caller++)
        callers.emplace_back([caller] {
            for (int again = 0; again < 500; again++) CHECK(each_once(caller + 2));
        });
    for (auto& caller : callers) caller.join();
}

static void the_first_exception_reaches_the_caller() {
    for (const int width : {1, 2, 4}) {
        pool::set_threads(width);
        for (const int64_t failing : {0, 3, 7}) {
            std::string said;
            try {
                pool::run(8, [&](int64_t piece) {
                    if (piece == failing) throw std::runtime_error("piece " + std::to_string(piece));
                });
            } catch (const std::runtime_error& error) {
                said = error.what();
            }
            CHECK(said == "piece " + std::to_string(failing));
            CHECK(each_once(8));
        }
        bool thrown = false;
        try {
            pool::run(100, [](int64_t piece) { throw piece; });
        } catch (int64_t) {
            thrown = true;
        }
        CHECK(thrown);
        CHECK(each_once(100));
    }
}

static void widths_that_make_no_sense_are_refused() {
    pool::set_threads(2);
    for (const int width : {0, -1, 257}) {
        bool refused = false;
        try {
            pool::set_threads(width);
        } catch (const std::invalid_argument&) {
            refused = true;
        }
        CHECK(refused);
        CHECK(pool::threads() == 2);
    }
}

#ifndef __SANITIZE_THREAD__ // which cannot follow the threads that a forked child starts
static void a_child_starts_afresh() {
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(60);
        for (int again = 0; again < 20; again++)
            if (!each_once(64)) _exit(1);
        pieces_run_at_the_same_time(); // the child has workers of its own
        _exit(0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void forked_children_work() {
    pool::set_threads(2);
    a_child_starts_afresh();
    std::atomic<bool> stop{false};
    std::thread other([&] { // forked while this thread is inside a region, most of the time
        while (!stop) pool::run(8, [](int64_t) { std::this_thread::sleep_for(std::chrono::microseconds(20)); });
    });
    for (int again = 0; again < 20; again++) a_child_starts_afresh();
    stop = true;
    other.join();
    CHECK(each_once(64));
}
#endif

int main() {
    every_piece_once();
    regions_follow_each_other_closely();
    pieces_run_at_the_same_time();
    no_more_threads_than_asked_for();
    sleeping_workers_are_woken();
    a_sleeping_caller_is_woken();
    nested_calls_run_inline();
    several_callers_at_once();
    the_first_exception_reaches_the_caller();
    widths_that_make_no_sense_are_refused();
#ifndef __SANITIZE_THREAD__
    forked_children_work();
#endif
    std::puts("test_pool: all passed");
}
