// XLA's handlers of lookups and interactions. python/fastfm_jax registers them and says what they are given.
//
// Arguments and results are C-contiguous; flags of one argument or another are attributes, whole numbers all. Ids are
// checked where the attribute `check` says so.
#include "fastfm/linkage.hpp"
#include "run.hpp"
#include "xla_bags.hpp"
#include "xla_call.hpp"

namespace fastfm::xla {
namespace {

// work(number, id) by the types of a table's numbers and of ids
template <class Work> void by_types(const Buffer& table, const Buffer& ids, Work&& work) {
    by_number(table, [&](auto number) { by_id(ids, [&](auto id) { work(number, id); }); });
}

// table [V, D], ids of any shape -> their rows
void gather(Call& call) {
    const Buffer &table = call.argument(), &ids = call.argument(), &out = call.result();
    by_types(table, ids, [&](auto number, auto id) {
        using Float = decltype(number);
        using Id = decltype(id);
        const int64_t count = elements(ids), dim = table.dims[1];
        const auto* rows = data_of<const Id>(ids);
        if (call.whole("check")) require_rows(rows, count, table.dims[0], "ids");
        const Table<Float> from{data_of<const Float>(table), dim, dim, nullptr, 0};
        const Entries<Float, Id> entries{rows, count, 1, nullptr, nullptr};
        run_pool_slots(from, entries, count, false, data_of<Float>(out));
    });
}

// table [V, D], ids, offsets and values where given -> pooled rows [M, D]
void bag(Call& call) {
    const Buffer &table = call.argument(), &ids = call.argument(), &out = call.result();
    by_types(table, ids, [&](auto number, auto id) {
        using Float = decltype(number);
        using Id = decltype(id);
        Lease memory;
        const auto bags = bags_of<Float>(call, ids, *memory);
        const int64_t dim = table.dims[1];
        const auto* rows = data_of<const Id>(ids);
        if (call.whole("check")) require_rows(rows, bags.entries, table.dims[0], "ids");
        const Table<Float> from{data_of<const Float>(table), dim, dim, nullptr, 0};
        const Entries<Float, Id> entries{rows, bags.entries, 1, bags.offsets, bags.coefficients};
        if (Mode(call.whole("mode")) == Mode::max) {
            auto* const winners = (*memory).template of<int64_t>(bags.count * dim);
            run_pool_largest(from, entries, bags.count, data_of<Float>(out), winners);
        } else {
            run_pool_slots(from, entries, bags.count, true, data_of<Float>(out));
        }
    });
}

// table [V, D], or [V, D + 1] with the first order as its lane; ids [.., F]; linear [V], values [.., F] and
// numbers [.., I] where given
// -> first [..], pair [..], sums [.., D], and deep [.., F * D + I] where asked for
void embedding_fm(Call& call) {
    const Buffer &table = call.argument(), &ids = call.argument();
    by_types(table, ids, [&](auto number, auto id) {
        using Float = decltype(number);
        using Id = decltype(id);
        const bool lane = call.whole("lane");
        const int64_t columns = table.dims[1], dim = columns - lane;
        const int64_t fields = ids.dims[ids.rank - 1], count = elements(ids), samples = count / fields;
        const auto* rows = data_of<const Id>(ids);
        if (call.whole("check")) require_rows(rows, count, table.dims[0], "ids");
        const auto* weights = data_of<const Float>(table);
        const auto* linear = call.argument_if<Float>("linear");
        const Table<Float> from{weights, columns, dim, lane ? weights + dim : linear, lane ? columns : 1};
        const Entries<Float, Id> entries{rows, count, fields, nullptr, call.argument_if<Float>("values")};
        Interaction<Float> out{};
        out.first = data_of<Float>(call.result());
        out.pair = data_of<Float>(call.result());
        out.sums = data_of<Float>(call.result());
        out.stream_sums = streams(out.sums, dim, dim, samples);
        if (call.whole("deep")) {
            const Buffer& deep = call.result();
            out.deep = data_of<Float>(deep);
            out.deep_stride = deep.dims[deep.rank - 1];
            out.extra = out.deep_stride - fields * dim;
            out.numbers = call.argument_if<Float>("numbers");
            out.stream_deep = streams(out.deep, dim, out.deep_stride, samples);
        }
        run_embedding_fm(from, entries, samples, false, out);
    });
}

// work(number, e as field vectors, how many samples) of a buffer [.., F, D]
template <class Work> void with_fields(const Buffer& e, Work&& work) {
    int64_t samples = 1;
    for (int64_t d = 0; d + 2 < e.rank; ++d) samples *= e.dims[d];
    by_number(e, [&](auto number) {
        using Float = decltype(number);
        work(number, Fields<Float>{data_of<const Float>(e), e.dims[e.rank - 2], e.dims[e.rank - 1]}, samples);
    });
}

// e [.., F, D] -> [..], or [.., D] with per_dim
void interact(Call& call) {
    const Buffer &e = call.argument(), &out = call.result();
    with_fields(e, [&](auto number, const auto& fields, int64_t samples) {
        run_interact(fields, samples, call.whole("per_dim"), data_of<decltype(number)>(out));
    });
}

// grad as interact's result, e -> the gradient by e
void interact_backward(Call& call) {
    const Buffer &grad = call.argument(), &e = call.argument(), &out = call.result();
    with_fields(e, [&](auto number, const auto& fields, int64_t samples) {
        using Float = decltype(number);
        const bool per_dim = call.whole("per_dim");
        run_interact_backward(fields, samples, per_dim, data_of<const Float>(grad), data_of<Float>(out));
    });
}

} // namespace

extern "C" {

FASTFM_API Error* fastfm_xla_gather(const Frame* frame) { return answer(frame, gather); }
FASTFM_API Error* fastfm_xla_bag(const Frame* frame) { return answer(frame, bag); }
FASTFM_API Error* fastfm_xla_embedding_fm(const Frame* frame) { return answer(frame, embedding_fm); }
FASTFM_API Error* fastfm_xla_interact(const Frame* frame) { return answer(frame, interact); }
FASTFM_API Error* fastfm_xla_interact_backward(const Frame* frame) { return answer(frame, interact_backward); }

} // extern "C"

} // namespace fastfm::xla
