// Lookup: pooled rows, and lookup + first order + FM + concatenation in one pass that reads each row once.
//
//   e_s = sum of c_i v_i over the entries of slot s          first_b = sum of c_i w_i over the entries of sample b
//   pair_b = 1/2 (|S_b|^2 - sum_s |e_s|^2),  S_b = sum_s e_s
//
// A group of lanes takes a sample (or a slot); each lane owns V neighbouring columns and walks the fields in order, so
// that sums depend on shapes alone. TT is what the table stores, T what is computed in: halves are summed in float.
// Rows of ``deep`` lie deep_stride numbers apart, zeros between them: vectors for stores and for tensor cores.
// Shapes: fastfm_core/contract.py. Rendle, "Factorization Machines", ICDM 2010, Lemma 3.1.

#include "common.cuh"
#include <cuda_bf16.h>
#include <cuda_fp16.h>

__device__ __forceinline__ float widened(__half x) { return __half2float(x); }
__device__ __forceinline__ float widened(__nv_bfloat16 x) { return __bfloat162float(x); }
__device__ __forceinline__ float widened(float x) { return x; }
__device__ __forceinline__ double widened(double x) { return x; }

// to += c * from, column by column
template <int V, class T, class TT>
__device__ __forceinline__ void add_scaled(Vector<T, V>& to, T c, const Vector<TT, V>& from) {
#pragma unroll
    for (int k = 0; k < V; ++k) to.at[k] += c * T(widened(from.at[k]));
}

// Adds a term of the FM to the sum of terms and to the sum of their squares.
template <int V, class T>
__device__ __forceinline__ void add_term(Vector<T, V>& sums, Vector<T, V>& squares, const Vector<T, V>& term) {
#pragma unroll
    for (int k = 0; k < V; ++k) {
        sums.at[k] += term.at[k];
        squares.at[k] += term.at[k] * term.at[k];
    }
}

// The entries of a batch as the kernels see them: entry i is row ids[i] with coefficient c_i.
template <class T, class I> struct Looked {
    const I* ids;
    const int64* offsets;
    const T* coefficients;

    __device__ __forceinline__ int64 row(int64 i) const { return int64(ids[i]); }
    __device__ __forceinline__ T coefficient(int64 i) const { return coefficients ? coefficients[i] : T(1); }
    __device__ __forceinline__ int64 begin(int64 slot) const { return offsets ? offsets[slot] : slot; }
};

template <class TT, class T, class I, int V>
__global__ void __launch_bounds__(256, 2)
    embedding_fm(const TT* __restrict__ table, int64 table_stride, const TT* __restrict__ linear, int64 linear_stride,
                 const I* __restrict__ ids, const int64* __restrict__ offsets, const T* __restrict__ coefficients,
                 int64 samples, int64 fields, int64 dim, int64 every_entry_is_a_term, const T* __restrict__ dense,
                 int64 numbers, T* __restrict__ first, T* __restrict__ pair, T* __restrict__ sums, T* __restrict__ deep,
                 int64 deep_stride, int64 lanes) {
    const Lanes group{int(lanes)};
    const int64 b = group.number();
    if (b >= samples) return;
    const Looked<T, I> entries{ids, offsets, coefficients};
    const int64 slot = b * fields, end = entries.begin(slot + fields);
    T* const wide = deep ? deep + b * deep_stride : nullptr;
    T twice = 0;
    for (int64 j = group.lane * V; j < dim; j += lanes * V) {
        Vector<T, V> sum = {}, square = {};
        if (!offsets) {
#pragma unroll 8
            for (int64 f = 0; f < fields; ++f) {
                Vector<T, V> e = {};
                add_scaled(e, entries.coefficient(slot + f), load<V>(table + entries.row(slot + f) * table_stride + j));
                add_term(sum, square, e);
                if (wide) store(wide + f * dim + j, e);
            }
        } else {
            for (int64 f = 0; f < fields; ++f) {
                Vector<T, V> e = {};
                for (int64 i = entries.begin(slot + f); i < entries.begin(slot + f + 1); ++i) {
                    Vector<T, V> term = {};
                    add_scaled(term, entries.coefficient(i), load<V>(table + entries.row(i) * table_stride + j));
                    if (every_entry_is_a_term) add_term(sum, square, term);
                    else add_scaled(e, T(1), term);
                }
                if (!every_entry_is_a_term) add_term(sum, square, e);
                if (wide) store(wide + f * dim + j, e);
            }
        }
#pragma unroll
        for (int k = 0; k < V; ++k) twice += sum.at[k] * sum.at[k] - square.at[k];
        store(sums + b * dim + j, sum);
    }
    T linear_sum = 0;
    if (linear)
        for (int64 i = entries.begin(slot) + group.lane; i < end; i += lanes)
            linear_sum += entries.coefficient(i) * T(widened(linear[entries.row(i) * linear_stride]));
    if (wide)
        for (int64 i = group.lane; i < deep_stride - fields * dim; i += lanes)
            wide[fields * dim + i] = i < numbers ? dense[b * numbers + i] : T(0);
    twice = group.sum(twice);
    linear_sum = group.sum(linear_sum);
    if (group.lane == 0) {
        pair[b] = twice / 2;
        first[b] = linear_sum;
    }
}

// e [slots, dim] of every slot.
template <class TT, class T, class I, int V>
__global__ void __launch_bounds__(256, 2)
    embedding_bag(const TT* __restrict__ table, int64 table_stride, const I* __restrict__ ids,
                  const int64* __restrict__ offsets, const T* __restrict__ coefficients, int64 slots, int64 dim,
                  T* __restrict__ out, int64 lanes) {
    const Lanes group{int(lanes)};
    const int64 slot = group.number();
    if (slot >= slots) return;
    const Looked<T, I> entries{ids, offsets, coefficients};
    const int64 end = entries.begin(slot + 1);
    for (int64 j = group.lane * V; j < dim; j += lanes * V) {
        Vector<T, V> e; // -0 is what leaves the sign of a single row's zeros as it is
        for (int k = 0; k < V; ++k) e.at[k] = offsets ? T(0) : T(-0.0);
        for (int64 i = entries.begin(slot); i < end; ++i)
            add_scaled(e, entries.coefficient(i), load<V>(table + entries.row(i) * table_stride + j));
        store(out + slot * dim + j, e);
    }
}

// Per slot and column the largest c_i v_i, the first position wins, and which entry it was; 0 and -1 for an empty slot.
template <class T, class I>
__global__ void __launch_bounds__(256, 2)
    embedding_max(const T* __restrict__ table, int64 table_stride, const I* __restrict__ ids,
                  const int64* __restrict__ offsets, const T* __restrict__ coefficients, int64 slots, int64 dim,
                  T* __restrict__ out, int64* __restrict__ winners) {
    const int64 place = thread_number();
    if (place >= slots * dim) return;
    const Looked<T, I> entries{ids, offsets, coefficients};
    const int64 slot = place / dim, j = place % dim, end = entries.begin(slot + 1);
    T largest = 0;
    int64 winner = -1;
    for (int64 i = entries.begin(slot); i < end; ++i) {
        const T term = entries.coefficient(i) * table[entries.row(i) * table_stride + j];
        const bool wins = winner < 0 || term > largest || (term != term && largest == largest);
        if (wins) largest = term;
        if (wins) winner = i;
    }
    out[place] = largest;
    winners[place] = winner;
}

// The slot of each entry, and p_i = 1/n or 1/sqrt(n) of its slot, times its value where there is one.
template <class T>
__global__ void __launch_bounds__(256, 2)
    describe_entries(const int64* __restrict__ offsets, int64 slots, const T* __restrict__ values, int64 count,
                     int64 root, int* __restrict__ entry_slots, T* __restrict__ coefficients) {
    const int64 i = thread_number();
    if (i >= count) return;
    int64 low = 0, high = slots; // offsets[low] <= i < offsets[high]
    while (high - low > 1) {
        const int64 middle = (low + high) / 2;
        if (offsets[middle] <= i) low = middle;
        else high = middle;
    }
    if (entry_slots) entry_slots[i] = int(low);
    if (!coefficients) return;
    const double share = 1.0 / double(offsets[low + 1] - offsets[low]);
    const T factor = T(root ? sqrt(share) : share);
    coefficients[i] = values ? values[i] * factor : factor;
}
