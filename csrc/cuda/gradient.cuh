// Row gradients, summed and consumed at once, in the order of sorted entries.
//
// For entry i of slot s in sample b: dv_i = c_i (g_b (S_b - e_s) + G_s). Where e_s is the entry's own c_i v_i, the sum
// over a row is sum c (g S + G) - (sum g c^2) v, so that no embedding needs to be saved.
//
// Entries come sorted by row and are cut into chunks of fixed length, one group of lanes each. A run of equal rows that
// lies inside a chunk is finished there: its sum is handed to a consumer. The first and the last run of a chunk may go
// on beyond it; each leaves its sum as a part, at a place of its own. The parts are sorted by row as well, so the same
// kernel is applied to them, and to what that leaves, until one chunk holds all. Every sum has an order that depends on
// the rows alone: no float atomics, no count of distinct rows, no word from the host. Without keys every entry is a row
// of its own, the entry's number.
//
// All groups of a warp step through their chunks side by side. Parts are few and far between, so several are loaded
// before the first of them is used; of entries there are enough for the device to hide what each waits for.

#pragma once

#include "common.cuh"

constexpr uint32 nothing = 0xffffffffu; // in place of a part that is not there

// Sums over entries of one row: V columns, the factor g c^2 of the row itself, and the first order.
template <class T, int V> struct Sums {
    Vector<T, V> columns;
    T own, first;
};

// Rows of an array, any distance apart.
template <class T> struct Rows {
    T* at;
    int64 stride;
    __device__ __forceinline__ T* operator[](int64 row) const { return at + row * stride; }
};

// Where gradients come from: fastfm_core/contract.py, RowSource; or the parts that chunks have left, ``width`` numbers
// each: the columns, and the first order at the next multiple of four.
template <class T> struct Given {
    uint32 fields;
    int dim;
    const int* entry_slots;
    const T* coefficients;
    const T* pair_grad;
    const T* sums;
    const T* slot_values;
    const T* slot_grad;
    int64 grad_sample, grad_field;
    const int64* winners;
    const T* first_grad;
    const T* parts;
    int width;
};

// to += c * what, column by column
template <int V, class T> __device__ __forceinline__ void add_scaled(Vector<T, V>& to, T c, const Vector<T, V>& what) {
#pragma unroll
    for (int k = 0; k < V; ++k) to.at[k] += c * what.at[k];
}

// One entry per slot, every c_i is 1, nothing is pooled: the usual case.
template <class T> struct Plain : Given<T> {
    static constexpr int batch = 1;
    __device__ __forceinline__ explicit Plain(const Given<T>& given) : Given<T>(given) {}
    __device__ __forceinline__ bool holds(uint32) const { return true; }

    template <int V> struct Fetched {
        Vector<T, V> sums, deep;
        T pair_grad, first_grad;
    };

    template <int V> __device__ __forceinline__ Fetched<V> fetch(uint32 entry, int j) const {
        const uint32 b = entry / this->fields;
        const uint32 f = entry - b * this->fields;
        Fetched<V> fetched = {};
        if (this->first_grad) fetched.first_grad = this->first_grad[b];
        if (this->pair_grad) fetched.pair_grad = this->pair_grad[b];
        if (j >= this->dim) return fetched;
        if (this->pair_grad) fetched.sums = load<V>(this->sums + int64(b) * this->dim + j);
        if (this->slot_grad) fetched.deep = load<V>(this->slot_grad + b * this->grad_sample + f * this->grad_field + j);
        return fetched;
    }

    template <int V>
    __device__ __forceinline__ void add(Sums<T, V>& to, const Fetched<V>& from, uint32, const T*, int) const {
        to.first += from.first_grad;
        to.own += from.pair_grad;
        add_scaled(to.columns, from.pair_grad, from.sums);
        add_scaled(to.columns, T(1), from.deep);
    }
};

// Entries of any kind.
template <class T> struct Entries : Given<T> {
    static constexpr int batch = 1;
    bool by_value = false; // the gradient by the entry's coefficient, still without the row that it multiplies

    __device__ __forceinline__ explicit Entries(const Given<T>& given) : Given<T>(given) {}
    __device__ __forceinline__ bool holds(uint32) const { return true; }

    template <int V> struct Fetched {};

    template <int V> __device__ __forceinline__ Fetched<V> fetch(uint32, int) const { return {}; }

    template <int V>
    __device__ __forceinline__ void add(Sums<T, V>& to, const Fetched<V>&, uint32 entry, const T* row, int j) const {
        const uint32 slot = this->entry_slots ? uint32(this->entry_slots[entry]) : entry, b = slot / this->fields;
        const T c = this->coefficients ? this->coefficients[entry] : T(1), scale = by_value ? T(1) : c;
        if (this->first_grad && wins(slot, entry, this->dim)) to.first += scale * this->first_grad[b];
        if (j >= this->dim) return;
        Vector<T, V> d = {};
        if (this->pair_grad) {
            const T g = this->pair_grad[b];
            d = load<V>(this->sums + int64(b) * this->dim + j);
            if (this->slot_values) add_scaled(d, T(-1), load<V>(this->slot_values + int64(slot) * this->dim + j));
            else if (this->winners) add_scaled(d, -c, load<V>(row + j));
            else to.own += scale * g * c;
#pragma unroll
            for (int k = 0; k < V; ++k) d.at[k] *= g;
        }
        if (this->slot_grad) {
            const uint32 f = slot - b * this->fields;
            add_scaled(d, T(1), load<V>(this->slot_grad + b * this->grad_sample + f * this->grad_field + j));
        }
#pragma unroll
        for (int k = 0; k < V; ++k)
            if (wins(slot, entry, j + k)) to.columns.at[k] += scale * d.at[k];
    }

  private:
    __device__ __forceinline__ bool wins(uint32 slot, uint32 entry, int column) const {
        return !this->winners ||
               this->winners[int64(slot) * (this->dim + (this->first_grad ? 1 : 0)) + column] == int64(entry);
    }
};

// Parts of rows.
template <class T> struct Parts : Given<T> {
    static constexpr int batch = 8;
    __device__ __forceinline__ explicit Parts(const Given<T>& given) : Given<T>(given) {}
    __device__ __forceinline__ bool holds(uint32 part) const { return part != nothing; }

    template <int V> struct Fetched {
        Vector<T, V> columns;
        T first;
    };

    template <int V> __device__ __forceinline__ Fetched<V> fetch(uint32 part, int j) const {
        Fetched<V> fetched = {};
        if (part == nothing) return fetched;
        const T* const from = this->parts + int64(part) * this->width;
        fetched.first = from[this->width - 4];
        if (j < this->dim) fetched.columns = load<V>(from + j);
        return fetched;
    }

    template <int V>
    __device__ __forceinline__ void add(Sums<T, V>& to, const Fetched<V>& from, uint32, const T*, int) const {
        to.first += from.first;
        add_scaled(to.columns, T(1), from.columns);
    }
};

// What the runs that cross borders of chunks leave: part 2n of the run that enters chunk n, 2n + 1 of the one that goes
// on beyond it alone, each with its row, in place of both where there is none ``nothing``.
template <class T> struct Left {
    uint32* keys;
    uint32* places;
    T* parts;
    int width;
};

// The chunk of one group: consumer.finish for every row whose entries, or parts, all lie in it; parts of the others.
// consumer.fetch loads what finish will move.
template <class T, int V, class Source, class Consumer>
__device__ __forceinline__ void consume_chunk(const uint32* __restrict__ keys, const uint32* __restrict__ places,
                                              uint32 count, uint32 chunk, const Lanes& group, const Source& source,
                                              const Consumer& consumer, const Left<T>& left) {
    constexpr int batch = Source::batch;
    const uint32 number = uint32(group.number()), begin = number * chunk;
    if (begin >= count) return;
    const uint32 end = count - begin > chunk ? begin + chunk : count;
    const auto key = [&](uint32 i) { return keys ? keys[i] : i; };
    const bool enters = keys && begin > 0 && keys[begin - 1] == keys[begin];
    const bool goes_on = keys && end < count && keys[end - 1] == keys[end];
    uint32 entering = nothing, leaving = nothing; // the parts that this chunk leaves
    bool holds_any = batch == 1;                  // entries always do; most chunks of parts have none
    if (!holds_any) {
        for (uint32 i = begin + group.lane; i < end; i += group.count) holds_any |= source.holds(places[i]);
        holds_any = group.any(holds_any);
    }
    for (int base = 0; base == 0 || base < source.dim; base += group.count * V) {
        const int j = base + group.lane * V;
        Sums<T, V> sums = {};
        bool holds = false, first_run = true;
        for (uint32 start = begin; start < end && holds_any; start += batch) {
            uint32 row[batch + 1], place[batch];
            typename Source::template Fetched<V> fetched[batch];
#pragma unroll
            for (int u = 0; u <= batch; ++u) row[u] = key(start + u < end ? start + u : end - 1);
#pragma unroll
            for (int u = 0; u < batch; ++u) {
                const uint32 i = start + u < end ? start + u : end - 1;
                place[u] = places ? places[i] : i;
            }
#pragma unroll
            for (int u = 0; u < batch; ++u) fetched[u] = source.template fetch<V>(place[u], j);
#pragma unroll
            for (int u = 0; u < batch; ++u) {
                if (start + u >= end) break;
                const bool last = start + u + 1 == end, ends = last || row[u] != row[u + 1];
                holds = holds || source.holds(place[u]);
                typename Consumer::template Held<V> held;
                if (ends && holds) held = consumer.template fetch<V>(row[u], j, group);
                source.add(sums, fetched[u], place[u], consumer.table[row[u]], j);
                if (!ends) continue;
                const bool from_before = first_run && enters, to_behind = goes_on && last;
                if (sums.own != T(0) && j < source.dim) add_scaled(sums.columns, -sums.own, held.weights);
                if (holds && !from_before && !to_behind) consumer.template finish<V>(row[u], j, group, sums, held);
                if (holds && (from_before || to_behind)) {
                    const uint32 made = 2 * number + (from_before ? 0 : 1);
                    if (from_before) entering = made;
                    else leaving = made;
                    T* const part = left.parts + int64(made) * left.width;
                    if (j == 0) part[left.width - 4] = sums.first;
                    if (j < source.dim) store(part + j, sums.columns);
                }
                sums = {};
                holds = first_run = false;
            }
        }
    }
    if (group.lane > 0 || !left.keys) return;
    left.keys[2 * number] = keys[begin];
    left.keys[2 * number + 1] = keys[end - 1];
    left.places[2 * number] = entering;
    left.places[2 * number + 1] = leaving;
}
