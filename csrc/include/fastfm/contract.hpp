// The arguments that kernels share, as raw pointers: the C++ side of what fastfm_core/contract.py defines.
//
// B samples, F fields, M = B*F slots, D dims, V rows, N entries, U distinct rows. Strides count elements. A pointer to
// something optional is null where it is absent.
#pragma once
#include <cstdint>
#include <type_traits>

namespace fastfm {

// Numbers of 16 bits that a table may be stored in, to be read alone: they are widened to float, exactly, when loaded.
enum class Format { float16, bfloat16 };
template <Format> struct Half {
    uint16_t bits;
};
using Float16 = Half<Format::float16>;
using BFloat16 = Half<Format::bfloat16>;
template <class Stored> using Widened = std::conditional_t<sizeof(Stored) == 2, float, Stored>;

// Rows of an embedding table [V, D], and of a first-order weight w [V] for each row.
//
// With linear == rows + dim and equal strides the first-order weight is the row's lane D: one more number of the same
// row. D = 15 and a lane make one cache line.
template <class Stored> struct Table {
    const Stored* rows;
    int64_t stride;
    int64_t dim;
    const Stored* linear; // null: no first order
    int64_t linear_stride;
};

// Entry i feeds slot s with coefficients[i] times row ids[i]; slot s has the entries offsets[s] .. offsets[s + 1] - 1.
template <class Float, class Id> struct Entries {
    const Id* ids;             // [N]
    int64_t count;             // N
    int64_t fields;            // F
    const int64_t* offsets;    // [M+1] or null: one entry a slot
    const Float* coefficients; // [N] c_i or null: 1
};

// The distinct rows of a batch: row u occurs at the entries order[segments[u]] .. order[segments[u + 1] - 1].
template <class Id> struct RowPlan {
    const Id* rows;          // [U], ascending
    const int64_t* segments; // [U+1]
    const int32_t* order;    // [N]
    int64_t count;           // U
    int64_t entries;         // N
};

// Where the gradient of every entry's row comes from: entry i of slot s = b*F + f has
//     dv_i = c_i (pair_grad_b (sums_b - e_s) + slot_grad_s),    dw_i = c_i first_grad_b.
// Without slot_values e_s is the entry's own term c_i v_i. With first_grad the rows have D + 1 columns, the last is w.
template <class Float> struct RowSource {
    int64_t fields;
    int64_t dim;                // D, without the first order
    const int32_t* entry_slots; // [N] or null: slot = entry
    const Float* coefficients;  // [N] or null: 1
    const Float* pair_grad;     // [B] or null: no FM
    const Float* sums;          // [B, D]
    const Float* slot_values;   // [M, D] or null
    const Float* slot_grad;     // [B, F, D] or null: 0
    int64_t sample_stride, field_stride;
    const int64_t* winners;  // [M, columns] or null: no max pooling
    const Float* first_grad; // [B] or null
};

// Rows of a table, with a plan of a batch's ids and a source of their gradients.
template <class Float, class Id> struct RowGradients {
    const Float* rows; // [V, D], or [V, D+1] with first_grad
    int64_t stride;
    RowPlan<Id> plan;
    RowSource<Float> source;

    int64_t columns() const { return source.dim + (source.first_grad != nullptr); }
};

// Rows of a table or of an optimizer's state that are changed in place.
template <class Float> struct Rows {
    Float* data;
    int64_t stride;

    Float* operator[](int64_t row) const { return data + row * stride; }
};

// What all optimizer rules are told: g = grad_scale * gradient + l2 * w.
template <class Float> struct Rate {
    Float lr, l2, grad_scale;
};

// What differs from one of Adam's steps to the next, see update.hpp.
template <class Float> struct AdamStep {
    Float size, correction, kept;
};

// Rows that have missed steps: row u is current up to step last[row], and is to be brought to `step`. The numbers of
// the latest `known` steps are at hand, which reach back as far as any row.
template <class Id> struct Missed {
    const Id* rows; // [U], distinct, or null: every row
    int64_t count;  // U, or V
    int32_t* last;  // [V]
    int64_t step, known;
    int64_t columns; // of table and states
};

// Outputs of embedding_fm. numbers [B, I] are copied behind the slots of deep [B, F*D + I], whose rows may be padded.
// deep and sums may be streamed: written past the caches, which pays where they are too large to be found there again;
// D is a whole number of cache lines then, and rows begin on one.
template <class Float> struct Interaction {
    Float* first; // [B]
    Float* pair;  // [B]
    Float* sums;  // [B, D]
    Float* deep;  // null: not asked for
    int64_t deep_stride;
    const Float* numbers;
    int64_t extra; // I
    bool stream_deep = false, stream_sums = false;
};

// Field vectors e [B, F, D].
template <class Float> struct Fields {
    const Float* e;
    int64_t fields, dim;
};

enum class Product { inner, elementwise, outer };

// Field vectors e [B, F, D], `stride` elements from sample to sample, and pairs [P, 2] of them with weights [P]
// (null: 1).
template <class Float> struct FieldPairs {
    const Float* e;
    int64_t stride, fields, dim;
    const int32_t* pairs;
    int64_t count;
    const Float* weights;

    int32_t first(int64_t p) const { return pairs[2 * p]; }
    int32_t second(int64_t p) const { return pairs[2 * p + 1]; }
    Float weight(int64_t p) const { return weights ? weights[p] : Float(1); }
    const Float* vector(int64_t b, int32_t field) const { return e + b * stride + field * dim; }
    int64_t width(Product product) const {
        return product == Product::inner ? 1 : product == Product::outer ? dim * dim : dim;
    }
};

// Per-column parameters of batch norm; n = (x - mean) * scale with scale = 1 / sqrt(variance + eps).
template <class Float> struct Normal {
    const Float *mean, *scale;
};

// out = x W + start, and ReLU where it is asked for. W [K, H] is packed in panels of 16 columns, [ceil(H / 16), K, 16],
// zeros behind the last column.
struct DenseLayer {
    const float* weights;
    int64_t inner, columns; // K, H
    bool relu;
};

constexpr int64_t panel_columns = 16; // of packed weights: one line of floats

using Given = Rows<const float>; // rows that are read

struct Term {
    Given x;
    float factor;
};

// Names one dropout mask: element i is dropped when draw i is below threshold, else multiplied by scale.
struct Dropout {
    uint64_t seed;
    uint32_t step, layer, threshold;
    double scale;
};

} // namespace fastfm
