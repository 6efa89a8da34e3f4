// Memory of a thread that scores: it grows to what the largest block needs and is used again for the next one.
#pragma once
#include "fastfm/contract.hpp"
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

namespace fastfm::scoring {

class Workspace {
  public:
    enum Floats { block, first, pair, sums, slots, coefficients, float_places };
    enum Wides { offsets, winners, wide_places };

    float* floats(Floats place, int64_t count) { return static_cast<float*>(floats_[place].of(count * 4)); }
    int64_t* wides(Wides place, int64_t count) { return static_cast<int64_t*>(wides_[place].of(count * 8)); }
    template <class Id> Id* ids(int64_t count) { return static_cast<Id*>(ids_.of(count * int64_t(sizeof(Id)))); }
    Term* terms(int64_t count) { return static_cast<Term*>(terms_.of(count * int64_t(sizeof(Term)))); }

  private:
    // Starts on a cache line, and has one more behind its end.
    class Memory {
      public:
        void* of(int64_t bytes) {
            if (bytes > size_) {
                const size_t lines = size_t(bytes + bytes / 2) / 64 + 2;
                void* const fresh = std::aligned_alloc(64, lines * 64);
                if (!fresh) throw std::bad_alloc();
                data_.reset(fresh);
                size_ = int64_t(lines - 1) * 64;
            }
            return data_.get();
        }

      private:
        struct Free {
            void operator()(void* data) const { std::free(data); }
        };
        std::unique_ptr<void, Free> data_;
        int64_t size_ = 0;
    };

    Memory floats_[float_places], wides_[wide_places], ids_, terms_;
};

} // namespace fastfm::scoring
