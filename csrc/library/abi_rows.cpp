// fastfm.h: row plans, lazy row gradients, the optimizers' rules on rows, and steps that rows have missed.
#include "abi.hpp"
#include "fastfm/planning.hpp"
#include "run.hpp"
#include <memory>
#include <vector>

using namespace fastfm;
using abi::guarded;
using abi::need;
using abi::refuse;
using abi::require_size;

namespace {

template <class Id> RowPlan<Id> plan_of(const fastfm_plan& given, int64_t table_rows) {
    const auto* rows = need(static_cast<const Id*>(given.rows), given.count, "plan.rows");
    need(given.segments, 1, "plan.segments"), need(given.order, given.entries, "plan.order");
    if (given.segments[0] != 0) refuse("plan.segments[0] is not 0");
    require_size("plan.segments[count]", given.segments[given.count], given.entries);
    if (!given.unchecked && given.count > 0) require_rows(rows, given.count, table_rows, "plan.rows");
    return {rows, given.segments, given.order, given.count, given.entries};
}

void require_plan(const fastfm_plan* given) {
    if (!given) refuse("plan is NULL");
    abi::require_count("plan.count", given->count), abi::require_count("plan.entries", given->entries);
}

RowSource<float> source_of(const fastfm_source* given, int64_t columns, int64_t entries) {
    if (!given) refuse("source is NULL");
    const int64_t fields = given->fields, samples = given->samples;
    if (fields < 1) refuse("source.fields is " + std::to_string(fields) + ", it must be at least 1");
    abi::require_count("source.samples", samples);
    if (given->first_grad && columns < 1)
        refuse("with source.first_grad the table's last column is the first-order weight; it has none");
    const int64_t dim = columns - (given->first_grad != nullptr);
    if (!given->entry_slots) require_size("source.samples * fields", samples * fields, entries);
    if (bool(given->pair_grad) != bool(given->sums) && samples > 0 && dim > 0)
        refuse("source.sums and source.pair_grad belong together");
    const int64_t* winners = given->entry_slots ? given->winners : nullptr; // a single id wins its own slot
    if (winners && given->pair_grad && !given->slot_values) refuse("source.slot_values is NULL beside winners");
    return {fields,
            dim,
            given->entry_slots,
            given->coefficients,
            given->pair_grad,
            given->sums,
            given->slot_values,
            given->slot_grad,
            given->sample_stride,
            given->field_stride,
            winners,
            given->first_grad};
}

// work(kernels, gradients, the table) for the id type of the plan
template <class Work>
int with_gradients(const fastfm_matrix* table, const fastfm_plan* plan, const fastfm_source* source, Work&& work) {
    return guarded([&] {
        const auto rows = abi::matrix_of(table, "table");
        require_plan(plan);
        abi::by_id(plan->id_bits, "plan.id_bits", [&](auto id) {
            using Id = decltype(id);
            const RowGradients<float, Id> gradients{rows.data, rows.stride, plan_of<Id>(*plan, rows.rows),
                                                    source_of(source, rows.columns, plan->entries)};
            work(row_kernels_of<float, Id>(current_isa()), gradients, rows);
        });
    });
}

Rate<float> rate_of(double lr, double l2, double grad_scale) { return {float(lr), float(l2), float(grad_scale)}; }

void require_step(int64_t step) {
    if (step < 1) refuse("step is " + std::to_string(step) + ", steps are counted from 1");
}

// Refuses rows that do not rise, or that have missed more steps than are known.
template <class Id> void require_missed(const Missed<Id>& missed, bool unchecked) {
    for (int64_t u = 0; u < missed.count; ++u) {
        if (missed.rows && !unchecked && u > 0 && missed.rows[u] <= missed.rows[u - 1])
            refuse("plan.rows[" + std::to_string(u) + "] does not rise; rows must be distinct and ascending");
        const int64_t row = missed.rows ? int64_t(missed.rows[u]) : u, steps = missed.step - missed.last[row];
        if (steps < 0 || steps > missed.known)
            refuse("row " + std::to_string(row) + " has missed " + std::to_string(steps) + " steps, rates has " +
                   std::to_string(missed.known) + " of them");
    }
}

} // namespace

int fastfm_plan_rows(const fastfm_entries* entries, int64_t table_rows, fastfm_plan* plan) {
    return guarded([&] {
        if (!entries) refuse("entries is NULL");
        if (!plan) refuse("plan is NULL");
        const int64_t count = entries->count;
        abi::require_count("entries.count", count), abi::require_count("table_rows", table_rows);
        if (table_rows > most_plannable || count >= most_plannable) refuse("the ids or the table are more than 2^31");
        abi::require_ids(*entries, table_rows);
        abi::by_id(entries->id_bits, "entries.id_bits", [&](auto id) {
            using Id = decltype(id);
            auto* rows = need(static_cast<Id*>(plan->rows), count, "plan.rows");
            need(plan->segments, 1, "plan.segments"), need(plan->order, count, "plan.order");
            const std::unique_ptr<uint64_t[]> keys(new uint64_t[size_t(2 * count)]);
            const auto* ids = static_cast<const Id*>(entries->ids);
            const Planning<Id> made(ids, count, table_rows, keys.get(), keys.get() + count, plan->order);
            made.write(rows, plan->segments);
            plan->count = made.distinct(), plan->entries = count, plan->id_bits = entries->id_bits;
        });
    });
}

int fastfm_materialize_rows(const fastfm_matrix* table, const fastfm_plan* plan, const fastfm_source* source,
                            float* out) {
    return with_gradients(table, plan, source, [&](const auto& kernels, const auto& gradients, const auto& rows) {
        need(out, plan->count * rows.columns, "out");
        over_rows(gradients, [&](int64_t low, int64_t high) { kernels.materialize(gradients, out, low, high); });
    });
}

int fastfm_row_gradient_norm2(const fastfm_matrix* table, const fastfm_plan* plan, const fastfm_source* source,
                              double* out) {
    return with_gradients(table, plan, source, [&](const auto& kernels, const auto& gradients, const auto&) {
        need(out, 1, "out");
        std::vector<double> squares(size_t(plan->count));
        over_rows(gradients,
                  [&](int64_t low, int64_t high) { kernels.squared_norms(gradients, squares.data(), low, high); });
        *out = 0;
        for (const double square : squares) *out += square;
    });
}

int fastfm_update_rows_sgd_(const fastfm_matrix* table, const fastfm_plan* plan, const fastfm_source* source, double lr,
                            double l2, double grad_scale) {
    return with_gradients(table, plan, source, [&](const auto& kernels, const auto& gradients, const auto& rows) {
        const auto rate = rate_of(lr, l2, grad_scale);
        over_rows(gradients,
                  [&](int64_t low, int64_t high) { kernels.sgd(gradients, abi::weights_of(rows), rate, low, high); });
    });
}

int fastfm_update_rows_adagrad_(const fastfm_matrix* table, const fastfm_matrix* accumulator, const fastfm_plan* plan,
                                const fastfm_source* source, double lr, double eps, double l2, double grad_scale) {
    return with_gradients(table, plan, source, [&](const auto& kernels, const auto& gradients, const auto& rows) {
        const auto sums = abi::state_of(accumulator, "accumulator", rows, rows.columns);
        const auto rate = rate_of(lr, l2, grad_scale);
        over_rows(gradients, [&](int64_t low, int64_t high) {
            kernels.adagrad(gradients, abi::weights_of(rows), sums, rate, float(eps), low, high);
        });
    });
}

int fastfm_update_rows_rowwise_adagrad_(const fastfm_matrix* table, const fastfm_matrix* accumulator,
                                        const fastfm_plan* plan, const fastfm_source* source, double lr, double eps,
                                        double l2, double grad_scale) {
    return with_gradients(table, plan, source, [&](const auto& kernels, const auto& gradients, const auto& rows) {
        const auto sums = abi::state_of(accumulator, "accumulator", rows, 1);
        const auto rate = rate_of(lr, l2, grad_scale);
        over_rows(gradients, [&](int64_t low, int64_t high) {
            kernels.rowwise_adagrad(gradients, abi::weights_of(rows), sums, rate, float(eps), low, high);
        });
    });
}

int fastfm_update_rows_adam_(const fastfm_matrix* table, const fastfm_matrix* moment1, const fastfm_matrix* moment2,
                             const fastfm_plan* plan, const fastfm_source* source, int64_t step, double lr,
                             double beta1, double beta2, double eps, double weight_decay, double l2,
                             double grad_scale) {
    return with_gradients(table, plan, source, [&](const auto& kernels, const auto& gradients, const auto& rows) {
        require_step(step);
        const auto first = abi::state_of(moment1, "moment1", rows, rows.columns);
        const auto second = abi::state_of(moment2, "moment2", rows, rows.columns);
        const auto now = adam_step<float>(step, lr, beta1, beta2, weight_decay);
        const Rate<float> rate{now.size, float(l2), float(grad_scale)};
        over_rows(gradients, [&](int64_t low, int64_t high) {
            kernels.adam(gradients, abi::weights_of(rows), first, second, rate, now, beta1, beta2, float(eps), low,
                         high);
        });
    });
}

int fastfm_update_rows_ftrl_(const fastfm_matrix* table, const fastfm_matrix* dual, const fastfm_matrix* accumulator,
                             const fastfm_plan* plan, const fastfm_source* source, double lr, double beta, double l1,
                             double ridge, double l2, double grad_scale) {
    return with_gradients(table, plan, source, [&](const auto& kernels, const auto& gradients, const auto& rows) {
        const auto duals = abi::state_of(dual, "dual", rows, rows.columns);
        const auto sums = abi::state_of(accumulator, "accumulator", rows, rows.columns);
        const auto rate = rate_of(lr, l2, grad_scale);
        over_rows(gradients, [&](int64_t low, int64_t high) {
            kernels.ftrl(gradients, abi::weights_of(rows), duals, sums, rate, float(beta), float(l1), float(ridge), low,
                         high);
        });
    });
}

int fastfm_catch_up_rows_adam_(const fastfm_matrix* table, const fastfm_matrix* moment1, const fastfm_matrix* moment2,
                               int32_t* last, const fastfm_plan* plan, int64_t step, const double* rates, int64_t known,
                               double beta1, double beta2, double eps, double weight_decay, double l2) {
    return guarded([&] {
        const auto weights = abi::matrix_of(table, "table");
        const auto first = abi::state_of(moment1, "moment1", weights, weights.columns);
        const auto second = abi::state_of(moment2, "moment2", weights, weights.columns);
        need(last, weights.rows, "last"), abi::require_count("known", known), need(rates, known, "rates");
        if (plan) require_plan(plan);
        std::vector<AdamStep<float>> nows(size_t(known), AdamStep<float>{});
        for (int64_t k = 0; k < known; ++k)
            nows[size_t(k)] = adam_step<float>(step - known + 1 + k, rates[k], beta1, beta2, weight_decay);
        abi::by_id(plan ? plan->id_bits : 32, "plan.id_bits", [&](auto id) {
            using Id = decltype(id);
            const auto* rows = plan ? static_cast<const Id*>(plan->rows) : nullptr;
            const int64_t count = plan ? plan->count : weights.rows;
            if (count == 0) return;
            if (plan) need(rows, count, "plan.rows");
            if (plan && !plan->unchecked) require_rows(rows, count, weights.rows, "plan.rows");
            const Missed<Id> missed{rows, count, last, step, known, weights.columns};
            require_missed(missed, plan && plan->unchecked);
            const auto& kernels = row_kernels_of<float, Id>(current_isa());
            const int64_t bytes = weights.columns * int64_t(sizeof(float)) * std::min<int64_t>(known + 1, 16);
            in_pieces(count, bytes, [&](int64_t low, int64_t high) {
                kernels.catch_up_adam(missed, abi::weights_of(weights), first, second, beta1, beta2, float(eps),
                                      weight_decay != 0, nows.data(), float(l2), low, high);
            });
        });
    });
}
