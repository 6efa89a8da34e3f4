// Optimizer steps on the rows of a plan, in place, and row gradients for those who want to see them.
//
// gradient.cuh sums each row's gradient and hands it to a consumer: one of the rules of rules.cuh, which moves weights
// and state at once, or one that writes the gradient, or its square, to the row's place.
// g = grad_scale * gradient + l2 * w. Rows outside the plan are not touched. Shapes: fastfm_core/contract.py.

#include "common.cuh"
#include "gradient.cuh"
#include "rules.cuh"

// A rule with what it moves. Column ``dim`` is the first order, where there is one.
template <class T, template <class> class Rule> struct Step {
    Rule<T> rule;
    Rows<T> table, state1, state2;
    Now<T> now;
    T l2, grad_scale;
    int dim;
    bool has_first;

    template <int V> struct Held {
        Vector<T, V> weights, one, two;
    };

    template <int V> __device__ __forceinline__ Held<V> fetch(uint32 row, int j, const Lanes& group) const {
        Held<V> held = {};
        if (j >= dim) return held;
        held.weights = load<V>(table[row] + j);
        if (Rule<T>::states > 0) held.one = load<V>(state1[row] + j);
        if (Rule<T>::states > 1) held.two = load<V>(state2[row] + j);
        return held;
    }

    template <int V>
    __device__ __forceinline__ void finish(uint32 row, int j, const Lanes&, const Sums<T, V>& sums,
                                           Held<V>& held) const {
        if (j < dim) move<V>(row, j, sums.columns, held);
        if (!has_first || j != 0) return;
        Held<1> first{load<1>(table[row] + dim), {}, {}};
        if (Rule<T>::states > 0) first.one = load<1>(state1[row] + dim);
        if (Rule<T>::states > 1) first.two = load<1>(state2[row] + dim);
        move<1>(row, dim, Vector<T, 1>{{sums.first}}, first);
    }

  private:
    template <int V>
    __device__ __forceinline__ void move(uint32 row, int j, const Vector<T, V>& gradient, Held<V>& held) const {
#pragma unroll
        for (int k = 0; k < V; ++k) {
            T& w = held.weights.at[k];
            rule.step(w, held.one.at[k], held.two.at[k], grad_scale * gradient.at[k] + l2 * w, now);
        }
        store(table[row] + j, held.weights);
        if (Rule<T>::states > 0) store(state1[row] + j, held.one);
        if (Rule<T>::states > 1) store(state2[row] + j, held.two);
    }
};

// One accumulator a row: the squares of all its columns are summed before any of them moves. Rows of more columns than
// a group takes at once are read twice: a first pass sums, a second one moves.
template <class T> struct Step<T, RowwiseAdagrad> {
    RowwiseAdagrad<T> rule;
    Rows<T> table, state1, state2;
    Now<T> now;
    T l2, grad_scale;
    int dim;
    bool has_first;

    template <int V> struct Held {
        Vector<T, V> weights;
        T first, accumulated; // of the group's first lane
    };

    template <int V> __device__ __forceinline__ Held<V> fetch(uint32 row, int j, const Lanes& group) const {
        Held<V> held = {};
        if (j < dim) held.weights = load<V>(table[row] + j);
        if (has_first && j == 0) held.first = table[row][dim];
        if (group.lane == 0 && rule.moves) held.accumulated = *state1[row];
        return held;
    }

    template <int V>
    __device__ __forceinline__ void finish(uint32 row, int j, const Lanes& group, const Sums<T, V>& sums,
                                           Held<V>& held) const {
        Vector<T, V> g = {};
        T squares = 0;
#pragma unroll
        for (int k = 0; k < V; ++k) {
            g.at[k] = grad_scale * sums.columns.at[k] + l2 * held.weights.at[k];
            if (j < dim) squares += g.at[k] * g.at[k];
        }
        const T g_first = grad_scale * sums.first + l2 * held.first;
        if (has_first && j == 0) squares += g_first * g_first;
        if (rule.accumulates) {
            const int columns = dim + (has_first ? 1 : 0);
            squares = group.sum(squares) / T(columns > 0 ? columns : 1);
            if (group.lane == 0) {
                if (!rule.moves) held.accumulated = *state1[row];
                held.accumulated += squares;
                *state1[row] = held.accumulated;
            }
        }
        if (!rule.moves) return;
        const T factor = rule.factor(group.first(held.accumulated), now);
#pragma unroll
        for (int k = 0; k < V; ++k) held.weights.at[k] -= factor * g.at[k];
        if (j < dim) store(table[row] + j, held.weights);
        if (has_first && j == 0) table[row][dim] = held.first - factor * g_first;
    }
};

// Writes gradients to out[place], or their squares' sum to squares[place]; a row's place is its first one in ``rows``.
template <class T> struct Show {
    Rows<const T> table;
    const uint32* rows;
    int64 count;
    Rows<T> out;
    double* squares;
    int dim;
    bool has_first;

    template <int V> struct Held {
        Vector<T, V> weights;
    };

    template <int V> __device__ __forceinline__ Held<V> fetch(uint32 row, int j, const Lanes& group) const {
        return j < dim ? Held<V>{load<V>(table[row] + j)} : Held<V>{};
    }

    template <int V>
    __device__ __forceinline__ void finish(uint32 row, int j, const Lanes& group, const Sums<T, V>& sums,
                                           Held<V>&) const {
        const int64 place = place_of(row);
        double sum = 0;
        if (j < dim) {
            for (int k = 0; k < V; ++k) {
                sum += double(sums.columns.at[k]) * double(sums.columns.at[k]);
                if (out.at) out[place][j + k] = sums.columns.at[k];
            }
        }
        if (has_first && j == 0) {
            sum += double(sums.first) * double(sums.first);
            if (out.at) out[place][dim] = sums.first;
        }
        sum = group.sum(sum);
        if (squares && group.lane == 0) squares[place] += sum;
    }

  private:
    __device__ __forceinline__ int64 place_of(uint32 row) const {
        if (!rows) return row;
        int64 low = 0, high = count;
        while (low < high) {
            const int64 middle = (low + high) / 2;
            if (rows[middle] < row) low = middle + 1;
            else high = middle;
        }
        return low;
    }
};

// ``live``, where it is given, has size, correction and kept of the step in device memory.
template <class T, int V, template <class> class Rule, template <class> class Source>
__global__ void __launch_bounds__(256, 2)
    update_rows(const uint32* __restrict__ keys, const uint32* __restrict__ places, int64 count, int64 chunk,
                int64 lanes, int64 fields, const int* __restrict__ entry_slots, const T* __restrict__ coefficients,
                const T* __restrict__ pair_grad, const T* __restrict__ sums, const T* __restrict__ slot_values,
                const T* __restrict__ slot_grad, int64 grad_sample, int64 grad_field, const int64* __restrict__ winners,
                const T* __restrict__ first_grad, const T* __restrict__ parts, int64 width,
                uint32* __restrict__ left_keys, uint32* __restrict__ left_places, T* __restrict__ left_parts, T* table,
                int64 table_stride, int64 dim, int64 has_first, T* state1, int64 stride1, T* state2, int64 stride2,
                double one, double two, double three, double l2, double grad_scale, double size, double correction,
                double kept, const double* __restrict__ live) {
    const Now<T> now = live ? Now<T>{T(live[0]), T(live[1]), T(live[2])} : Now<T>{T(size), T(correction), T(kept)};
    const Step<T, Rule> step{Rule<T>(one, two, three),
                             {table, table_stride},
                             {state1, stride1},
                             {state2, stride2},
                             now,
                             T(l2),
                             T(grad_scale),
                             int(dim),
                             has_first != 0};
    const Left<T> left{left_keys, left_places, left_parts, int(width)};
    const Source<T> source{Given<T>{uint32(fields), int(dim), entry_slots, coefficients, pair_grad, sums, slot_values,
                                    slot_grad, grad_sample, grad_field, winners, first_grad, parts, int(width)}};
    consume_chunk<T, V>(keys, places, uint32(count), uint32(chunk), Lanes{int(lanes)}, source, step, left);
}

template <class T, int V, template <class> class Source>
__global__ void __launch_bounds__(256, 2)
    show_gradients(const uint32* __restrict__ keys, const uint32* __restrict__ places, int64 count, int64 chunk,
                   int64 lanes, int64 fields, const int* __restrict__ entry_slots, const T* __restrict__ coefficients,
                   const T* __restrict__ pair_grad, const T* __restrict__ sums, const T* __restrict__ slot_values,
                   const T* __restrict__ slot_grad, int64 grad_sample, int64 grad_field,
                   const int64* __restrict__ winners, const T* __restrict__ first_grad, const T* __restrict__ parts,
                   int64 width, uint32* __restrict__ left_keys, uint32* __restrict__ left_places,
                   T* __restrict__ left_parts, const T* table, int64 table_stride, int64 dim, int64 has_first,
                   const uint32* __restrict__ rows, int64 shown, T* __restrict__ out, int64 out_stride,
                   double* __restrict__ squares) {
    const Show<T> show{{table, table_stride}, rows, shown, {out, out_stride}, squares, int(dim), has_first != 0};
    const Left<T> left{left_keys, left_places, left_parts, int(width)};
    const Source<T> source{Given<T>{uint32(fields), int(dim), entry_slots, coefficients, pair_grad, sums, slot_values,
                                    slot_grad, grad_sample, grad_field, winners, first_grad, parts, int(width)}};
    consume_chunk<T, V>(keys, places, uint32(count), uint32(chunk), Lanes{int(lanes)}, source, show, left);
}

// dL/dx_i = p_i <g_b (S_b - e_s) + G_s, v_i>, a group of lanes for each entry.
template <class T, class I>
__global__ void __launch_bounds__(256, 2)
    value_gradient(const T* __restrict__ table, int64 table_stride, const I* __restrict__ ids,
                   const T* __restrict__ factors, int64 count, int64 lanes, int64 fields,
                   const int* __restrict__ entry_slots, const T* __restrict__ coefficients,
                   const T* __restrict__ pair_grad, const T* __restrict__ sums, const T* __restrict__ slot_values,
                   const T* __restrict__ slot_grad, int64 grad_sample, int64 grad_field,
                   const int64* __restrict__ winners, const T* __restrict__ first_grad, int64 dim,
                   T* __restrict__ out) {
    const Lanes group{int(lanes)};
    const int64 i = group.number();
    if (i >= count) return;
    const T* const row = table + int64(ids[i]) * table_stride;
    Entries<T> source{Given<T>{uint32(fields), int(dim), entry_slots, coefficients, pair_grad, sums, slot_values,
                               slot_grad, grad_sample, grad_field, winners, first_grad, nullptr, 0}};
    source.by_value = true;
    T product = 0;
    for (int j = group.lane; j == group.lane || j < dim; j += group.count) {
        Sums<T, 1> d = {};
        source.add(d, source.template fetch<1>(uint32(i), j), uint32(i), row, j);
        if (j < dim) product += (d.columns.at[0] - d.own * row[j]) * row[j];
        if (first_grad && j == 0) product += d.first * row[dim];
    }
    product = group.sum(product);
    if (group.lane == 0) out[i] = factors ? factors[i] * product : product;
}

// What differs in this step, [3] as in rules.cuh, from a learning rate and a step's number in device memory; each may
// be null, and given as a number. Rules without bias corrections have betas of 0.
__global__ void step_now(const double* live_lr, const int64* live_step, double lr, int64 step, double beta1,
                         double beta2, double weight_decay, double* now) {
    const double rate = live_lr ? *live_lr : lr, number = double(live_step ? *live_step : step);
    now[0] = rate / (1.0 - pow(beta1, number));
    now[1] = 1.0 / sqrt(1.0 - pow(beta2, number));
    now[2] = 1.0 - rate * weight_decay;
}
