// Lookups and interactions of given field vectors.
#include "../library/run.hpp"
#include "arrays.hpp"

namespace fastfm {
namespace {

// Numbers of 16 bits come as uint16.
template <class Stored> Table<Stored> table_of(py::handle object, py::handle linear) {
    using Element = std::conditional_t<sizeof(Stored) == 2, const uint16_t, const Stored>;
    const auto rows = need<Element, 2>(object, "table", Strides::any_outer);
    const auto weights = look<Element, 1>(linear, "linear", Strides::any_outer);
    if (weights) require_size("linear", weights.size(), rows.size());
    const auto stored = [](Element* data) { return reinterpret_cast<const Stored*>(data); };
    return {stored(rows.data), rows.strides[0], rows.size(1), stored(weights.data), weights.strides[0]};
}

// work(Stored{}) by the name of a format of 16 bits, or, where there is none, by the dtype of the table
template <class Work> auto by_stored(py::handle table, const std::string& half, Work&& work) {
    if (half == "float16") return work(Float16{});
    if (half == "bfloat16") return work(BFloat16{});
    if (!half.empty()) refuse("half", "must be float16 or bfloat16");
    return by_number(table, "table", work);
}

// The entries of a batch and how many slots they have. `terms`: nothing is pooled, offsets are samples'.
template <class Float, class Id> struct Batch {
    Entries<Float, Id> entries;
    int64_t slots, samples;
    bool pooled;
};

template <class Float, class Id>
Batch<Float, Id> batch_of(py::handle ids, py::handle offsets, py::handle coefficients, int64_t fields, bool terms) {
    const auto id = need<const Id, 1>(ids, "ids");
    const auto offset = look<const int64_t, 1>(offsets, "offsets");
    const auto coefficient = look<const Float, 1>(coefficients, "coefficients");
    if (coefficient) require_size("coefficients", coefficient.size(), id.size());
    if (fields < 1) refuse("fields", "must be at least 1");
    if (offset) {
        if (offset.size() < 1) refuse("offsets", "is empty");
        if (offset.data[0] != 0 || offset.data[offset.size() - 1] != id.size())
            refuse("offsets", "must rise from 0 to the number of ids");
    }
    const int64_t slots = offset ? offset.size() - 1 : id.size();
    if (slots % fields) refuse("ids", "are no whole number of samples");
    return {{id.data, id.size(), fields, offset.data, coefficient.data}, slots, slots / fields, offset && !terms};
}

// out [M, D]: pooled slots, or rows by id where there are no offsets; half: see by_stored
py::array pool_slots(py::handle table, const std::string& half, py::handle ids, py::handle offsets,
                     py::handle coefficients) {
    return by_stored(table, half, [&](auto number) {
        using Stored = decltype(number);
        using Float = Widened<Stored>;
        return by_id(ids, "ids", [&](auto id) {
            const auto from = table_of<Stored>(table, py::none());
            const auto batch = batch_of<Float, decltype(id)>(ids, offsets, coefficients, 1, false);
            py::array out = result(py::dtype::of<Float>(), {batch.slots, from.dim});
            auto* to = data_of<Float>(out);
            const py::gil_scoped_release release;
            run_pool_slots(from, batch.entries, batch.slots, batch.pooled, to);
            return out;
        });
    });
}

// (out [M, D], winners [M, D]) under max pooling
py::tuple pool_largest(py::handle table, py::handle ids, py::handle offsets, py::handle values) {
    return by_number(table, "table", [&](auto number) {
        using Float = decltype(number);
        return by_id(ids, "ids", [&](auto id) {
            const auto from = table_of<Float>(table, py::none());
            const auto batch = batch_of<Float, decltype(id)>(ids, offsets, values, 1, false);
            py::array out = result(py::dtype::of<Float>(), {batch.slots, from.dim});
            py::array winners = result(py::dtype::of<int64_t>(), {batch.slots, from.dim});
            auto* to = data_of<Float>(out);
            auto* won = data_of<int64_t>(winners);
            {
                const py::gil_scoped_release release;
                run_pool_largest(from, batch.entries, batch.slots, to, won);
            }
            return py::make_tuple(out, winners);
        });
    });
}

// Outputs of embedding_fm, and their arrays.
template <class Float> struct Outputs {
    py::array first, pair, sums;
    py::object deep;
    Interaction<Float> pointers;

    Outputs(int64_t samples, int64_t fields, int64_t dim, bool wanted, const Array<const Float, 2>& numbers)
        : first(result(py::dtype::of<Float>(), {samples})), pair(result(py::dtype::of<Float>(), {samples})),
          sums(result(py::dtype::of<Float>(), {samples, dim})), deep(py::none()), pointers{} {
        if (numbers) require_size("dense", numbers.size(), samples);
        pointers.stream_sums = streams(data_of<Float>(sums), dim, dim, samples);
        if (wanted) {
            py::array wide = result(py::dtype::of<Float>(), {samples, fields * dim + numbers.size(1)}, true);
            pointers.deep = data_of<Float>(wide);
            pointers.deep_stride = wide.strides(0) / int64_t(sizeof(Float));
            pointers.numbers = numbers.data;
            pointers.extra = numbers.size(1);
            pointers.stream_deep = streams(pointers.deep, dim, pointers.deep_stride, samples);
            deep = std::move(wide);
        }
        pointers.first = data_of<Float>(first);
        pointers.pair = data_of<Float>(pair);
        pointers.sums = data_of<Float>(sums);
    }
    py::tuple tuple() const { return py::make_tuple(first, pair, sums, deep); }
};

// (first [B], pair [B], sums [B, D], deep [B, F*D + I] or None); `terms`: pooling "none"; half: see by_stored
py::tuple embedding_fm(py::handle table, py::handle linear, const std::string& half, py::handle ids, py::handle offsets,
                       py::handle coefficients, int64_t fields, bool terms, py::handle dense, bool deep) {
    return by_stored(table, half, [&](auto number) {
        using Stored = decltype(number);
        using Float = Widened<Stored>;
        return by_id(ids, "ids", [&](auto id) {
            const auto from = table_of<Stored>(table, linear);
            const auto batch = batch_of<Float, decltype(id)>(ids, offsets, coefficients, fields, terms);
            if (deep && terms) refuse("deep", "needs slots, and these entries are pooled into none");
            const Outputs<Float> out(batch.samples, fields, from.dim, deep, look<const Float, 2>(dense, "dense"));
            {
                const py::gil_scoped_release release;
                run_embedding_fm(from, batch.entries, batch.samples, batch.pooled, out.pointers);
            }
            return out.tuple();
        });
    });
}

// The same over slot vectors [M, D] that were pooled before; first is 0.
py::tuple fm_of_slots(py::handle slots, int64_t fields, py::handle dense, bool deep) {
    return by_number(slots, "slots", [&](auto number) {
        using Float = decltype(number);
        const auto from = table_of<Float>(slots, py::none());
        const int64_t count = need<const Float, 2>(slots, "slots").size();
        if (fields < 1 || count % fields) refuse("slots", "are no whole number of samples");
        const Outputs<Float> out(count / fields, fields, from.dim, deep, look<const Float, 2>(dense, "dense"));
        {
            const py::gil_scoped_release release;
            run_fm_of_slots(from, fields, count / fields, out.pointers);
        }
        return out.tuple();
    });
}

// [B], or [B, D] if per_dim
py::array interact(py::handle fields, bool per_dim) {
    return by_number(fields, "fields", [&](auto number) {
        using Float = decltype(number);
        const auto e = need<const Float, 3>(fields, "fields");
        const auto dtype = py::dtype::of<Float>();
        py::array out = per_dim ? result(dtype, {e.size(), e.size(2)}) : result(dtype, {e.size()});
        auto* to = data_of<Float>(out);
        const py::gil_scoped_release release;
        run_interact(Fields<Float>{e.data, e.size(1), e.size(2)}, e.size(), per_dim, to);
        return out;
    });
}

// grad [B], or [B, D] if per_dim -> [B, F, D]
py::array interact_backward(py::handle grad, py::handle fields, bool per_dim) {
    return by_number(fields, "fields", [&](auto number) {
        using Float = decltype(number);
        const auto e = need<const Float, 3>(fields, "fields");
        const Float* weights;
        if (per_dim) {
            const auto given = need<const Float, 2>(grad, "grad");
            require_size("grad", given.size() * given.size(1), e.size() * e.size(2));
            weights = given.data;
        } else {
            const auto given = need<const Float, 1>(grad, "grad");
            require_size("grad", given.size(), e.size());
            weights = given.data;
        }
        py::array out = result(py::dtype::of<Float>(), {e.size(), e.size(1), e.size(2)});
        auto* to = data_of<Float>(out);
        const py::gil_scoped_release release;
        run_interact_backward(Fields<Float>{e.data, e.size(1), e.size(2)}, e.size(), per_dim, weights, to);
        return out;
    });
}

} // namespace

void bind_lookup(py::module_& module) {
    module.def("pool_slots", &pool_slots);
    module.def("pool_largest", &pool_largest);
    module.def("embedding_fm", &embedding_fm);
    module.def("fm_of_slots", &fm_of_slots);
    module.def("interact", &interact);
    module.def("interact_backward", &interact_backward);
}

} // namespace fastfm
