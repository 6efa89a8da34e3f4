// plan.hpp and planning.hpp against a stable sort: any number of pieces and buckets, tables of one row to 2^31 - 1
// rows.
#include "fastfm/planning.hpp"
#include "rows.hpp"

using namespace fastfm;
using namespace fastfm::tests;

template <class Id> struct Planned {
    Buffer<int32_t> order;
    std::vector<Id> rows;
    std::vector<int64_t> segments;
};

// The phases as plan.hpp says, over so many pieces of the ids and 2^bucket_bits buckets at most.
template <class Id> Planned<Id> plan(const Buffer<Id>& ids, int64_t table_rows, int64_t pieces, int64_t bucket_bits) {
    const int64_t count = ids.size();
    int64_t bits = 1;
    while (int64_t(1) << bits < table_rows) ++bits;
    const int64_t shift = most<int64_t>(0, bits - bucket_bits), buckets = int64_t(1) << (bits - shift);
    const auto border = [&](int64_t p) { return count * p / pieces; };
    std::vector<Buffer<int64_t>> next;
    for (int64_t p = 0; p < pieces; ++p) {
        next.emplace_back(buckets);
        count_ids(ids.data(), border(p), border(p + 1), shift, next.back().data());
    }
    std::vector<int64_t> borders{0};
    for (int64_t bucket = 0, place = 0; bucket < buckets; ++bucket) {
        for (auto& piece : next) place += std::exchange(piece[bucket], place);
        borders.push_back(place);
    }
    Buffer<uint64_t> keys(count), spare(count);
    for (int64_t p = pieces; p-- > 0;) // in any order
        scatter_keys(ids.data(), border(p), border(p + 1), shift, next[size_t(p)].data(), keys.data());
    Planned<Id> made{Buffer<int32_t>(count), {}, {}};
    std::vector<int64_t> first_row{0};
    for (size_t bucket = 0; bucket + 1 < borders.size(); ++bucket)
        first_row.push_back(first_row.back() + sort_bucket(keys.data(), spare.data(), borders[bucket],
                                                           borders[bucket + 1], shift, made.order.data()));
    Buffer<Id> rows(first_row.back());
    Buffer<int64_t> segments(first_row.back());
    for (size_t bucket = borders.size() - 1; bucket-- > 0;)
        write_segments(keys.data(), borders[bucket], borders[bucket + 1], first_row[bucket], rows.data(),
                       segments.data());
    made.rows.assign(rows.begin(), rows.end());
    made.segments.assign(segments.begin(), segments.end());
    made.segments.push_back(count);
    return made;
}

// The same by planning.hpp, on the pool.
template <class Id> Planned<Id> plan_on_pool(const Buffer<Id>& ids, int64_t table_rows) {
    const int64_t count = ids.size();
    Buffer<uint64_t> keys(count), spare(count);
    Planned<Id> made{Buffer<int32_t>(count), {}, {}};
    const Planning<Id> planning(ids.data(), count, table_rows, keys.data(), spare.data(), made.order.data());
    Buffer<Id> rows(planning.distinct());
    Buffer<int64_t> segments(planning.distinct() + 1);
    planning.write(rows.data(), segments.data());
    made.rows.assign(rows.begin(), rows.end());
    made.segments.assign(segments.begin(), segments.end());
    return made;
}

template <class Id> void check_plan(const Buffer<Id>& ids, int64_t table_rows) {
    const auto order = sorted_entries(ids);
    const auto rows = distinct_rows(ids);
    const auto segments = segment_starts(ids);
    const auto check = [&](const Planned<Id>& made) {
        CHECK(std::equal(order.begin(), order.end(), made.order.data()));
        CHECK(std::equal(rows.begin(), rows.end(), made.rows.begin(), made.rows.end()));
        CHECK(segments == made.segments);
    };
    for (const int64_t pieces : {1, 2, 5})
        for (const int64_t bucket_bits : {1, 8}) check(plan(ids, table_rows, pieces, bucket_bits));
    for (const int threads : {1, 3}) {
        pool::set_threads(threads);
        check(plan_on_pool(ids, table_rows));
    }
}

template <class Id> void test_plans() {
    Draws draws(5);
    for (const int64_t table_rows :
         {1LL, 2LL, 3LL, 255LL, 256LL, 257LL, 65536LL, 65537LL, (1LL << 24) + 1, (1LL << 31) - 1})
        for (const int64_t count : {0, 1, 2, 24, 25, 300, 3000}) {
            TESTING("%zu-byte ids, %lld rows, %d entries", sizeof(Id), static_cast<long long>(table_rows), int(count));
            check_plan(draws.ids<Id>(count, table_rows), table_rows);
            check_plan(Buffer<Id>(count, Id(table_rows - 1)), table_rows); // one id for the whole batch
        }
}

int main() {
    test_plans<int32_t>(), test_plans<int64_t>();
    std::puts("test_plan: all passed");
}
