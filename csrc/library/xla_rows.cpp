// XLA's handlers of gradients by a table's rows: written out densely, or taken by an optimizer's rule at once.
//
// Both are given where the gradient comes from (contract.hpp, RowSource), in this order, each where its flag says so:
// offsets [M + 1], values of the ids' shape, sums [B, D] and pair_grad [B], slot_grad [B, W] whose rows begin with F *
// D numbers, first_grad [B].
#include "fastfm/linkage.hpp"
#include "run.hpp"
#include "xla_bags.hpp"
#include "xla_call.hpp"
#include "xla_plan.hpp"

namespace fastfm::xla {
namespace {

// A call's plan and sources; the second, if the first order is a table of its own, is that one's.
template <class Float, class Id> struct Gradients {
    Lease memory;
    RowPlan<Id> plan;
    RowSource<Float> source{}, linear{};

    Gradients(Call& call, const Buffer& table, const Buffer& ids) {
        const auto* rows = data_of<const Id>(ids);
        const bool lane = call.whole("lane");
        int64_t count = elements(ids);
        source.fields = call.whole("fields"), source.dim = table.dims[1] - lane;
        if (call.whole("bags")) {
            const auto bags = bags_of<Float>(call, ids, *memory);
            count = bags.entries;
            source.coefficients = bags.coefficients, source.entry_slots = slots_of(bags, *memory);
            if (call.whole("check")) require_rows(rows, count, table.dims[0], "ids");
            if (Mode(call.whole("mode")) == Mode::max) source.winners = winners_of(table, rows, bags);
        } else {
            source.coefficients = call.argument_if<Float>("values");
            if (call.whole("check")) require_rows(rows, count, table.dims[0], "ids");
        }
        plan = plan_of(rows, count, table.dims[0], *memory);
        if (call.whole("pairs")) {
            source.sums = data_of<const Float>(call.argument());
            source.pair_grad = data_of<const Float>(call.argument());
        }
        if (call.whole("slots")) {
            const Buffer& grad = call.argument();
            source.slot_grad = data_of<const Float>(grad);
            source.sample_stride = grad.dims[grad.rank - 1], source.field_stride = source.dim;
        }
        linear.fields = source.fields, linear.coefficients = source.coefficients;
        if (const auto* first = call.argument_if<Float>("first")) (lane ? source : linear).first_grad = first;
    }

  private:
    const int64_t* winners_of(const Buffer& table, const Id* rows, const Bags<Float>& bags) {
        auto* const largest = (*memory).template of<Float>(bags.count * source.dim);
        auto* const winners = (*memory).template of<int64_t>(bags.count * source.dim);
        const Table<Float> from{data_of<const Float>(table), source.dim, source.dim, nullptr, 0};
        const Entries<Float, Id> entries{rows, bags.entries, 1, bags.offsets, bags.coefficients};
        run_pool_largest(from, entries, bags.count, largest, winners);
        return winners;
    }
};

// table [V, C], linear [V] where given, ids, sources -> the gradient by table, and that by linear
void table_gradient(Call& call) {
    const Buffer& table = call.argument();
    const Buffer* const linear = call.whole("linear") ? &call.argument() : nullptr;
    const Buffer& ids = call.argument();
    by_number(table, [&](auto number) {
        by_id(ids, [&](auto id) {
            using Float = decltype(number);
            using Id = decltype(id);
            const Gradients<Float, Id> of(call, table, ids);
            const auto& sgd = row_kernels_of<Float, Id>(current_isa()).sgd;
            // 0 - (-1) g is g: a step of SGD from zeros
            const auto write = [&](const Buffer& from, const RowSource<Float>& source, const Buffer& to,
                                   int64_t stride) {
                auto* const out = data_of<Float>(to);
                in_pieces(elements(to), sizeof(Float),
                          [&](int64_t low, int64_t high) { std::fill(out + low, out + high, Float(0)); });
                const RowGradients<Float, Id> gradients{data_of<const Float>(from), stride, of.plan, source};
                over_rows(gradients, [&](int64_t low, int64_t high) {
                    sgd(gradients, {out, stride}, {Float(-1), Float(0), Float(1)}, low, high);
                });
            };
            write(table, of.source, call.result(), table.dims[1]);
            if (linear) write(*linear, of.linear, call.result(), 1);
        });
    });
}

enum class Rule : int64_t { sgd, adagrad, rowwise_adagrad, adam };

// What rules are told, in double as the number types' own are rounded from.
struct Told {
    Rule rule;
    double lr, eps, beta1, beta2;
    int64_t step;
};

// An array that is changed in place. XLA has copied it where nobody gave it away.
const Buffer& in_place(Call& call, const Buffer& given) {
    const Buffer& out = call.result();
    if (out.data != given.data)
        by_number(out, [&](auto number) { std::memcpy(out.data, given.data, size_t(elements(out)) * sizeof number); });
    return out;
}

template <class Float> Rows<Float> rows_of(const Buffer& buffer) {
    return {data_of<Float>(buffer), buffer.rank > 1 ? buffer.dims[1] : 1};
}

template <class Float, class Id>
void update_rows(const RowGradients<Float, Id>& of, Rows<Float> weights, const Buffer* const* states,
                 const Told& told) {
    const auto& kernels = row_kernels_of<Float, Id>(current_isa());
    const Rate<Float> rate{Float(told.lr), Float(0), Float(1)};
    const auto eps = Float(told.eps);
    const auto run = [&](auto work) { over_rows(of, work); };
    if (told.rule == Rule::sgd)
        return run([&](int64_t low, int64_t high) { kernels.sgd(of, weights, rate, low, high); });
    const auto first = rows_of<Float>(*states[0]);
    if (told.rule == Rule::adagrad)
        return run([&](int64_t low, int64_t high) { kernels.adagrad(of, weights, first, rate, eps, low, high); });
    if (told.rule == Rule::rowwise_adagrad)
        return run(
            [&](int64_t low, int64_t high) { kernels.rowwise_adagrad(of, weights, first, rate, eps, low, high); });
    const auto second = rows_of<Float>(*states[1]);
    const auto now = adam_step<Float>(told.step, told.lr, told.beta1, told.beta2, 0.0);
    run([&](int64_t low, int64_t high) {
        kernels.adam(of, weights, first, second, {now.size, Float(0), Float(1)}, now, told.beta1, told.beta2, eps, low,
                     high);
    });
}

// The next argument, one number of either type.
double number_of(Call& call) {
    double found = 0;
    const Buffer& buffer = call.argument();
    by_number(buffer, [&](auto number) { found = *data_of<const decltype(number)>(buffer); });
    return found;
}

// table [V, C] and its states, linear [V] and its states where given, ids, lr where it is an array, Adam's step,
// sources -> table, linear and states, which are the arguments' own memory
void update(Call& call) {
    Told told{Rule(call.whole("rule")), 0, call.real("eps"), call.real("beta1"), call.real("beta2"), 0};
    const int64_t arrays = call.results(), tables = 1 + call.whole("linear"), states = arrays / tables - 1;
    if (arrays > 6) throw std::logic_error("more arrays than rules have");
    const Buffer* changed[6];
    const Buffer* given[6];
    for (int64_t k = 0; k < arrays; ++k) given[k] = &call.argument();
    const Buffer& ids = call.argument();
    told.lr = call.whole("traced") ? number_of(call) : call.real("lr");
    if (told.rule == Rule::adam) {
        const Buffer& step = call.argument();
        by_id(step, [&](auto id) { told.step = *data_of<const decltype(id)>(step); });
    }
    by_number(*given[0], [&](auto number) {
        by_id(ids, [&](auto id) {
            using Float = decltype(number);
            using Id = decltype(id);
            const Gradients<Float, Id> of(call, *given[0], ids);
            for (int64_t k = 0; k < arrays; ++k) changed[k] = &in_place(call, *given[k]);
            for (int64_t t = 0; t < tables; ++t) {
                const Buffer* const* own = changed + t * (1 + states);
                const auto weights = rows_of<Float>(**own);
                const auto& source = t == 0 ? of.source : of.linear;
                update_rows<Float, Id>({weights.data, weights.stride, of.plan, source}, weights, own + 1, told);
            }
        });
    });
}

} // namespace

extern "C" {

FASTFM_API Error* fastfm_xla_table_gradient(const Frame* frame) { return answer(frame, table_gradient); }
FASTFM_API Error* fastfm_xla_update(const Frame* frame) { return answer(frame, update); }

} // extern "C"

} // namespace fastfm::xla
