// Row gradients for the tests: sources of every kind with their plans, and their sums by loops in double.
#pragma once
#include "check.hpp"
#include "fastfm/contract.hpp"
#include <algorithm>

namespace fastfm::tests {

enum class Pair { none, own_terms, slot_values };   // where e_s of the FM's gradient is from
enum class Deep { none, dense, strided, repeated }; // slot_grad: absent, [B, F, D], padded, one row for all slots

struct SourceShape {
    int64_t dim, samples, fields, padding;
    Pair pair;
    Deep deep;
    bool bags, coefficients, first, winners;

    int64_t slots() const { return samples * fields; }
    int64_t columns() const { return dim + first; }
    int64_t stride() const { return columns() + padding; }
};

// order [N]: entries sorted by row, stably
template <class Id> std::vector<int32_t> sorted_entries(const Buffer<Id>& ids) {
    std::vector<int32_t> order(size_t(ids.size()));
    for (size_t i = 0; i < order.size(); ++i) order[i] = int32_t(i);
    std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return ids[a] < ids[b]; });
    return order;
}

template <class Number, class Other> Buffer<Number> copied(const std::vector<Other>& from) {
    Buffer<Number> to(int64_t(from.size()));
    std::copy(from.begin(), from.end(), to.begin());
    return to;
}

template <class Id> std::vector<int64_t> distinct_rows(const Buffer<Id>& ids) {
    std::vector<int64_t> rows(ids.data(), ids.data() + ids.size());
    std::sort(rows.begin(), rows.end());
    rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
    return rows;
}

// Where each distinct row's entries begin, and N behind.
template <class Id> std::vector<int64_t> segment_starts(const Buffer<Id>& ids) {
    const auto order = sorted_entries(ids);
    std::vector<int64_t> starts;
    for (size_t j = 0; j < order.size(); ++j)
        if (j == 0 || ids[order[j]] != ids[order[j - 1]]) starts.push_back(int64_t(j));
    starts.push_back(ids.size());
    return starts;
}

template <class Float, class Id> struct Source {
    static constexpr int64_t table_rows = 7;
    SourceShape shape;
    Buffer<Float> rows;
    Buffer<int64_t> offsets;
    Buffer<Id> ids;
    Buffer<int32_t> entry_slots;
    Buffer<Float> coefficients, pair_grad, sums, slot_values, slot_grad, first_grad;
    Buffer<int64_t> winners;
    Buffer<Id> distinct;
    Buffer<int64_t> segments;
    Buffer<int32_t> order;

    Source(const SourceShape& given, Draws& draws)
        : shape(given), rows(draws.matrix<Float>(table_rows, shape.columns(), shape.stride())),
          offsets(draws.offsets(shape.slots())),
          ids(draws.ids<Id>(shape.bags ? offsets[shape.slots()] : shape.slots(), table_rows)), entry_slots(ids.size()),
          coefficients(draws.powers<Float>(ids.size())), pair_grad(draws.quarters<Float>(shape.samples)),
          sums(draws.quarters<Float>(shape.samples * shape.dim)),
          slot_values(draws.quarters<Float>(shape.slots() * shape.dim)),
          slot_grad(draws.quarters<Float>(slot_grad_size())), first_grad(draws.quarters<Float>(shape.samples)),
          winners(shape.slots() * shape.columns(), -1), distinct(copied<Id>(distinct_rows(ids))),
          segments(copied<int64_t>(segment_starts(ids))), order(copied<int32_t>(sorted_entries(ids))) {
        for (int64_t s = 0; s < shape.slots(); ++s) {
            const int64_t start = shape.bags ? offsets[s] : s, stop = shape.bags ? offsets[s + 1] : s + 1;
            for (int64_t i = start; i < stop; ++i) entry_slots[i] = int32_t(s);
            for (int64_t d = 0; d < shape.columns() && start < stop; ++d)
                winners[s * shape.columns() + d] = start + draws.below(stop - start);
        }
    }

    int64_t field_stride() const {
        return shape.deep == Deep::repeated ? 0 : shape.dim + 2 * (shape.deep == Deep::strided);
    }
    int64_t sample_stride() const {
        return shape.deep == Deep::repeated ? 0 : shape.fields * field_stride() + 3 * (shape.deep == Deep::strided);
    }
    int64_t slot_grad_size() const {
        if (shape.samples == 0) return 0;
        return (shape.samples - 1) * sample_stride() + (shape.fields - 1) * field_stride() + shape.dim;
    }
    RowGradients<Float, Id> gradients() const {
        const bool pair = shape.pair != Pair::none;
        return {rows.data(),
                shape.stride(),
                {distinct.data(), segments.data(), order.data(), distinct.size(), ids.size()},
                {shape.fields, shape.dim, shape.bags ? entry_slots.data() : nullptr,
                 shape.coefficients ? coefficients.data() : nullptr, pair ? pair_grad.data() : nullptr,
                 pair ? sums.data() : nullptr, shape.pair == Pair::slot_values ? slot_values.data() : nullptr,
                 shape.deep == Deep::none ? nullptr : slot_grad.data(), sample_stride(), field_stride(),
                 shape.winners ? winners.data() : nullptr, shape.first ? first_grad.data() : nullptr}};
    }

    double coefficient(int64_t i) const { return shape.coefficients ? double(coefficients[i]) : 1; }
    double weight(int64_t i, int64_t column) const { return double(rows[ids[i] * shape.stride() + column]); }
    // The gradient of column d of entry i's term c_i v_i; of w where d = dim.
    double of_term(int64_t i, int64_t d) const {
        const int64_t s = entry_slots[i], b = s / shape.fields, f = s % shape.fields;
        if (shape.winners && winners[s * shape.columns() + d] != i) return 0;
        if (d == shape.dim) return double(first_grad[b]);
        double gradient = 0;
        if (shape.pair != Pair::none) {
            const double e =
                shape.pair == Pair::own_terms ? coefficient(i) * weight(i, d) : double(slot_values[s * shape.dim + d]);
            gradient += double(pair_grad[b]) * (double(sums[b * shape.dim + d]) - e);
        }
        if (shape.deep != Deep::none) gradient += double(slot_grad[b * sample_stride() + f * field_stride() + d]);
        return gradient;
    }
    // [U, columns]
    std::vector<double> summed() const {
        std::vector<double> sums;
        for (int64_t u = 0; u < distinct.size(); ++u)
            for (int64_t d = 0; d < shape.columns(); ++d) {
                sums.push_back(0);
                for (int64_t i = 0; i < ids.size(); ++i)
                    if (ids[i] == distinct[u]) sums.back() += coefficient(i) * of_term(i, d);
            }
        return sums;
    }
};

} // namespace fastfm::tests
