// fastfm_core._native.Program: program.hpp for NumPy arrays. Tables are held, not copied; all other arrays are copied.
#include "../library/program.hpp"
#include "arrays.hpp"
#include <algorithm>
#include <pybind11/stl.h>
#include <stdexcept>
#include <utility>

namespace fastfm {
namespace {

using scoring::Operand;
using scoring::Pooling;
using Place = std::pair<int64_t, int64_t>; // an operand as Python writes it

Pooling pooling_of(const std::string& name) {
    static const std::pair<const char*, Pooling> known[] = {{"sum", Pooling::sum},
                                                            {"mean", Pooling::mean},
                                                            {"sqrtn", Pooling::sqrtn},
                                                            {"max", Pooling::max},
                                                            {"none", Pooling::none}};
    for (const auto& [text, pooling] : known)
        if (name == text) return pooling;
    refuse("pooling", "must be sum, mean, sqrtn, max or none");
}

class BoundProgram {
  public:
    int64_t allocate(int64_t width) { return program_.allocate(width); }

    Place constant(py::handle numbers) {
        const auto array = need<const float, 1>(numbers, "numbers");
        const Operand made = program_.constant(array.data, array.size());
        return {made.of, made.column};
    }

    void lookup(py::object table, py::object linear, std::vector<int64_t> fields, std::vector<int64_t> shifts,
                int64_t first, int64_t pair, int64_t sums, int64_t vectors) {
        const auto rows = need<const float, 2>(table, "table", Strides::any_outer);
        const auto weights = look<const float, 1>(linear, "linear", Strides::any_outer);
        if (weights) require_size("linear", weights.size(), rows.size());
        require_size("shifts", int64_t(shifts.size()), int64_t(fields.size()));
        for (const int64_t field : fields) most_field_ = std::max(most_field_, field);
        held_.push_back(std::move(table)), held_.push_back(std::move(linear));
        const Table<float> of{rows.data, rows.strides[0], rows.size(1), weights.data, weights.strides[0]};
        program_.lookup({of, rows.size(), std::move(fields), std::move(shifts), first, pair, sums, vectors});
    }

    void dense(Place x, py::handle weight, Place start, bool relu, int64_t out) {
        const auto array = need<const float, 2>(weight, "weight");
        program_.dense(use(x), array.size(), array.size(1), array.data, use(start), relu, out);
    }

    void add(const std::vector<std::pair<Place, float>>& terms, int64_t width, bool relu, int64_t out) {
        std::vector<Operand> places;
        std::vector<float> factors;
        for (const auto& [place, factor] : terms) places.push_back(use(place)), factors.push_back(factor);
        program_.add(std::move(places), std::move(factors), width, relu, out);
    }

    void pair_interaction(Place vectors, int64_t dim, py::handle pairs, py::handle weights, int64_t out) {
        const auto given = look<const float, 1>(weights, "weights");
        std::vector<float> copied(given.data, given.data + given.size());
        program_.pair_interaction(use(vectors), dim, pairs_of(pairs), std::move(copied), out);
    }

    void pair_products(Place vectors, int64_t dim, py::handle pairs, const std::string& product, int64_t out) {
        const auto kind = product == "inner"   ? Product::inner
                          : product == "outer" ? Product::outer
                                               : Product::elementwise;
        program_.pair_products(use(vectors), dim, pairs_of(pairs), kind, out);
    }

    // out [count, W]; given: matrices [count, width], or [width] for all samples
    py::array run(int64_t count, py::handle ids, int64_t fields, py::handle offsets, py::handle values,
                  const std::string& pooling, const std::vector<py::object>& given) const {
        scoring::Samples samples{};
        samples.count = count, samples.fields = fields, samples.pooling = pooling_of(pooling);
        if (!ids.is_none()) take_entries(samples, ids, offsets, values);
        else if (most_field_ >= 0) refuse("ids", "are missing");
        for (const py::object& object : given) samples.given.push_back(matrix_of(object, count));
        if (int64_t(given.size()) <= most_given_) refuse("given", "matrices are fewer than the program reads");
        py::array out = result(py::dtype::of<float>(), {count, program_.result_width()});
        auto* to = data_of<float>(out);
        const py::gil_scoped_release release;
        program_.run(samples, to);
        return out;
    }

    void multiply(Place a, Place b, int64_t width, int64_t out) { program_.multiply(use(a), use(b), width, out); }
    void inner(Place a, Place b, int64_t width, int64_t out) { program_.inner(use(a), use(b), width, out); }
    void largest(Place x, int64_t count, int64_t width, int64_t out) { program_.largest(use(x), count, width, out); }
    void bi_interaction(Place vectors, int64_t fields, int64_t dim, int64_t out) {
        program_.bi_interaction(use(vectors), fields, dim, out);
    }
    void result_of(Place from, int64_t width) { program_.result(use(from), width); }
    int64_t result_width() const { return program_.result_width(); }

  private:
    Operand use(Place place) {
        most_given_ = std::max(most_given_, place.first);
        return {place.first, place.second};
    }

    static std::vector<int32_t> pairs_of(py::handle pairs) {
        const auto array = need<const int32_t, 2>(pairs, "pairs");
        return {array.data, array.data + array.size() * array.size(1)};
    }

    void take_entries(scoring::Samples& samples, py::handle ids, py::handle offsets, py::handle values) const {
        const int64_t entries = by_id(ids, "ids", [&](auto id) {
            const auto array = need<const decltype(id), 1>(ids, "ids");
            if constexpr (sizeof(id) == 4) samples.ids32 = array.data;
            else samples.ids64 = array.data;
            return array.size();
        });
        if (samples.fields <= most_field_) refuse("fields", "are fewer than the model looks up");
        const auto offset = look<const int64_t, 1>(offsets, "offsets");
        const int64_t slots = samples.count * samples.fields;
        if (offset) {
            require_size("offsets", offset.size(), slots + 1);
            bool rising = offset.data[0] == 0 && offset.data[slots] == entries;
            for (int64_t s = 0; s < slots; ++s) rising &= offset.data[s] <= offset.data[s + 1];
            if (!rising) refuse("offsets", "must rise from 0 to the number of ids");
        } else {
            if (samples.pooling == Pooling::none) refuse("offsets", "are missing: pooling='none' has no fixed fields");
            require_size("ids", entries, slots);
        }
        const auto value = look<const float, 1>(values, "values");
        if (value) require_size("values", value.size(), entries);
        samples.offsets = offset.data, samples.values = value.data;
    }

    static Given matrix_of(py::handle object, int64_t count) {
        if (py::reinterpret_borrow<py::array>(object).ndim() == 1)
            return {need<const float, 1>(object, "given").data, 0};
        const auto matrix = need<const float, 2>(object, "given", Strides::any_outer);
        require_size("given", matrix.size(), count);
        return {matrix.data, matrix.strides[0]};
    }

    scoring::Program program_;
    std::vector<py::object> held_; // tables that are looked up where they lie
    int64_t most_field_ = -1, most_given_ = -1;
};

} // namespace

void bind_scoring(py::module_& module) {
    py::class_<BoundProgram>(module, "Program", "Instructions on the columns of a row; see csrc/library/program.hpp.")
        .def(py::init<>())
        .def("allocate", &BoundProgram::allocate)
        .def("constant", &BoundProgram::constant)
        .def("lookup", &BoundProgram::lookup)
        .def("dense", &BoundProgram::dense)
        .def("add", &BoundProgram::add)
        .def("pair_interaction", &BoundProgram::pair_interaction)
        .def("pair_products", &BoundProgram::pair_products)
        .def("multiply", &BoundProgram::multiply)
        .def("inner", &BoundProgram::inner)
        .def("largest", &BoundProgram::largest)
        .def("bi_interaction", &BoundProgram::bi_interaction)
        .def("result", &BoundProgram::result_of)
        .def_property_readonly("result_width", &BoundProgram::result_width)
        .def("run", &BoundProgram::run);
}

} // namespace fastfm
