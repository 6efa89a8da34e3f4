// Row plans made on the pool, and the rows of a plan in pieces.
#pragma once
#include "fastfm/contract.hpp"
#include "fastfm/pieces.hpp"
#include "fastfm/plan.hpp"
#include <utility>
#include <vector>

namespace fastfm {
inline namespace FASTFM_ISA {

constexpr int64_t bucket_bits = 8;
constexpr int64_t most_plannable = int64_t(1) << 31; // rows of a table, and more than the number of ids

// The dedup of ids [N], in two steps, for only the first one says how many rows there are. Results: contract.hpp.
template <class Id> class Planning {
  public:
    // ids [N] in 0 .. table_rows - 1, see most_plannable; keys, spare [N]: memory to sort in; order [N] is written.
    Planning(const Id* ids, int64_t count, int64_t table_rows, uint64_t* keys, uint64_t* spare, int32_t* order)
        : count_(count), keys_(keys) {
        int64_t bits = 1;
        while (int64_t(1) << bits < table_rows) ++bits;
        const int64_t shift = std::max<int64_t>(0, bits - bucket_bits), buckets = int64_t(1) << (bits - shift);
        borders_.resize(buckets + 1), distinct_.resize(buckets + 1);
        scatter(ids, shift);
        in_buckets([&](int64_t b) {
            distinct_[b + 1] = sort_bucket(keys, spare, borders_[b], borders_[b + 1], shift, order);
        });
        for (int64_t b = 0; b < buckets; ++b) distinct_[b + 1] += distinct_[b];
    }

    int64_t distinct() const { return distinct_.back(); } // U

    // rows [U], segments [U+1]
    void write(Id* rows, int64_t* segments) const {
        segments[distinct()] = count_;
        in_buckets(
            [&](int64_t b) { write_segments(keys_, borders_[b], borders_[b + 1], distinct_[b], rows, segments); });
    }

  private:
    // Keys to their buckets.
    void scatter(const Id* ids, int64_t shift) {
        const int64_t pieces = pieces_of(count_, 16), buckets = int64_t(borders_.size()) - 1;
        std::vector<int64_t> next(pieces * buckets);
        pool::run(pieces, [&](int64_t p) {
            count_ids(ids, cut(count_, pieces, p), cut(count_, pieces, p + 1), shift, &next[p * buckets]);
        });
        int64_t place = 0;
        for (int64_t bucket = 0; bucket < buckets; ++bucket) {
            borders_[bucket] = place;
            for (int64_t p = 0; p < pieces; ++p) place += std::exchange(next[p * buckets + bucket], place);
        }
        borders_[buckets] = count_;
        pool::run(pieces, [&](int64_t p) {
            scatter_keys(ids, cut(count_, pieces, p), cut(count_, pieces, p + 1), shift, &next[p * buckets], keys_);
        });
    }

    template <class Work> void in_buckets(Work&& work) const {
        const int64_t buckets = int64_t(borders_.size()) - 1;
        in_pieces(buckets, 16 * count_ / buckets, [&](int64_t low, int64_t high) {
            for (int64_t b = low; b < high; ++b) work(b);
        });
    }

    const int64_t count_;
    uint64_t* const keys_;
    std::vector<int64_t> borders_, distinct_; // of buckets: where each begins, distinct rows before it
};

// Runs work(low, high) over the plan's rows, cut where the number of entries is about equal.
template <class Float, class Id, class Work> void over_rows(const RowGradients<Float, Id>& gradients, Work&& work) {
    const auto& plan = gradients.plan;
    const int64_t bytes = gradients.columns() * int64_t(sizeof(Float)) + 32;
    const int64_t pieces = std::min(pieces_of(plan.entries, bytes), std::max<int64_t>(1, plan.count));
    const auto border = [&](int64_t p) {
        if (p == pieces) return plan.count;
        return std::lower_bound(plan.segments, plan.segments + plan.count, cut(plan.entries, pieces, p)) -
               plan.segments;
    };
    pool::run(pieces, [&](int64_t p) { work(border(p), border(p + 1)); });
}

} // namespace FASTFM_ISA
} // namespace fastfm
