// Lookup, first order, FM and concatenation in one pass; every row is read once, 64 entries after it was asked for.
//
//     e_s = sum_i c_i v_i over the entries of slot s        S_b = sum_s e_s over the slots of sample b
//     pair_b = 1/2 sum_d (S_bd^2 - sum_s e_sd^2)            first_b = sum_i c_i w_i
//
// Slots come from a *source of slots*: single ids, bags, or vectors given as they are. A walk goes over the slots of
// one sample and keeps S and the squares in registers, up to four lines of a row at a time. Where the first-order
// weight is a lane of the row (contract.hpp) and shares a line with its last dims, it is summed with them for nothing.
//
// Loops take local copies of their arguments, which stay in registers: anything else a store might have changed.
// Each output element belongs to one sample or slot and its terms are added in the order of the entries, so cuts
// between samples change no bits. A table of 16-bit numbers gives the bits of the same table widened to float before.
// Source: Rendle, "Factorization Machines", ICDM 2010, Lemma 3.1.
#pragma once
#include "fastfm/contract.hpp"
#include "fastfm/half.hpp"
#include "fastfm/vector.hpp"

namespace fastfm {
inline namespace FASTFM_ISA {

constexpr int64_t entries_ahead = 64; // between the request for a row and its use

// Rows are asked for several slots at a time: requests between loads make loads of rows that are there already wait.
template <int Lines> constexpr int64_t slots_requested = Lines == 1 ? 4 : 32;

template <class Stored> FASTFM_INLINE bool is_lane(const Table<Stored>& table) {
    return table.linear == table.rows + table.dim && table.linear_stride == table.stride;
}

// Ask for the row of a later entry. Lane: its first order lies on the same lines.
template <int Lines, bool Whole, bool Lane, class Stored, class Float, class Id>
FASTFM_INLINE void request_entry(const Table<Stored>& table, const Entries<Float, Id>& entries, int64_t i) {
    constexpr int64_t whole = Lines * Line<Float>::lanes; // known to the compiler, so no loop is left
    const int64_t row = entries.ids[least(i + entries_ahead, entries.count - 1)];
    prefetch(table.rows + row * table.stride, Whole ? whole : table.dim + Lane);
    if (!Lane && table.linear) prefetch(table.linear + row * table.linear_stride, 1);
}

// c_i
template <class Float, class Id> FASTFM_INLINE Float coefficient_of(const Entries<Float, Id>& entries, int64_t i) {
    return entries.coefficients ? entries.coefficients[i] : 1;
}

// w_i
template <class Stored, class Float, class Id>
FASTFM_INLINE Float weight_of(const Table<Stored>& table, const Entries<Float, Id>& entries, int64_t i) {
    return widened(table.linear[int64_t(entries.ids[i]) * table.linear_stride]);
}

// Columns c .. c + left - 1 of v_i
template <int Lines, bool Whole, class Stored, class Float, class Id>
FASTFM_INLINE Span<Float, Lines> row_of(const Table<Stored>& table, const Entries<Float, Id>& entries, int64_t i,
                                        int64_t c, int64_t left) {
    return load_span<Lines, Whole>(table.rows + int64_t(entries.ids[i]) * table.stride + c, left);
}

// Every entry is a slot of its own. Sample b has F of them, or, where nothing is pooled, offsets[b] .. offsets[b + 1].
template <class Float, class Id, class Stored = Float> struct SingleIds {
    Table<Stored> table;
    Entries<Float, Id> entries;

    bool plain() const { return !entries.coefficients; }
    void be_plain() { entries.coefficients = nullptr; }
    int64_t first_slot(int64_t b) const { return entries.offsets ? entries.offsets[b] : b * entries.fields; }
    template <int Lines, bool Whole, bool Lane> FASTFM_INLINE void request(int64_t s) const {
        request_entry<Lines, Whole, Lane>(table, entries, s);
    }
    FASTFM_INLINE Float weight(int64_t s) const { return weight_of(table, entries, s) * coefficient_of(entries, s); }
    template <int Lines, bool Whole> FASTFM_INLINE Span<Float, Lines> slot(int64_t s, int64_t c, int64_t left) const {
        auto term = row_of<Lines, Whole>(table, entries, s, c, left);
        if (entries.coefficients) term *= entries.coefficients[s];
        return term;
    }
};

// Slot s pools its entries by summing c_i v_i. Whether product and sum are fused must not depend on the type of table:
// in vectors they stand in one block, so a compiler that fuses does it always.
template <class Float, class Id, class Stored = Float> struct Bags {
    Table<Stored> table;
    Entries<Float, Id> entries;

    bool plain() const { return !entries.coefficients; }
    void be_plain() { entries.coefficients = nullptr; }
    int64_t first_slot(int64_t b) const { return b * entries.fields; }
    template <int Lines, bool Whole, bool Lane> FASTFM_INLINE void request(int64_t s) const {
        for (int64_t i = entries.offsets[s]; i < entries.offsets[s + 1]; ++i)
            request_entry<Lines, Whole, Lane>(table, entries, i);
    }
    FASTFM_INLINE Float weight(int64_t s) const {
        Float sum = 0;
        for (int64_t i = entries.offsets[s]; i < entries.offsets[s + 1]; ++i)
            sum = multiply_add(weight_of(table, entries, i), coefficient_of(entries, i), sum);
        return sum;
    }
    template <int Lines, bool Whole> FASTFM_INLINE Span<Float, Lines> slot(int64_t s, int64_t c, int64_t left) const {
        auto sum = zeros<Lines, Float>();
        for (int64_t i = entries.offsets[s]; i < entries.offsets[s + 1]; ++i) {
            auto term = row_of<Lines, Whole>(table, entries, i, c, left);
            if (entries.coefficients) sum += term *= entries.coefficients[i];
            else sum += term;
        }
        return sum;
    }
};

// Slot vectors [M, D] that are there already.
template <class Float> struct GivenSlots {
    Table<Float> table; // rows: the slot vectors; no first order
    int64_t fields;

    bool plain() const { return true; }
    void be_plain() {}
    int64_t first_slot(int64_t b) const { return b * fields; }
    template <int Lines, bool Whole, bool Lane> FASTFM_INLINE void request(int64_t) const {}
    FASTFM_INLINE Float weight(int64_t) const { return 0; }
    template <int Lines, bool Whole> FASTFM_INLINE Span<Float, Lines> slot(int64_t s, int64_t c, int64_t left) const {
        return load_span<Lines, Whole>(table.rows + s * table.stride + c, left);
    }
};

// e_s of the slots low .. high - 1 into out [M, D].
template <class Float, class Slots> void pool_slots(const Slots& given, Float* out, int64_t low, int64_t high) {
    by_length<Float>(given.table.dim, [&](auto lines, auto whole) {
        constexpr int Lines = decltype(lines)::value;
        constexpr bool Whole = decltype(whole)::value;
        const Slots slots = given;
        const int64_t dim = slots.table.dim;
        for (int64_t s = low; s < high; ++s) {
            slots.template request<Lines, Whole, false>(s);
            for (int64_t c = 0; c < dim; c += Lines * Line<Float>::lanes) {
                const auto e = slots.template slot<Lines, Whole>(s, c, dim - c);
                store_span(out + s * dim + c, e, dim - c, (high - s - 1) * dim); // the next slots are written later
            }
        }
    });
}

// Max pooling: per dim the largest c_i v_i, the first position wins; an empty slot is 0 and its winner -1.
template <class Float, class Id>
void pool_largest(const Table<Float>& table, const Entries<Float, Id>& entries, Float* out, int64_t* winners,
                  int64_t low, int64_t high) {
    for (int64_t s = low; s < high; ++s) {
        Float* best = out + s * table.dim;
        int64_t* winner = winners + s * table.dim;
        for (int64_t d = 0; d < table.dim; ++d) best[d] = 0, winner[d] = -1;
        const int64_t start = entries.offsets ? entries.offsets[s] : s;
        const int64_t stop = entries.offsets ? entries.offsets[s + 1] : s + 1;
        for (int64_t i = start; i < stop; ++i) {
            request_entry<1, false, false>(table, entries, i);
            const Float* row = table.rows + int64_t(entries.ids[i]) * table.stride;
            const Float coefficient = entries.coefficients ? entries.coefficients[i] : 1;
            for (int64_t d = 0; d < table.dim; ++d)
                if (i == start || row[d] * coefficient > best[d]) best[d] = row[d] * coefficient, winner[d] = i;
        }
    }
}

// One walk over the slots of sample b, columns c and on; adds to its squares and first order.
template <int Lines, bool Whole, bool Lane, class Float, class Slots>
FASTFM_INLINE void walk_slots(const Slots& slots, const Interaction<Float>& out, int64_t dim, int64_t b, int64_t c,
                              Line<Float>& squares, Float& first) {
    constexpr int64_t lanes = Line<Float>::lanes;
    const int64_t left = dim - c;
    const int64_t start = slots.first_slot(b), stop = slots.first_slot(b + 1);
    const bool one_walk = dim <= Lines * lanes; // then what stands behind a slot in deep is written after it
    auto sum = zeros<Lines, Float>();
    auto own = fill(Float(0));
    for (int64_t s = start; s < stop; ++s) {
        if (c == 0 && (s - start) % slots_requested<Lines> == 0)
            for (int64_t k = s; k < least(s + slots_requested<Lines>, stop); ++k)
                slots.template request<Lines, Whole, Lane>(k);
        if (c == 0 && !Lane && slots.table.linear) first += slots.weight(s);
        const auto e = slots.template slot<Lines, Whole>(s, c, left + Lane);
        sum += e;
        for (int64_t l = 0; l < Lines; ++l) {
            const auto kept = Lane ? first_lanes(e.line[l], left - l * lanes) : e.line[l];
            own += kept * kept;
        }
        if (out.deep) {
            Float* to = out.deep + b * out.deep_stride + (s - start) * dim + c;
            if (Whole && !Lane && out.stream_deep) stream_span(to, e);
            else store_span(to, e, left, one_walk ? (stop - s - 1) * dim + out.extra : 0);
        }
    }
    if (Whole && !Lane && out.stream_sums) stream_span(out.sums + b * dim + c, sum);
    else store_span(out.sums + b * dim + c, sum, left);
    for (int64_t l = 0; l < Lines; ++l) {
        const auto kept = Lane ? first_lanes(sum.line[l], left - l * lanes) : sum.line[l];
        squares += kept * kept;
    }
    squares -= own;
    if (Lane) first = lane_of(sum.line[dim / lanes], dim % lanes);
}

// What loops are compiled for: lookups without coefficients, with the concatenation or without it; and any. The last
// are not told the dim: the compiler would fuse products and sums otherwise for tables of 16 bits than for float.
enum class Lookup { plain, plain_deep, any };

template <int Lines, bool Whole, bool Lane, Lookup Of, class Float, class Slots>
FASTFM_INLINE void interact(const Slots& given, const Interaction<Float>& outputs, int64_t low, int64_t high) {
    constexpr int64_t step = Lines * Line<Float>::lanes;
    Slots slots = given;
    Interaction<Float> out = outputs;
    if (Of != Lookup::any) slots.be_plain();
    if (Of == Lookup::plain) out.deep = nullptr;
    const int64_t dim = Whole && Of != Lookup::any ? step - Lane : slots.table.dim; // a constant where it can be
    for (int64_t b = low; b < high; ++b) {
        auto squares = fill(Float(0));
        Float first = 0;
        for (int64_t c = 0; c == 0 || c < dim; c += step)
            walk_slots<Lines, Whole, Lane>(slots, out, dim, b, c, squares, first);
        out.first[b] = first;
        out.pair[b] = Float(0.5) * total(squares);
        if (out.deep)
            for (int64_t k = 0; k < out.extra; ++k)
                out.deep[b * out.deep_stride + (slots.first_slot(b + 1) - slots.first_slot(b)) * dim + k] =
                    out.numbers[b * out.extra + k];
    }
    if (out.stream_deep || out.stream_sums) end_streams();
}

// Samples low .. high - 1.
template <class Float, class Slots>
void embedding_fm(const Slots& slots, const Interaction<Float>& out, int64_t low, int64_t high) {
    constexpr int64_t lanes = Line<Float>::lanes;
    const int64_t dim = slots.table.dim;
    const bool lane = is_lane(slots.table) && dim % lanes != 0;
    by_length<Float>(dim + lane, [&](auto lines, auto whole) {
        constexpr int Lines = decltype(lines)::value;
        constexpr bool Whole = decltype(whole)::value;
        const auto run = [&](auto of) {
            constexpr Lookup Of = decltype(of)::value;
            if (lane && dim < Lines * lanes) interact<Lines, Whole, true, Of>(slots, out, low, high);
            else interact<Lines, Whole, false, Of>(slots, out, low, high);
        };
        if (!slots.plain()) run(Constant<Lookup::any>{});
        else if (out.deep) run(Constant<Lookup::plain_deep>{});
        else run(Constant<Lookup::plain>{});
    });
}

} // namespace FASTFM_ISA
} // namespace fastfm
