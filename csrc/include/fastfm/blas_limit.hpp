// Holds every BLAS whose thread count we can set to one thread while anybody computes, and restores it after.
//
// Two pools of threads that take turns fight for the cores. Holds are counted: the first one saves the counts that the
// application had set, the last release puts them back. A forked child has nothing to wait for: its counts are put
// back.
#pragma once

#include <pthread.h>

#include <cstddef>
#include <mutex>
#include <utility>
#include <vector>

namespace fastfm {

class BlasLimit {
  public:
    struct Control {
        int (*get)();
        void (*set)(int);
    };

    // The one of this process; never destroyed.
    static BlasLimit& shared() {
        static BlasLimit* const limit = [] {
            pthread_atfork([] { shared().mutex_.lock(); }, [] { shared().mutex_.unlock(); },
                           [] { shared().start_afresh(); });
            return new BlasLimit;
        }();
        return *limit;
    }

    // For as long as it lives.
    class Hold {
      public:
        explicit Hold(BlasLimit& limit) : limit_(limit) { limit_.hold(); }
        ~Hold() { limit_.release(); }
        Hold(const Hold&) = delete;
        Hold& operator=(const Hold&) = delete;

      private:
        BlasLimit& limit_;
    };

    void set_controls(std::vector<Control> controls) {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (depth_ > 0) put_back();
        controls_ = std::move(controls);
        saved_.resize(controls_.size());
        if (depth_ > 0) limit();
    }

    void hold() {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (depth_++ == 0) limit();
    }

    void release() {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (depth_ > 0 && --depth_ == 0) put_back();
    }

  private:
    void limit() {
        for (size_t i = 0; i < controls_.size(); i++) {
            saved_[i] = controls_[i].get();
            controls_[i].set(1);
        }
    }

    void put_back() {
        for (size_t i = 0; i < controls_.size(); i++) controls_[i].set(saved_[i]);
    }

    void start_afresh() {
        if (depth_ > 0) put_back();
        depth_ = 0;
        mutex_.unlock();
    }

    std::mutex mutex_;
    int depth_ = 0;
    std::vector<Control> controls_;
    std::vector<int> saved_;
};

} // namespace fastfm
