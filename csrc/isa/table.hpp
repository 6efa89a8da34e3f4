// One table of kernels for each instruction set; which one is used is decided when the program runs.
#pragma once
#include "fastfm/contract.hpp"
#include <tuple>

namespace fastfm {

// Kernels that only read a table, which may be stored in 16 bits. `pooled`: slots are bags; else every entry is a slot
// or term.
template <class Stored, class Id> struct LookupKernels {
    using Float = Widened<Stored>;
    using From = const Table<Stored>&;
    using By = const Entries<Float, Id>&;

    void (*pool_slots)(From, By, bool pooled, Float* out, int64_t low, int64_t high);
    void (*embedding_fm)(From, By, bool pooled, const Interaction<Float>&, int64_t low, int64_t high);
};

// The others over a table's rows, by number and id type.
template <class Float, class Id> struct RowKernels {
    using From = const Table<Float>&;
    using By = const Entries<Float, Id>&;
    using Of = const RowGradients<Float, Id>&;
    using Behind = const Missed<Id>&;

    void (*pool_largest)(From, By, Float* out, int64_t* winners, int64_t low, int64_t high);
    void (*materialize)(Of, Float* out, int64_t low, int64_t high);
    void (*squared_norms)(Of, double* squares, int64_t low, int64_t high);
    void (*value_gradient)(Of, const Id* ids, const Float* factors, Float* out, int64_t low, int64_t high);
    void (*sgd)(Of, Rows<Float> weights, Rate<Float>, int64_t low, int64_t high);
    void (*adagrad)(Of, Rows<Float> weights, Rows<Float> sums, Rate<Float>, Float eps, int64_t low, int64_t high);
    void (*rowwise_adagrad)(Of, Rows<Float> weights, Rows<Float> sums, Rate<Float>, Float eps, int64_t low,
                            int64_t high);
    void (*adam)(Of, Rows<Float> weights, Rows<Float> moment1, Rows<Float> moment2, Rate<Float>, AdamStep<Float> now,
                 double beta1, double beta2, Float eps, int64_t low, int64_t high);
    void (*ftrl)(Of, Rows<Float> weights, Rows<Float> dual, Rows<Float> sums, Rate<Float>, Float beta, Float l1,
                 Float ridge, int64_t low, int64_t high);
    void (*catch_up_sgd)(Behind, Rows<Float> weights, const Float* rates, Float l2, int64_t low, int64_t high);
    void (*catch_up_adagrad)(Behind, Rows<Float> weights, Rows<Float> sums, Float eps, const Float* rates, Float l2,
                             int64_t low, int64_t high);
    void (*catch_up_rowwise_adagrad)(Behind, Rows<Float> weights, Rows<Float> sums, Float eps, const Float* rates,
                                     Float l2, int64_t low, int64_t high);
    void (*catch_up_adam)(Behind, Rows<Float> weights, Rows<Float> moment1, Rows<Float> moment2, double beta1,
                          double beta2, Float eps, bool decays, const AdamStep<Float>* nows, Float l2, int64_t low,
                          int64_t high);
    void (*catch_up_ftrl)(Behind, Rows<Float> weights, Rows<Float> dual, Rows<Float> sums, Float beta, Float l1,
                          Float ridge, const Float* rates, Float l2, int64_t low, int64_t high);
};

// Kernels without ids. `key` is null where nothing is dropped.
template <class Float> struct DenseKernels {
    void (*fm_of_slots)(const Table<Float>& slots, int64_t fields, const Interaction<Float>&, int64_t low,
                        int64_t high);
    void (*interact)(const Fields<Float>&, bool per_dim, Float* out, int64_t low, int64_t high);
    void (*interact_backward)(const Fields<Float>&, bool per_dim, const Float* grad, Float* out, int64_t low,
                              int64_t high);
    void (*pair_interaction)(const FieldPairs<Float>&, Float* out, int64_t low, int64_t high);
    void (*pair_interaction_backward)(const FieldPairs<Float>&, const Float* grad, Float* out, Float* weight_sums,
                                      int64_t low, int64_t high);
    void (*pair_products)(const FieldPairs<Float>&, Product, Float* out, int64_t low, int64_t high);
    void (*pair_products_backward)(const FieldPairs<Float>&, Product, const Float* grad, Float* out, int64_t low,
                                   int64_t high);
    void (*bias_relu_dropout)(Float* x, const Float* bias, int64_t columns, const Dropout* key, int64_t low,
                              int64_t high);
    void (*dropout)(const Float* x, Float* out, const Dropout& key, int64_t low, int64_t high);
    void (*relu_backward)(const Float* grad, const Float* output, Float scale, int64_t columns, Float* out, Float* sums,
                          int64_t low, int64_t high);
    void (*column_sums)(const Float* x, const Float* mean, int64_t columns, Float* sums, int64_t low, int64_t high);
    void (*batch_norm)(const Float* x, Normal<Float>, const Float* gamma, const Float* beta, int64_t columns,
                       Float* out, int64_t low, int64_t high);
    void (*batch_norm_sums)(const Float* grad, const Float* x, Normal<Float>, int64_t columns, Float* sums, int64_t low,
                            int64_t high);
    void (*batch_norm_backward)(const Float* grad, const Float* x, Normal<Float>, const Float* gamma, const Float* sums,
                                Float rows, int64_t columns, Float* out, int64_t low, int64_t high);
};

// Kernels of scoring, in float alone.
struct ScoringKernels {
    void (*dense)(const DenseLayer&, Given x, Given start, Rows<float> out, int64_t rows);
    void (*add)(const Term* terms, int64_t count, bool relu, Rows<float> out, int64_t width, int64_t rows);
    void (*multiply)(Given a, Given b, Rows<float> out, int64_t width, int64_t rows);
    void (*inner)(Given a, Given b, Rows<float> out, int64_t width, int64_t rows);
    void (*largest)(Given x, int64_t count, Rows<float> out, int64_t width, int64_t rows);
};

// What there is for one type of ids.
template <class Id>
using KernelsBy = std::tuple<LookupKernels<float, Id>, LookupKernels<double, Id>, LookupKernels<Float16, Id>,
                             LookupKernels<BFloat16, Id>, RowKernels<float, Id>, RowKernels<double, Id>>;

struct Isa {
    const char* name;
    std::tuple<KernelsBy<int32_t>, KernelsBy<int64_t>, DenseKernels<float>, DenseKernels<double>> kernels;
    ScoringKernels scoring;
};

extern const Isa isa_baseline;
#if defined(__x86_64__)
extern const Isa isa_avx2, isa_avx512;
#endif

} // namespace fastfm
