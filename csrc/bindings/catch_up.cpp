// Rows brought to the present, see fastfm_core/contract.py, catch_up_rows_*.
#include "../library/isa.hpp"
#include "arrays.hpp"
#include "fastfm/pieces.hpp"
#include "states.hpp"
#include <vector>

namespace fastfm {
namespace {

template <class Float> Rows<Float> rows_of(const Array<Float, 2>& array) { return {array.data, array.strides[0]}; }

// The rates of the latest steps as the kernels' numbers.
template <class Float> std::vector<Float> rates_of(py::handle rates) {
    const auto given = need<const double, 1>(rates, "rates");
    return {given.data, given.data + given.size()};
}

// Calls work(kernels, missed, weights, run) for the number type of the table and the id type of rows (None: every row);
// it hands run a function of low and high. Nothing is called where there are no rows.
template <class Work>
void with_missed(py::handle table, py::handle last, py::handle rows, int64_t step, py::handle rates, Work&& work) {
    const int64_t known = need<const double, 1>(rates, "rates").size();
    by_number(table, "table", [&](auto number) {
        using Float = decltype(number);
        const auto weights = need<Float, 2>(table, "table", Strides::any_outer, Use::write);
        const auto current = need<int32_t, 1>(last, "last", Strides::contiguous, Use::write);
        require_size("last", current.size(), weights.size());
        const auto of_type = [&](auto id) {
            using Id = decltype(id);
            const auto chosen = look<const Id, 1>(rows, "rows");
            const int64_t count = rows.is_none() ? weights.size() : chosen.size();
            if (count == 0) return;
            const Missed<Id> missed{chosen.data, count, current.data, step, known, weights.size(1)};
            const int64_t bytes = weights.size(1) * int64_t(sizeof(Float)) * std::min<int64_t>(known + 1, 16);
            work(row_kernels_of<Float, Id>(current_isa()), missed, weights, [&](auto&& kernel) {
                const py::gil_scoped_release release;
                in_pieces(count, bytes, kernel);
            });
        };
        if (rows.is_none()) of_type(int32_t{});
        else by_id(rows, "rows", of_type);
    });
}

void catch_up_rows_sgd(py::handle table, py::handle last, py::handle rows, int64_t step, py::handle rates, double l2) {
    with_missed(table, last, rows, step, rates, [&](auto& kernels, auto& missed, auto& weights, auto&& run) {
        using Float = std::remove_reference_t<decltype(*weights.data)>;
        const auto lr = rates_of<Float>(rates);
        run([&](int64_t low, int64_t high) {
            kernels.catch_up_sgd(missed, rows_of(weights), lr.data(), Float(l2), low, high);
        });
    });
}

void catch_up_rows_adagrad(py::handle table, py::handle accumulator, py::handle last, py::handle rows, int64_t step,
                           py::handle rates, double eps, double l2) {
    with_missed(table, last, rows, step, rates, [&](auto& kernels, auto& missed, auto& weights, auto&& run) {
        using Float = std::remove_reference_t<decltype(*weights.data)>;
        const auto lr = rates_of<Float>(rates);
        const auto sums = state_of(accumulator, "accumulator", weights);
        run([&](int64_t low, int64_t high) {
            kernels.catch_up_adagrad(missed, rows_of(weights), sums, Float(eps), lr.data(), Float(l2), low, high);
        });
    });
}

void catch_up_rows_rowwise_adagrad(py::handle table, py::handle accumulator, py::handle last, py::handle rows,
                                   int64_t step, py::handle rates, double eps, double l2) {
    with_missed(table, last, rows, step, rates, [&](auto& kernels, auto& missed, auto& weights, auto&& run) {
        using Float = std::remove_reference_t<decltype(*weights.data)>;
        const auto lr = rates_of<Float>(rates);
        const auto sums = row_state_of(accumulator, "accumulator", weights);
        run([&](int64_t low, int64_t high) {
            kernels.catch_up_rowwise_adagrad(missed, rows_of(weights), sums, Float(eps), lr.data(), Float(l2), low,
                                             high);
        });
    });
}

void catch_up_rows_adam(py::handle table, py::handle moment1, py::handle moment2, py::handle last, py::handle rows,
                        int64_t step, py::handle sizes, py::handle corrections, py::handle kept, double beta1,
                        double beta2, double eps, bool decays, double l2) {
    with_missed(table, last, rows, step, sizes, [&](auto& kernels, auto& missed, auto& weights, auto&& run) {
        using Float = std::remove_reference_t<decltype(*weights.data)>;
        const auto size = need<const double, 1>(sizes, "sizes"), share = need<const double, 1>(kept, "kept"),
                   correction = need<const double, 1>(corrections, "corrections");
        require_size("corrections", correction.size(), size.size());
        require_size("kept", share.size(), size.size());
        std::vector<AdamStep<Float>> nows(size.size());
        for (int64_t k = 0; k < size.size(); ++k)
            nows[k] = {Float(size.data[k]), Float(correction.data[k]), Float(share.data[k])};
        const auto first = state_of(moment1, "moment1", weights), second = state_of(moment2, "moment2", weights);
        run([&](int64_t low, int64_t high) {
            kernels.catch_up_adam(missed, rows_of(weights), first, second, beta1, beta2, Float(eps), decays,
                                  nows.data(), Float(l2), low, high);
        });
    });
}

void catch_up_rows_ftrl(py::handle table, py::handle dual, py::handle accumulator, py::handle last, py::handle rows,
                        int64_t step, py::handle rates, double beta, double l1, double ridge, double l2) {
    with_missed(table, last, rows, step, rates, [&](auto& kernels, auto& missed, auto& weights, auto&& run) {
        using Float = std::remove_reference_t<decltype(*weights.data)>;
        const auto lr = rates_of<Float>(rates);
        const auto duals = state_of(dual, "dual", weights), sums = state_of(accumulator, "accumulator", weights);
        run([&](int64_t low, int64_t high) {
            kernels.catch_up_ftrl(missed, rows_of(weights), duals, sums, Float(beta), Float(l1), Float(ridge),
                                  lr.data(), Float(l2), low, high);
        });
    });
}

} // namespace

void bind_catch_up(py::module_& module) {
    module.def("catch_up_rows_sgd_", &catch_up_rows_sgd);
    module.def("catch_up_rows_adagrad_", &catch_up_rows_adagrad);
    module.def("catch_up_rows_rowwise_adagrad_", &catch_up_rows_rowwise_adagrad);
    module.def("catch_up_rows_adam_", &catch_up_rows_adam);
    module.def("catch_up_rows_ftrl_", &catch_up_rows_ftrl);
}

} // namespace fastfm
