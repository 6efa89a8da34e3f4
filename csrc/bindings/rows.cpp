// Row plans, lazy row gradients and the optimizers' rules on rows.
#include "../library/isa.hpp"
#include "arrays.hpp"
#include "fastfm/planning.hpp"
#include "states.hpp"
#include <optional>
#include <vector>

namespace fastfm {
namespace {

// (rows [U], segments [U+1], order [N]) of ids [N] below table_rows, both below 2^31
template <class Id> py::tuple plan_of(py::handle object, int64_t table_rows) {
    const auto ids = need<const Id, 1>(object, "ids");
    const int64_t count = ids.size();
    if (table_rows > most_plannable || count >= most_plannable) refuse("ids", "or the table have more than 2^31 rows");
    py::array keys = result(py::dtype::of<uint64_t>(), {count}), spare = result(py::dtype::of<uint64_t>(), {count});
    py::array order = result(py::dtype::of<int32_t>(), {count});
    auto *key = data_of<uint64_t>(keys), *room = data_of<uint64_t>(spare);
    auto* places = data_of<int32_t>(order);
    std::optional<Planning<Id>> plan;
    {
        const py::gil_scoped_release release;
        plan.emplace(ids.data, count, table_rows, key, room, places);
    }
    py::array rows = result(py::dtype::of<Id>(), {plan->distinct()});
    py::array segments = result(py::dtype::of<int64_t>(), {plan->distinct() + 1});
    auto* row = data_of<Id>(rows);
    auto* segment = data_of<int64_t>(segments);
    {
        const py::gil_scoped_release release;
        plan->write(row, segment);
    }
    return py::make_tuple(rows, segments, order);
}

py::tuple plan_rows(py::handle ids, int64_t table_rows) {
    return by_id(ids, "ids", [&](auto id) { return plan_of<decltype(id)>(ids, table_rows); });
}

template <class Id> RowPlan<Id> plan_from(const py::tuple& plan) {
    const auto rows = need<const Id, 1>(plan[0], "plan.rows");
    const auto segments = need<const int64_t, 1>(plan[1], "plan.segments");
    const auto order = need<const int32_t, 1>(plan[2], "plan.order");
    require_size("plan.segments", segments.size(), rows.size() + 1);
    require_size("plan.order", order.size(), segments.data[rows.size()]);
    return {rows.data, segments.data, order.data, rows.size(), order.size()};
}

// A source's arrays in the order of contract.RowSource, checked against each other. columns: of the table's rows.
template <class Float> RowSource<Float> source_from(const py::tuple& source, int64_t columns, int64_t entries) {
    RowSource<Float> found{};
    found.fields = source[0].cast<int64_t>();
    if (found.fields < 1) refuse("source.fields", "must be at least 1");
    const auto slots = look<const int32_t, 1>(source[1], "source.entry_slots");
    const auto coefficients = look<const Float, 1>(source[2], "source.coefficients");
    const auto pair_grad = look<const Float, 1>(source[3], "source.pair_grad");
    const auto sums = look<const Float, 2>(source[4], "source.sums");
    const auto slot_values = look<const Float, 2>(source[5], "source.slot_values");
    const auto slot_grad = look<const Float, 3>(source[6], "source.slot_grad", Strides::any_outer);
    auto winners = look<const int64_t, 2>(source[7], "source.winners");
    if (!slots) winners = {}; // a single id wins its own slot
    const auto first_grad = look<const Float, 1>(source[8], "source.first_grad");
    found.dim = columns - bool(first_grad);
    if (slots) require_size("source.entry_slots", slots.size(), entries);
    if (coefficients) require_size("source.coefficients", coefficients.size(), entries);
    if (bool(pair_grad) != bool(sums)) refuse("source.sums", "and source.pair_grad belong together");
    int64_t samples = -1;
    const auto require_samples = [&](const char* name, int64_t count) {
        if (samples < 0) samples = count;
        require_size(name, count, samples);
    };
    if (first_grad) require_samples("source.first_grad", first_grad.size());
    if (pair_grad) {
        require_samples("source.pair_grad", pair_grad.size());
        require_samples("source.sums", sums.size());
        require_size("source.sums", sums.size(1), found.dim);
    }
    if (slot_grad) {
        require_samples("source.slot_grad", slot_grad.size());
        require_size("source.slot_grad", slot_grad.size(1), found.fields);
        require_size("source.slot_grad", slot_grad.size(2), found.dim);
    }
    if (samples >= 0 && !slots && entries != samples * found.fields) refuse("source", "has another number of slots");
    if (slot_values) {
        if (samples >= 0) require_size("source.slot_values", slot_values.size(), samples * found.fields);
        require_size("source.slot_values", slot_values.size(1), found.dim);
    }
    if (winners && pair_grad && !slot_values) refuse("source.slot_values", "is missing beside winners");
    if (winners) require_size("source.winners", winners.size(1), columns);
    found.entry_slots = slots.data, found.coefficients = coefficients.data;
    found.pair_grad = pair_grad.data, found.sums = sums.data, found.slot_values = slot_values.data;
    found.slot_grad = slot_grad.data, found.sample_stride = slot_grad.strides[0],
    found.field_stride = slot_grad.strides[1];
    found.winners = winners.data;
    found.first_grad = first_grad.data;
    return found;
}

// Runs work(kernels, gradients, weights) for the number type of the table and the id type of the plan.
template <class Work>
auto with_gradients(py::handle table, const py::tuple& plan, const py::tuple& source, Work&& work) {
    return by_number(table, "table", [&](auto number) {
        using Float = decltype(number);
        return by_id(plan[0], "plan.rows", [&](auto id) {
            using Id = decltype(id);
            const auto rows = need<Float, 2>(table, "table", Strides::any_outer);
            const auto planned = plan_from<Id>(plan);
            const RowGradients<Float, Id> gradients{rows.data, rows.strides[0], planned,
                                                    source_from<Float>(source, rows.size(1), planned.entries)};
            return work(row_kernels_of<Float, Id>(current_isa()), gradients, rows);
        });
    });
}

// over_rows of planning.hpp without the GIL
template <class Float, class Id, class Work> void in_rows(const RowGradients<Float, Id>& gradients, Work&& work) {
    const py::gil_scoped_release release;
    over_rows(gradients, work);
}

template <class Float> Rows<Float> weights_of(py::handle object, const Array<Float, 2>& table) {
    if (!py::reinterpret_borrow<py::array>(object).writeable()) refuse("table", "is read-only");
    return {table.data, table.strides[0]};
}

template <class Float> Rate<Float> rate_of(double lr, double l2, double grad_scale) {
    return {Float(lr), Float(l2), Float(grad_scale)};
}

py::array materialize_rows(py::handle table, const py::tuple& plan, const py::tuple& source) {
    return with_gradients(table, plan, source, [](const auto& kernels, const auto& gradients, const auto& rows) {
        using Float = std::remove_reference_t<decltype(*rows.data)>;
        py::array out = result(py::dtype::of<Float>(), {gradients.plan.count, gradients.columns()});
        auto* to = data_of<Float>(out);
        in_rows(gradients, [&](int64_t low, int64_t high) { kernels.materialize(gradients, to, low, high); });
        return out;
    });
}

double row_gradient_norm2(py::handle table, const py::tuple& plan, const py::tuple& source) {
    return with_gradients(table, plan, source, [](const auto& kernels, const auto& gradients, const auto&) {
        std::vector<double> squares(gradients.plan.count);
        in_rows(gradients,
                [&](int64_t low, int64_t high) { kernels.squared_norms(gradients, squares.data(), low, high); });
        double sum = 0;
        for (const double square : squares) sum += square;
        return sum;
    });
}

py::array value_gradient(py::handle table, py::handle ids, py::handle factors, const py::tuple& source) {
    return by_number(table, "table", [&](auto number) {
        using Float = decltype(number);
        return by_id(ids, "ids", [&](auto id) {
            using Id = decltype(id);
            const auto rows = need<const Float, 2>(table, "table", Strides::any_outer);
            const auto entries = need<const Id, 1>(ids, "ids");
            const auto factor = look<const Float, 1>(factors, "factors");
            if (factor) require_size("factors", factor.size(), entries.size());
            const RowGradients<Float, Id> gradients{
                rows.data, rows.strides[0], {}, source_from<Float>(source, rows.size(1), entries.size())};
            py::array out = result(py::dtype::of<Float>(), {entries.size()});
            auto* to = data_of<Float>(out);
            const auto& kernels = row_kernels_of<Float, Id>(current_isa());
            const py::gil_scoped_release release;
            in_pieces(entries.size(), 2 * rows.size(1) * int64_t(sizeof(Float)), [&](int64_t low, int64_t high) {
                kernels.value_gradient(gradients, entries.data, factor.data, to, low, high);
            });
            return out;
        });
    });
}

void update_rows_sgd(py::handle table, const py::tuple& plan, const py::tuple& source, double lr, double l2,
                     double grad_scale) {
    with_gradients(table, plan, source, [&](const auto& kernels, const auto& gradients, const auto& rows) {
        using Float = std::remove_reference_t<decltype(*rows.data)>;
        const auto weights = weights_of(table, rows);
        const auto rate = rate_of<Float>(lr, l2, grad_scale);
        in_rows(gradients, [&](int64_t low, int64_t high) { kernels.sgd(gradients, weights, rate, low, high); });
    });
}

void update_rows_adagrad(py::handle table, py::handle accumulator, const py::tuple& plan, const py::tuple& source,
                         double lr, double eps, double l2, double grad_scale) {
    with_gradients(table, plan, source, [&](const auto& kernels, const auto& gradients, const auto& rows) {
        using Float = std::remove_reference_t<decltype(*rows.data)>;
        const auto weights = weights_of(table, rows), sums = state_of(accumulator, "accumulator", rows);
        const auto rate = rate_of<Float>(lr, l2, grad_scale);
        in_rows(gradients, [&](int64_t low, int64_t high) {
            kernels.adagrad(gradients, weights, sums, rate, Float(eps), low, high);
        });
    });
}

void update_rows_rowwise_adagrad(py::handle table, py::handle accumulator, const py::tuple& plan,
                                 const py::tuple& source, double lr, double eps, double l2, double grad_scale) {
    with_gradients(table, plan, source, [&](const auto& kernels, const auto& gradients, const auto& rows) {
        using Float = std::remove_reference_t<decltype(*rows.data)>;
        const auto weights = weights_of(table, rows), sums = row_state_of(accumulator, "accumulator", rows);
        const auto rate = rate_of<Float>(lr, l2, grad_scale);
        in_rows(gradients, [&](int64_t low, int64_t high) {
            kernels.rowwise_adagrad(gradients, weights, sums, rate, Float(eps), low, high);
        });
    });
}

void update_rows_adam(py::handle table, py::handle moment1, py::handle moment2, const py::tuple& plan,
                      const py::tuple& source, double step_size, double correction, double kept, double beta1,
                      double beta2, double eps, double l2, double grad_scale) {
    with_gradients(table, plan, source, [&](const auto& kernels, const auto& gradients, const auto& rows) {
        using Float = std::remove_reference_t<decltype(*rows.data)>;
        const auto weights = weights_of(table, rows);
        const auto first = state_of(moment1, "moment1", rows), second = state_of(moment2, "moment2", rows);
        const auto rate = rate_of<Float>(step_size, l2, grad_scale);
        const AdamStep<Float> now{Float(step_size), Float(correction), Float(kept)};
        in_rows(gradients, [&](int64_t low, int64_t high) {
            kernels.adam(gradients, weights, first, second, rate, now, beta1, beta2, Float(eps), low, high);
        });
    });
}

void update_rows_ftrl(py::handle table, py::handle dual, py::handle accumulator, const py::tuple& plan,
                      const py::tuple& source, double lr, double beta, double l1, double ridge, double l2,
                      double grad_scale) {
    with_gradients(table, plan, source, [&](const auto& kernels, const auto& gradients, const auto& rows) {
        using Float = std::remove_reference_t<decltype(*rows.data)>;
        const auto weights = weights_of(table, rows);
        const auto duals = state_of(dual, "dual", rows), sums = state_of(accumulator, "accumulator", rows);
        const auto rate = rate_of<Float>(lr, l2, grad_scale);
        in_rows(gradients, [&](int64_t low, int64_t high) {
            kernels.ftrl(gradients, weights, duals, sums, rate, Float(beta), Float(l1), Float(ridge), low, high);
        });
    });
}

} // namespace

void bind_rows(py::module_& module) {
    module.def("plan_rows", &plan_rows);
    module.def("materialize_rows", &materialize_rows);
    module.def("row_gradient_norm2", &row_gradient_norm2);
    module.def("value_gradient", &value_gradient);
    module.def("update_rows_sgd_", &update_rows_sgd);
    module.def("update_rows_adagrad_", &update_rows_adagrad);
    module.def("update_rows_rowwise_adagrad_", &update_rows_rowwise_adagrad);
    module.def("update_rows_adam_", &update_rows_adam);
    module.def("update_rows_ftrl_", &update_rows_ftrl);
}

} // namespace fastfm
