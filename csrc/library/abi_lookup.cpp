// fastfm.h: lookups, and interactions of given field vectors.
#include "abi.hpp"
#include "run.hpp"
#include <memory>
#include <numeric>

using namespace fastfm;
using abi::guarded;
using abi::need;

namespace {

// Checked entries with their coefficients; memory for these is held where they are not the caller's own.
struct Batch {
    const fastfm_entries& given;
    int64_t slots, samples;
    bool pooled; // slots are bags
    const float* coefficients;
    std::unique_ptr<float[]> own;

    template <class Id> Entries<float, Id> entries() const {
        return {static_cast<const Id*>(given.ids), given.count, given.fields, given.offsets, coefficients};
    }
};

Batch batch_of(const fastfm_entries* given, const fastfm_matrix& table) {
    const int64_t slots = abi::slots_of(given);
    abi::require_ids(*given, table.rows);
    const bool terms = given->pooling == FASTFM_NONE;
    Batch batch{*given, slots, slots / given->fields, given->offsets && !terms, given->values, nullptr};
    if (given->offsets && (given->pooling == FASTFM_MEAN || given->pooling == FASTFM_SQRTN)) {
        batch.own.reset(new float[size_t(given->count)]);
        abi::write_coefficients(*given, batch.own.get());
        batch.coefficients = batch.own.get();
    }
    return batch;
}

// The outputs of embedding_fm as kernels see them.
Interaction<float> outputs_of(const fastfm_fm* out, const fastfm_matrix* dense, const Batch& batch, int64_t dim) {
    if (!out) abi::refuse("out is NULL");
    Interaction<float> to{};
    to.first = need(out->first, batch.samples, "out.first");
    to.pair = need(out->pair, batch.samples, "out.pair");
    to.sums = need(out->sums, batch.samples * dim, "out.sums");
    to.stream_sums = streams(to.sums, dim, dim, batch.samples);
    if (!out->deep) return to;
    if (batch.given.pooling == FASTFM_NONE)
        abi::refuse("out.deep must be NULL under FASTFM_NONE: these entries are pooled into no slots");
    if (dense) {
        const auto numbers = abi::matrix_of(dense, "dense");
        abi::require_size("dense.rows", numbers.rows, batch.samples);
        abi::require_size("dense.stride", numbers.stride, numbers.columns);
        to.numbers = numbers.data, to.extra = numbers.columns;
    }
    const int64_t width = batch.given.fields * dim + to.extra;
    to.deep = out->deep, to.deep_stride = out->deep_stride ? out->deep_stride : width;
    if (to.deep_stride < width)
        abi::refuse("out.deep_stride is " + std::to_string(to.deep_stride) +
                    ", less than F*D + I = " + std::to_string(width));
    to.stream_deep = streams(to.deep, dim, to.deep_stride, batch.samples);
    return to;
}

// Under max pooling: slots first, then what follows from them.
template <class Id>
void fm_of_largest(const fastfm_matrix& table, const fastfm_matrix* linear, const Batch& batch, const fastfm_fm& out,
                   const Interaction<float>& to) {
    const int64_t dim = table.columns, fields = batch.given.fields;
    need(out.winners, batch.slots * dim, "out.winners");
    if (linear) need(out.linear_winners, batch.slots, "out.linear_winners");
    const std::unique_ptr<float[]> slots(new float[size_t(batch.slots * std::max<int64_t>(dim, 1))]);
    run_pool_largest(abi::table_of(table), batch.entries<Id>(), batch.slots, slots.get(), out.winners);
    run_fm_of_slots(Table<float>{slots.get(), dim, dim, nullptr, 0}, fields, batch.samples, to);
    if (!linear) return;
    run_pool_largest(abi::table_of(*linear), batch.entries<Id>(), batch.slots, slots.get(), out.linear_winners);
    for (int64_t b = 0; b < batch.samples; ++b) {
        to.first[b] = 0;
        for (int64_t f = 0; f < fields; ++f) to.first[b] += slots[b * fields + f];
    }
}

int interact(const float* fields, int64_t samples, int64_t count, int64_t dim, bool per_dim, float* out) {
    return guarded([&] {
        abi::require_count("samples", samples), abi::require_count("count", count), abi::require_count("dim", dim);
        need(fields, samples * count * dim, "fields"), need(out, per_dim ? samples * dim : samples, "out");
        run_interact(Fields<float>{fields, count, dim}, samples, per_dim, out);
    });
}

int interact_backward(const float* grad, const float* fields, int64_t samples, int64_t count, int64_t dim, bool per_dim,
                      float* out) {
    return guarded([&] {
        abi::require_count("samples", samples), abi::require_count("count", count), abi::require_count("dim", dim);
        need(grad, per_dim ? samples * dim : samples, "grad");
        need(fields, samples * count * dim, "fields"), need(out, samples * count * dim, "out");
        run_interact_backward(Fields<float>{fields, count, dim}, samples, per_dim, grad, out);
    });
}

} // namespace

int fastfm_embedding_gather(const fastfm_matrix* table, const fastfm_entries* entries, float* out) {
    return guarded([&] {
        const auto rows = abi::matrix_of(table, "table");
        if (!entries) abi::refuse("entries is NULL");
        abi::require_count("entries.count", entries->count);
        abi::require_ids(*entries, rows.rows);
        need(out, entries->count * rows.columns, "out");
        abi::by_id(entries->id_bits, "entries.id_bits", [&](auto id) {
            using Id = decltype(id);
            const Entries<float, Id> single{static_cast<const Id*>(entries->ids), entries->count, 1, nullptr, nullptr};
            run_pool_slots(abi::table_of(rows), single, entries->count, false, out);
        });
    });
}

int fastfm_embedding_bag(const fastfm_matrix* table, const fastfm_entries* entries, float* out, int64_t* winners) {
    return guarded([&] {
        const auto rows = abi::matrix_of(table, "table");
        const auto batch = batch_of(entries, rows);
        if (entries->pooling == FASTFM_NONE) abi::refuse("entries.pooling is FASTFM_NONE, which has no slots to pool");
        need(out, batch.slots * rows.columns, "out");
        const bool largest = entries->pooling == FASTFM_MAX;
        if (largest) need(winners, batch.slots * rows.columns, "winners");
        abi::by_id(entries->id_bits, "entries.id_bits", [&](auto id) {
            const auto in = batch.entries<decltype(id)>();
            if (largest) run_pool_largest(abi::table_of(rows), in, batch.slots, out, winners);
            else run_pool_slots(abi::table_of(rows), in, batch.slots, batch.pooled, out);
        });
    });
}

int fastfm_embedding_fm(const fastfm_matrix* table, const fastfm_matrix* linear, const fastfm_entries* entries,
                        const fastfm_matrix* dense, const fastfm_fm* out) {
    return guarded([&] {
        const auto rows = abi::matrix_of(table, "table");
        fastfm_matrix weights{};
        if (linear) {
            weights = abi::matrix_of(linear, "linear");
            abi::require_size("linear.rows", weights.rows, rows.rows);
            abi::require_size("linear.columns", weights.columns, 1);
        }
        const auto batch = batch_of(entries, rows);
        const auto to = outputs_of(out, dense, batch, rows.columns);
        auto of = abi::table_of(rows);
        of.linear = weights.data, of.linear_stride = weights.stride;
        abi::by_id(entries->id_bits, "entries.id_bits", [&](auto id) {
            using Id = decltype(id);
            if (entries->pooling == FASTFM_MAX) fm_of_largest<Id>(rows, linear ? &weights : nullptr, batch, *out, to);
            else run_embedding_fm(of, batch.entries<Id>(), batch.samples, batch.pooled, to);
        });
    });
}

int fastfm_entry_slots(const fastfm_entries* entries, int32_t* out) {
    return guarded([&] {
        const int64_t slots = abi::slots_of(entries);
        need(out, entries->count, "out");
        if (slots > INT32_MAX) abi::refuse("entries have more than 2^31 slots");
        if (entries->offsets) write_slots(entries->offsets, slots, out);
        else std::iota(out, out + slots, 0);
    });
}

int fastfm_pooling_coefficients(const fastfm_entries* entries, float* out) {
    return guarded([&] {
        abi::slots_of(entries);
        need(out, entries->count, "out");
        if (abi::write_coefficients(*entries, out)) return;
        for (int64_t i = 0; i < entries->count; ++i) out[i] = entries->values ? entries->values[i] : 1.0f;
    });
}

int fastfm_fm_interaction(const float* fields, int64_t samples, int64_t count, int64_t dim, float* out) {
    return interact(fields, samples, count, dim, false, out);
}
int fastfm_bi_interaction(const float* fields, int64_t samples, int64_t count, int64_t dim, float* out) {
    return interact(fields, samples, count, dim, true, out);
}
int fastfm_fm_interaction_backward(const float* grad, const float* fields, int64_t samples, int64_t count, int64_t dim,
                                   float* out) {
    return interact_backward(grad, fields, samples, count, dim, false, out);
}
int fastfm_bi_interaction_backward(const float* grad, const float* fields, int64_t samples, int64_t count, int64_t dim,
                                   float* out) {
    return interact_backward(grad, fields, samples, count, dim, true, out);
}
