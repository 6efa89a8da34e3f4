// Fills the table of the instruction set that FASTFM_ISA names. Included once by each file of this folder.
//
// Tables are constants: code that filled them when the program starts would be code for an instruction set that the CPU
// may not have.
#pragma once
#include "fastfm/fastfm.hpp"
#include "table.hpp"

namespace fastfm {
inline namespace FASTFM_ISA {

template <class Stored, class Id> constexpr LookupKernels<Stored, Id> lookup_kernels() {
    using Float = Widened<Stored>;
    using From = const Table<Stored>&;
    using By = const Entries<Float, Id>&;
    LookupKernels<Stored, Id> k{};
    k.pool_slots = [](From table, By entries, bool pooled, Float* out, int64_t low, int64_t high) {
        if (pooled) pool_slots(Bags<Float, Id, Stored>{table, entries}, out, low, high);
        else pool_slots(SingleIds<Float, Id, Stored>{table, entries}, out, low, high);
    };
    k.embedding_fm = [](From table, By entries, bool pooled, const Interaction<Float>& out, int64_t low, int64_t high) {
        if (pooled) embedding_fm(Bags<Float, Id, Stored>{table, entries}, out, low, high);
        else embedding_fm(SingleIds<Float, Id, Stored>{table, entries}, out, low, high);
    };
    return k;
}

template <class Float, class Id> constexpr RowKernels<Float, Id> row_kernels() {
    using Of = const RowGradients<Float, Id>&;
    using Behind = const Missed<Id>&;
    RowKernels<Float, Id> k{};
    k.pool_largest = pool_largest<Float, Id>;
    k.materialize = [](Of of, Float* out, int64_t low, int64_t high) {
        for_each_row(of, Materialize<Float>{of.rows, of.stride, out, of.columns()}, low, high);
    };
    k.squared_norms = [](Of of, double* squares, int64_t low, int64_t high) {
        for_each_row(of, SquaredNorms<Float>{of.rows, of.stride, squares}, low, high);
    };
    k.value_gradient = value_gradient<Float, Id>;
    k.sgd = [](Of of, Rows<Float> weights, Rate<Float> rate, int64_t low, int64_t high) {
        for_each_row(of, update(Sgd<Float>{weights}, rate.lr, rate), low, high);
    };
    k.adagrad = [](Of of, Rows<Float> weights, Rows<Float> sums, Rate<Float> rate, Float eps, int64_t low,
                   int64_t high) {
        for_each_row(of, update(Adagrad<Float>{weights, sums, eps}, rate.lr, rate), low, high);
    };
    k.rowwise_adagrad = [](Of of, Rows<Float> weights, Rows<Float> sums, Rate<Float> rate, Float eps, int64_t low,
                           int64_t high) {
        for_each_row(of, RowwiseAdagrad<Float>{weights, sums, eps}, rate, low, high);
    };
    k.adam = [](Of of, Rows<Float> weights, Rows<Float> moment1, Rows<Float> moment2, Rate<Float> rate,
                AdamStep<Float> now, double beta1, double beta2, Float eps, int64_t low, int64_t high) {
        for_each_row(of, update(Adam<Float>{weights, moment1, moment2, beta1, beta2, eps}, now, rate), low, high);
    };
    k.ftrl = [](Of of, Rows<Float> weights, Rows<Float> dual, Rows<Float> sums, Rate<Float> rate, Float beta, Float l1,
                Float ridge, int64_t low, int64_t high) {
        for_each_row(of, update(Ftrl<Float>{weights, dual, sums, beta, l1, ridge}, rate.lr, rate), low, high);
    };
    k.catch_up_sgd = [](Behind of, Rows<Float> weights, const Float* rates, Float l2, int64_t low, int64_t high) {
        catch_up(of, Sgd<Float>{weights}, rates, l2, low, high);
    };
    k.catch_up_adagrad = [](Behind of, Rows<Float> weights, Rows<Float> sums, Float eps, const Float* rates, Float l2,
                            int64_t low,
                            int64_t high) { catch_up(of, Adagrad<Float>{weights, sums, eps}, rates, l2, low, high); };
    k.catch_up_rowwise_adagrad = [](Behind of, Rows<Float> weights, Rows<Float> sums, Float eps, const Float* rates,
                                    Float l2, int64_t low, int64_t high) {
        catch_up(of, RowwiseAdagrad<Float>{weights, sums, eps}, rates, l2, low, high);
    };
    k.catch_up_adam = [](Behind of, Rows<Float> weights, Rows<Float> moment1, Rows<Float> moment2, double beta1,
                         double beta2, Float eps, bool decays, const AdamStep<Float>* nows, Float l2, int64_t low,
                         int64_t high) {
        catch_up(of, Adam<Float>{weights, moment1, moment2, beta1, beta2, eps, decays}, nows, l2, low, high);
    };
    k.catch_up_ftrl = [](Behind of, Rows<Float> weights, Rows<Float> dual, Rows<Float> sums, Float beta, Float l1,
                         Float ridge, const Float* rates, Float l2, int64_t low, int64_t high) {
        catch_up(of, Ftrl<Float>{weights, dual, sums, beta, l1, ridge}, rates, l2, low, high);
    };
    return k;
}

template <class Float> constexpr DenseKernels<Float> dense_kernels() {
    DenseKernels<Float> k{};
    k.fm_of_slots = [](const Table<Float>& slots, int64_t fields, const Interaction<Float>& out, int64_t low,
                       int64_t high) { embedding_fm(GivenSlots<Float>{slots, fields}, out, low, high); };
    k.interact = interact_fields<Float>;
    k.interact_backward = interact_fields_backward<Float>;
    k.pair_interaction = pair_interaction<Float>;
    k.pair_interaction_backward = pair_interaction_backward<Float>;
    k.pair_products = pair_products<Float>;
    k.pair_products_backward = pair_products_backward<Float>;
    k.bias_relu_dropout = bias_relu_dropout<Float>;
    k.dropout = dropout<Float>;
    k.relu_backward = relu_backward<Float>;
    k.column_sums = column_sums<Float>;
    k.batch_norm = batch_norm<Float>;
    k.batch_norm_sums = batch_norm_sums<Float>;
    k.batch_norm_backward = batch_norm_backward<Float>;
    return k;
}

template <class Id> constexpr KernelsBy<Id> kernels_by() {
    return {lookup_kernels<float, Id>(),    lookup_kernels<double, Id>(), lookup_kernels<Float16, Id>(),
            lookup_kernels<BFloat16, Id>(), row_kernels<float, Id>(),     row_kernels<double, Id>()};
}

constexpr Isa isa_of(const char* name) {
    return {name,
            {kernels_by<int32_t>(), kernels_by<int64_t>(), dense_kernels<float>(), dense_kernels<double>()},
            {dense_layer, add_columns, multiply_columns, inner_columns, largest_columns}};
}

} // namespace FASTFM_ISA
} // namespace fastfm
