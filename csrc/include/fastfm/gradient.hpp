// Lazy row gradients: summed row by row in the plan's order and consumed at once; nothing of size [N, D] is written.
//
//     dv_i = c_i (pair_grad_b (sums_b - e_s) + slot_grad_s)        dw_i = c_i first_grad_b
//
// Without slot_values e_s is c_i v_i, and the terms -pair_grad_b c_i^2 v of a row are collected as one factor of the
// row. A *rule* consumes the summed gradient line by line: rule.request(row, c, count) asks for columns, and
// rule.move(u, row, c, gradient, left) gets the columns c .. c + left - 1 of distinct row u, a Line of them, or one
// number where only the first order is left: in a line it would share loads and stores with the next row (update.hpp
// has the optimizers' rules). Loops take local copies of their arguments, which stay in registers: anything else a
// store might have changed. For rules that are `tuned` they are compiled once more for each *shape* of gradients that
// matters most, with little left to test. Rows are independent of each other, so cuts between them change no bits.
// Formula: fastfm_core/contract.py, RowSource.
#pragma once
#include "fastfm/contract.hpp"
#include "fastfm/vector.hpp"

namespace fastfm {
inline namespace FASTFM_ISA {

constexpr int64_t gradients_ahead = 32; // entries between the request for an entry's gradient and its use
constexpr int64_t rows_ahead = 32;      // distinct rows between the request for a row and its update

// What a source is made of: an FM's pairs over single ids; beside them the gradient of a concatenation, as in DeepFM;
// anything else that is summed; max pooling.
enum class Kind { pairs, pairs_and_slots, summed, largest };

// What the compiler is told of gradients. Rows are walked `lines` lines at a time; they are `whole` where that is all
// of them and nothing is masked, be it with the first order as the last `lane`.
template <int Lines, bool Whole, bool Lane, Kind Of> struct Shape {
    static constexpr int lines = Lines;
    static constexpr bool whole = Whole, lane = Lane;
    static constexpr Kind kind = Of;
};

// Is the first order a lane of the dims' last line?
template <class Float> FASTFM_INLINE bool shares_line(const RowSource<Float>& source) {
    return source.first_grad && source.dim % Line<Float>::lanes != 0;
}

// Calls work(shape) with the shape of a source's gradients; the kinds of pairs are for tuned rules alone.
template <bool Tuned, class Float, class Work>
FASTFM_INLINE void by_shape(const RowSource<Float>& source, Work&& work) {
    if (source.winners) return work(Shape<1, false, false, Kind::largest>{});
    const bool lane = shares_line(source);
    const bool pairs = source.pair_grad && !source.entry_slots && !source.coefficients && !source.slot_values;
    by_length<Float>(source.dim + lane, [&](auto lines, auto whole) {
        constexpr int Lines = decltype(lines)::value;
        constexpr bool Whole = decltype(whole)::value;
        if constexpr (Tuned && Whole) {
            const auto of_kind = [&](auto kind) {
                constexpr Kind Of = decltype(kind)::value;
                if (lane) work(Shape<Lines, true, true, Of>{});
                else work(Shape<Lines, true, false, Of>{});
            };
            if (pairs && source.slot_grad) return of_kind(Constant<Kind::pairs_and_slots>{});
            if (pairs) return of_kind(Constant<Kind::pairs>{});
        }
        if (lane) work(Shape<Lines, false, false, Kind::summed>{});
        else work(Shape<Lines, Whole, false, Kind::summed>{});
    });
}

// The summed gradient of one row: a few lines of its dims, and its first order's.
template <class Float, int Lines> struct Summed {
    Span<Float, Lines> dims;
    Float first;
};

// RowGradients that can be summed.
template <class Float, class Id> struct Gradients : RowGradients<Float, Id> {
    using RowGradients<Float, Id>::rows, RowGradients<Float, Id>::stride, RowGradients<Float, Id>::plan;
    using RowGradients<Float, Id>::source, RowGradients<Float, Id>::columns;

    FASTFM_INLINE int64_t slot_of(int64_t i) const { return source.entry_slots ? source.entry_slots[i] : i; }
    FASTFM_INLINE int64_t sample_of(int64_t slot) const { return uint32_t(slot) / uint32_t(source.fields); }
    FASTFM_INLINE const Float* slot_grad(int64_t slot, int64_t b) const {
        return source.slot_grad + b * source.sample_stride + (slot - b * source.fields) * source.field_stride;
    }
    FASTFM_INLINE Float coefficient(int64_t i) const { return source.coefficients ? source.coefficients[i] : 1; }

    // Ask for what the gradient of a later entry is made of, be it this row's entry or another's.
    FASTFM_INLINE void request(int64_t j) const {
        const int64_t slot = slot_of(plan.order[least(j + gradients_ahead, plan.entries - 1)]), b = sample_of(slot);
        if (source.slot_grad) prefetch(slot_grad(slot, b), source.dim);
        if (source.pair_grad) prefetch(source.sums + b * source.dim, source.dim);
        if (source.slot_values) prefetch(source.slot_values + slot * source.dim, source.dim);
    }

    // pair_grad_b (sums_b - e_s) + slot_grad_s from column c on, without e_s where slot values were not saved.
    template <int Lines, bool Whole>
    FASTFM_INLINE Span<Float, Lines> of_slot(int64_t slot, int64_t b, int64_t c) const {
        const int64_t left = source.dim - c;
        auto gradient = zeros<Lines, Float>();
        if (source.pair_grad) {
            gradient = load_span<Lines, Whole>(source.sums + b * source.dim + c, left);
            if (source.slot_values)
                gradient -= load_span<Lines, Whole>(source.slot_values + slot * source.dim + c, left);
            gradient *= source.pair_grad[b];
        }
        if (source.slot_grad) gradient += load_span<Lines, Whole>(slot_grad(slot, b) + c, left);
        return gradient;
    }

    template <class Shape> FASTFM_INLINE auto sum(int64_t u, int64_t c) const {
        constexpr bool dims_whole = Shape::whole && !Shape::lane;
        if constexpr (Shape::kind == Kind::largest) return sum_won<Shape::lines>(u, c);
        else return sum_all<Shape::lines, dims_whole>(u, c);
    }
    template <int Lines, bool Whole> FASTFM_INLINE Summed<Float, Lines> sum_all(int64_t u, int64_t c) const {
        Summed<Float, Lines> sum{zeros<Lines, Float>(), 0};
        const bool own_terms = source.pair_grad && !source.slot_values;
        Float own = 0;
        for (int64_t j = plan.segments[u]; j < plan.segments[u + 1]; ++j) {
            if (c == 0) request(j);
            const int64_t i = plan.order[j], slot = slot_of(i), b = sample_of(slot);
            auto gradient = of_slot<Lines, Whole>(slot, b, c);
            if (source.coefficients) gradient *= source.coefficients[i];
            sum.dims += gradient;
            if (own_terms) own += source.pair_grad[b] * coefficient(i) * coefficient(i);
            if (source.first_grad) sum.first += source.first_grad[b] * coefficient(i);
        }
        if (own_terms) {
            auto row = load_span<Lines, Whole>(rows + int64_t(plan.rows[u]) * stride + c, source.dim - c);
            sum.dims -= row *= own;
        }
        return sum;
    }

    // Max pooling: an entry gets the gradient of the columns that it won in its slot.
    template <int Lines> Summed<Float, Lines> sum_won(int64_t u, int64_t c) const {
        Float numbers[Lines * Line<Float>::lanes] = {};
        const int64_t stop = least(source.dim - c, Lines * Line<Float>::lanes);
        for (int64_t k = 0; k < stop; ++k) numbers[k] = column_won(u, c + k);
        const Float first = source.first_grad ? column_won(u, source.dim) : 0;
        return {load_span<Lines, true>(numbers, 0), first};
    }
    Float column_won(int64_t u, int64_t d) const {
        Float sum = 0;
        for (int64_t j = plan.segments[u]; j < plan.segments[u + 1]; ++j) {
            const int64_t i = plan.order[j], slot = slot_of(i);
            if (source.winners[slot * columns() + d] == i) sum += won(slot, d) * coefficient(i);
        }
        return sum;
    }
    // What the winner of column d of a slot is given.
    Float won(int64_t slot, int64_t d) const {
        const int64_t b = sample_of(slot);
        if (d == source.dim) return source.first_grad[b];
        Float gradient = 0;
        if (source.pair_grad)
            gradient +=
                source.pair_grad[b] * (source.sums[b * source.dim + d] - source.slot_values[slot * source.dim + d]);
        if (source.slot_grad) gradient += slot_grad(slot, b)[d];
        return gradient;
    }
};

// A copy of gradients for loops of one shape: what the shape says stands in it as a constant.
template <class Shape, class Float, class Id>
FASTFM_INLINE Gradients<Float, Id> shaped(const RowGradients<Float, Id>& of) {
    Gradients<Float, Id> gradients{of};
    RowSource<Float>& source = gradients.source;
    if (Shape::whole) source.dim = Shape::lines * Line<Float>::lanes - Shape::lane;
    if (Shape::kind != Kind::largest) source.winners = nullptr;
    if (Shape::kind == Kind::pairs || Shape::kind == Kind::pairs_and_slots) {
        source.entry_slots = nullptr, source.coefficients = nullptr, source.slot_values = nullptr;
        if (!source.pair_grad) __builtin_unreachable();
    }
    if (Shape::kind == Kind::pairs) source.slot_grad = nullptr;
    if (Shape::kind == Kind::pairs_and_slots && !source.slot_grad) __builtin_unreachable();
    if (Shape::lane && !source.first_grad) __builtin_unreachable();
    return gradients;
}

// Ask for a later row, through the rule.
template <class Float, class Id, class Rule>
FASTFM_INLINE void request_row(const Gradients<Float, Id>& gradients, const Rule& rule, int64_t u) {
    const int64_t row = gradients.plan.rows[least(u + rows_ahead, gradients.plan.count - 1)];
    const int64_t dim = gradients.source.dim;
    const bool shared = shares_line(gradients.source);
    rule.request(row, 0, dim + shared);
    if (gradients.source.first_grad && !shared) rule.request(row, dim, 1);
}

// Hands the lines of one summed gradient, from column c on, to the rule. The first order is the last column: a lane of
// the dims' last line where there is room, else a number of its own.
template <int Lines, class Float, class Id, class Rule>
FASTFM_INLINE void consume(const Gradients<Float, Id>& gradients, Summed<Float, Lines>& sum, int64_t u, int64_t c,
                           Rule&& rule) {
    constexpr int64_t lanes = Line<Float>::lanes;
    const int64_t row = gradients.plan.rows[u], dim = gradients.source.dim, columns = gradients.columns();
    const bool last = columns > dim && dim - c <= Lines * lanes, shared = last && shares_line(gradients.source);
    for (int64_t l = 0; l < Lines; ++l) {
        const int64_t at = c + l * lanes;
        if (at >= dim) break;
        if (shared && at + lanes > dim) sum.dims.line[l] += one_lane(dim - at, sum.first);
        rule(u, row, at, sum.dims.line[l], at + lanes < dim ? lanes : dim + shared - at);
    }
    if (last && !shared) rule(u, row, dim, sum.first, int64_t(1));
}

// Distinct rows low .. high - 1.
template <class Float, class Id, class Rule>
void for_each_row(const RowGradients<Float, Id>& of, const Rule& given, int64_t low, int64_t high) {
    by_shape<Rule::tuned>(of.source, [&](auto shape) {
        using Shape = decltype(shape);
        const auto gradients = shaped<Shape>(of);
        const Rule rule = given;
        for (int64_t u = low; u < high; ++u) {
            request_row(gradients, rule, u);
            int64_t c = 0;
            do {
                auto sum = gradients.template sum<Shape>(u, c);
                consume(gradients, sum, u, c, [&](const auto&... line) { rule.move(line...); });
            } while ((c += Shape::lines * Line<Float>::lanes) < gradients.source.dim);
        }
    });
}

// Rule: writes the summed gradients to out [U, columns].
template <class Float> struct Materialize {
    static constexpr bool tuned = false;
    const Float* rows;
    int64_t stride;
    Float* out;
    int64_t columns;

    FASTFM_INLINE void request(int64_t row, int64_t c, int64_t count) const {
        prefetch(rows + row * stride + c, count);
    }
    template <class Number>
    FASTFM_INLINE void move(int64_t u, int64_t, int64_t c, const Number& gradient, int64_t left) const {
        store(out + u * columns + c, gradient, left);
    }
};

// Rule: adds up |summed gradient|^2 of each row in squares [U], which starts at 0.
template <class Float> struct SquaredNorms {
    static constexpr bool tuned = false;
    const Float* rows;
    int64_t stride;
    double* squares;

    FASTFM_INLINE void request(int64_t row, int64_t c, int64_t count) const {
        prefetch(rows + row * stride + c, count);
    }
    template <class Number>
    FASTFM_INLINE void move(int64_t u, int64_t, int64_t, const Number& gradient, int64_t left) const {
        Float numbers[Line<Float>::lanes];
        store(numbers, as_line(gradient));
        for (int64_t k = 0; k < least(left, Line<Float>::lanes); ++k) squares[u] += double(numbers[k]) * numbers[k];
    }
};

// dL/dx_i = p_i <gradient of the entry's term, its row>, entries low .. high - 1; factors [N] are p_i or null.
template <class Float, class Id>
void value_gradient(const RowGradients<Float, Id>& of, const Id* ids, const Float* factors, Float* out, int64_t low,
                    int64_t high) {
    const Gradients<Float, Id> gradients{of};
    const RowSource<Float>& source = of.source;
    for (int64_t i = low; i < high; ++i) {
        const Float* row = gradients.rows + int64_t(ids[i]) * gradients.stride;
        const int64_t slot = gradients.slot_of(i), b = gradients.sample_of(slot);
        Float product = 0;
        if (source.winners) {
            for (int64_t d = 0; d < gradients.columns(); ++d)
                if (source.winners[slot * gradients.columns() + d] == i) product += gradients.won(slot, d) * row[d];
        } else {
            const bool own_term = source.pair_grad && !source.slot_values;
            const Float own = own_term ? source.pair_grad[b] * gradients.coefficient(i) : 0;
            auto sum = fill(Float(0));
            for (int64_t c = 0; c < source.dim; c += Line<Float>::lanes) {
                const auto vector = load(row + c, source.dim - c);
                sum += (gradients.template of_slot<1, false>(slot, b, c).line[0] - vector * fill(own)) * vector;
            }
            product = total(sum) + (source.first_grad ? source.first_grad[b] * row[source.dim] : 0);
        }
        out[i] = factors ? product * factors[i] : product;
    }
}

} // namespace FASTFM_ISA
} // namespace fastfm
