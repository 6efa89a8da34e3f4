// Sleeping on a 32-bit word until another thread changes it: Linux's futex, elsewhere a condition variable.
//
//     wait(word, value)    returns at once if word != value, else sleeps until woken; may return for no reason
//     wake(word, count)    wakes up to count (the fallback: all) threads that wait on word; change the word first
#pragma once

#include <atomic>
#include <cstdint>

#if defined(__linux__) && !defined(FASTFM_NO_FUTEX)

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace fastfm {

class Bed {
  public:
    void wait(std::atomic<uint32_t>& word, uint32_t value) { futex(word, FUTEX_WAIT_PRIVATE, value); }
    void wake(std::atomic<uint32_t>& word, int count) { futex(word, FUTEX_WAKE_PRIVATE, static_cast<uint32_t>(count)); }

  private:
    static_assert(sizeof(std::atomic<uint32_t>) == sizeof(uint32_t));
    static void futex(std::atomic<uint32_t>& word, int operation, uint32_t argument) {
        syscall(SYS_futex, &word, operation, argument, nullptr, nullptr, 0);
    }
};

} // namespace fastfm

#else

#include <condition_variable>
#include <mutex>

namespace fastfm {

class Bed {
  public:
    void wait(std::atomic<uint32_t>& word, uint32_t value) {
        std::unique_lock<std::mutex> lock(mutex_);
        if (word.load() == value) changed_.wait(lock);
    }
    void wake(std::atomic<uint32_t>&, int) {
        const std::lock_guard<std::mutex> lock(mutex_);
        changed_.notify_all();
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
};

} // namespace fastfm

#endif
