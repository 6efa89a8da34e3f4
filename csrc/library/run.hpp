// Kernels of the current instruction set, run in pieces on the pool, for whoever has checked their arguments: the
// Python bindings and the C ABI. How many samples a piece has changes no bit but those of a loss.
#pragma once
#include "fastfm/pieces.hpp"
#include "isa.hpp"
#include <cmath>
#include <vector>

namespace fastfm {

template <class Stored> int64_t row_bytes(const Table<Stored>& table) {
    return table.dim * int64_t(sizeof(Stored)) + 16;
}

// What `count` slots or samples read, each.
template <class Stored, class Id>
int64_t bytes_each(const Table<Stored>& table, const Entries<Widened<Stored>, Id>& entries, int64_t count,
                   int64_t least) {
    return row_bytes(table) * std::max(least, entries.count / std::max<int64_t>(1, count));
}

// out [M, D]; `pooled`: slots are bags, else rows by id
template <class Stored, class Id>
void run_pool_slots(const Table<Stored>& table, const Entries<Widened<Stored>, Id>& entries, int64_t slots, bool pooled,
                    Widened<Stored>* out) {
    const auto& kernels = lookup_kernels_of<Stored, Id>(current_isa());
    in_pieces(slots, bytes_each(table, entries, slots, 1),
              [&](int64_t low, int64_t high) { kernels.pool_slots(table, entries, pooled, out, low, high); });
}

// out, winners [M, D] under max pooling
template <class Float, class Id>
void run_pool_largest(const Table<Float>& table, const Entries<Float, Id>& entries, int64_t slots, Float* out,
                      int64_t* winners) {
    const auto& kernels = row_kernels_of<Float, Id>(current_isa());
    in_pieces(slots, bytes_each(table, entries, slots, 1),
              [&](int64_t low, int64_t high) { kernels.pool_largest(table, entries, out, winners, low, high); });
}

template <class Stored, class Id>
void run_embedding_fm(const Table<Stored>& table, const Entries<Widened<Stored>, Id>& entries, int64_t samples,
                      bool pooled, const Interaction<Widened<Stored>>& out) {
    const auto& kernels = lookup_kernels_of<Stored, Id>(current_isa());
    in_pieces(samples, bytes_each(table, entries, samples, entries.fields),
              [&](int64_t low, int64_t high) { kernels.embedding_fm(table, entries, pooled, out, low, high); });
}

// slots [M, D]
template <class Float>
void run_fm_of_slots(const Table<Float>& slots, int64_t fields, int64_t samples, const Interaction<Float>& out) {
    const auto& kernels = dense_kernels_of<Float>(current_isa());
    in_pieces(samples, fields * row_bytes(slots),
              [&](int64_t low, int64_t high) { kernels.fm_of_slots(slots, fields, out, low, high); });
}

// out [B], or [B, D] if per_dim
template <class Float> void run_interact(const Fields<Float>& fields, int64_t samples, bool per_dim, Float* out) {
    const auto& kernels = dense_kernels_of<Float>(current_isa());
    in_pieces(samples, fields.fields * fields.dim * int64_t(sizeof(Float)),
              [&](int64_t low, int64_t high) { kernels.interact(fields, per_dim, out, low, high); });
}

// out [B, F, D]
template <class Float>
void run_interact_backward(const Fields<Float>& fields, int64_t samples, bool per_dim, const Float* grad, Float* out) {
    const auto& kernels = dense_kernels_of<Float>(current_isa());
    in_pieces(samples, 2 * fields.fields * fields.dim * int64_t(sizeof(Float)),
              [&](int64_t low, int64_t high) { kernels.interact_backward(fields, per_dim, grad, out, low, high); });
}

// What Adam multiplies m, sqrt(v) and w with in a step, which is counted from 1.
template <class Float>
AdamStep<Float> adam_step(int64_t step, double lr, double beta1, double beta2, double weight_decay) {
    const double size = lr / (1.0 - std::pow(beta1, double(step)));
    return {Float(size), Float(std::pow(1.0 - std::pow(beta2, double(step)), -0.5)), Float(1.0 - lr * weight_decay)};
}

constexpr int64_t uncached_bytes = 1 << 24; // a larger output is not found in the caches by whoever reads it

// Whether an output of rows of so many dims may be, and had better be, written past the caches; see Interaction.
template <class Float> bool streams(const Float* data, int64_t dim, int64_t stride, int64_t rows) {
    constexpr int64_t line = 64 / int64_t(sizeof(Float));
    return dim % line == 0 && stride % line == 0 && reinterpret_cast<uintptr_t>(data) % 64 == 0 &&
           rows * stride * int64_t(sizeof(Float)) >= uncached_bytes;
}

// Sum of loss(mass, low, high) over all samples, over their mass: the sum of their weights, or their number.
template <class Float, class Loss>
double mean_over(int64_t count, int64_t bytes_each, const Float* weights, Loss&& loss) {
    const int64_t pieces = pieces_of(count, bytes_each);
    double mass = weights ? 0 : double(count);
    if (weights)
        for (int64_t b = 0; b < count; ++b) mass += weights[b];
    if (mass == 0) mass = 1; // a batch without weight has loss 0
    std::vector<double> parts(pieces);
    pool::run(pieces, [&](int64_t p) { parts[p] = loss(mass, cut(count, pieces, p), cut(count, pieces, p + 1)); });
    double sum = 0;
    for (const double part : parts) sum += part;
    return sum / mass;
}

} // namespace fastfm
