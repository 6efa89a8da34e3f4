// Rows brought to the present: the steps that they have missed, one after another, with the gradient l2 * w.
//
// A group of lanes takes a row. Where ``rows`` names one several times in a row, its first mention counts; without
// ``rows`` every row is taken. ``nows`` [3, known]: size, correction and kept of the latest steps, the last one is
// ``step``. Rules: rules.cuh; shapes: fastfm_core/contract.py, catch_up_rows_*.

#include "common.cuh"
#include "gradient.cuh"
#include "rules.cuh"

template <class T> struct Steps {
    const double* nows;
    int64 known;
    __device__ __forceinline__ Now<T> operator[](int64 k) const {
        return {T(nows[k]), T(nows[known + k]), T(nows[2 * known + k])};
    }
};

// Steps first .. known - 1 of one row, each of its numbers by itself.
template <class T, template <class> class Rule> struct Replay {
    __device__ static void run(const Rule<T>& rule, const Lanes& group, int64 columns, T* weights, T* state1, T* state2,
                               const Steps<T>& steps, int64 first, T l2) {
        for (int64 j = group.lane; j < columns; j += group.count) {
            T w = weights[j], one = Rule<T>::states > 0 ? state1[j] : T(0);
            T two = Rule<T>::states > 1 ? state2[j] : T(0);
            for (int64 k = first; k < steps.known; ++k) rule.step(w, one, two, l2 * w, steps[k]);
            weights[j] = w;
            if (Rule<T>::states > 0) state1[j] = one;
            if (Rule<T>::states > 1) state2[j] = two;
        }
    }
};

// One accumulator a row: each step sums the squares of all columns first.
template <class T> struct Replay<T, RowwiseAdagrad> {
    __device__ static void run(const RowwiseAdagrad<T>& rule, const Lanes& group, int64 columns, T* weights, T* state1,
                               T*, const Steps<T>& steps, int64 first, T l2) {
        T accumulated = group.lane == 0 ? *state1 : T(0);
        for (int64 k = first; k < steps.known; ++k) {
            T squares = 0;
            for (int64 j = group.lane; j < columns; j += group.count) squares += l2 * weights[j] * (l2 * weights[j]);
            accumulated += group.sum(squares) / T(columns > 0 ? columns : 1);
            const T factor = rule.factor(group.first(accumulated), steps[k]);
            for (int64 j = group.lane; j < columns; j += group.count) weights[j] -= factor * (l2 * weights[j]);
        }
        if (group.lane == 0) *state1 = accumulated;
    }
};

template <class T, template <class> class Rule>
__global__ void __launch_bounds__(256, 2)
    catch_up_rows(const uint32* __restrict__ rows, int64 count, int64 lanes, int64 columns, T* table,
                  int64 table_stride, T* state1, int64 stride1, T* state2, int64 stride2, int* last, int64 step,
                  const double* __restrict__ nows, int64 known, double one, double two, double three, double l2) {
    const Lanes group{int(lanes)};
    const int64 place = group.number();
    if (place >= count) return;
    const int64 row = rows ? int64(rows[place]) : place;
    if (rows && place > 0 && int64(rows[place - 1]) == row) return;
    const int64 missed = step - group.first(group.lane == 0 ? last[row] : 0);
    const Rows<T> weights{table, table_stride}, first{state1, stride1}, second{state2, stride2};
    if (missed > 0)
        Replay<T, Rule>::run(Rule<T>(one, two, three), group, columns, weights[row], first[row], second[row],
                             Steps<T>{nows, known}, known - missed, T(l2));
    if (group.lane == 0) last[row] = int(step);
}
