// Row plans of a call's ids, and the memory that calls take turns with.
#pragma once
#include "fastfm/planning.hpp"
#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <vector>

namespace fastfm::xla {

// The k-th piece of memory that a call asks for is the k-th of the call before, where it is large enough.
class Scratch {
  public:
    template <class T> T* of(int64_t count) {
        if (next_ == pieces_.size()) pieces_.emplace_back();
        Piece& piece = pieces_[next_++];
        if (const size_t bytes = size_t(count) * sizeof(T); bytes > piece.size) {
            const size_t lines = (bytes + bytes / 4) / 64 + 1;
            piece.data.reset(std::aligned_alloc(64, lines * 64));
            piece.size = piece.data ? lines * 64 : 0;
            if (!piece.data) throw std::bad_alloc();
        }
        return static_cast<T*>(piece.data.get());
    }
    void rewind() { next_ = 0; }

  private:
    struct Free {
        void operator()(void* data) const { std::free(data); }
    };
    struct Piece {
        std::unique_ptr<void, Free> data;
        size_t size = 0;
    };
    std::vector<Piece> pieces_;
    size_t next_ = 0;
};

// A Scratch for as long as a call takes. There are as many as calls ever ran at once.
class Lease {
  public:
    Lease() {
        const std::lock_guard<std::mutex> lock(shelf().mutex);
        auto& idle = shelf().idle;
        if (idle.empty()) {
            scratch_ = std::make_unique<Scratch>();
        } else {
            scratch_ = std::move(idle.back());
            idle.pop_back();
        }
    }
    ~Lease() {
        scratch_->rewind();
        const std::lock_guard<std::mutex> lock(shelf().mutex);
        shelf().idle.push_back(std::move(scratch_));
    }
    Lease(const Lease&) = delete;
    Scratch& operator*() { return *scratch_; }

  private:
    struct Shelf {
        std::mutex mutex;
        std::vector<std::unique_ptr<Scratch>> idle;
    };
    static Shelf& shelf() {
        static Shelf& shelf = *new Shelf; // never destroyed: threads of XLA may outlive the program's statics
        return shelf;
    }
    std::unique_ptr<Scratch> scratch_;
};

// The plan of ids [count] below table_rows; its arrays lie in the scratch.
template <class Id> RowPlan<Id> plan_of(const Id* ids, int64_t count, int64_t table_rows, Scratch& memory) {
    if (table_rows > most_plannable || count >= most_plannable)
        throw std::invalid_argument("the ids or the table are more than 2^31");
    auto *const keys = memory.of<uint64_t>(count), *const spare = memory.of<uint64_t>(count);
    auto* const order = memory.of<int32_t>(count);
    const Planning<Id> made(ids, count, table_rows, keys, spare, order);
    auto* const rows = memory.of<Id>(made.distinct());
    auto* const segments = memory.of<int64_t>(made.distinct() + 1);
    made.write(rows, segments);
    return {rows, segments, order, made.distinct(), count};
}

} // namespace fastfm::xla
