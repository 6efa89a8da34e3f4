// Interactions of chosen pairs of field vectors.
#include "../library/isa.hpp"
#include "arrays.hpp"
#include "fastfm/pieces.hpp"
#include <cstring>
#include <vector>

namespace fastfm {
namespace {

// vectors [B, F, D], whose samples may lie any stride apart, and pairs [P, 2] of two different fields each.
template <class Float> struct Given {
    Array<const Float, 3> vectors;
    FieldPairs<Float> in;

    Given(py::handle object, py::handle pairs, py::handle weights)
        : vectors(need<const Float, 3>(object, "vectors", Strides::any_outer)) {
        const int64_t fields = vectors.size(1), dim = vectors.size(2);
        if (fields > 1 && vectors.size() && dim && vectors.strides[1] != dim)
            refuse("vectors", "must have the fields of a sample side by side");
        const auto pair = need<const int32_t, 2>(pairs, "pairs");
        if (pair.size(1) != 2) refuse("pairs", "must have 2 columns");
        for (int64_t k = 0; k < 2 * pair.size(); ++k)
            if (pair.data[k] < 0 || pair.data[k] >= fields) refuse("pairs", "hold a number that is no field's");
        const auto weight = look<const Float, 1>(weights, "weights");
        if (weight) require_size("weights", weight.size(), pair.size());
        in = {vectors.data, vectors.strides[0], fields, dim, pair.data, pair.size(), weight.data};
    }
    int64_t samples() const { return vectors.size(); }
    int64_t bytes() const { return std::max<int64_t>(1, in.count) * in.dim * int64_t(sizeof(Float)); } // of a sample
    py::array zeros() const {
        py::array out = result(py::dtype::of<Float>(), {samples(), in.fields, in.dim});
        std::memset(out.mutable_data(), 0, out.nbytes());
        return out;
    }
};

Product product_of(const std::string& name) {
    if (name == "inner") return Product::inner;
    if (name == "elementwise") return Product::elementwise;
    if (name == "outer") return Product::outer;
    refuse("product", "must be inner, elementwise or outer");
}

// [B]
py::array pair_interaction(py::handle vectors, py::handle pairs, py::handle weights) {
    return by_number(vectors, "vectors", [&](auto number) {
        using Float = decltype(number);
        const Given<Float> given(vectors, pairs, weights);
        py::array out = result(py::dtype::of<Float>(), {given.samples()});
        auto* to = data_of<Float>(out);
        const auto& kernels = dense_kernels_of<Float>(current_isa());
        const py::gil_scoped_release release;
        in_pieces(given.samples(), given.bytes(),
                  [&](int64_t low, int64_t high) { kernels.pair_interaction(given.in, to, low, high); });
        return out;
    });
}

// (de [B, F, D], dr [P] or None): the weights' gradients are sums of a line of lanes for each pair and piece, the
// pieces added in order.
py::tuple pair_interaction_backward(py::handle grad, py::handle vectors, py::handle pairs, py::handle weights) {
    return by_number(vectors, "vectors", [&](auto number) -> py::tuple {
        using Float = decltype(number);
        constexpr int64_t lanes = 64 / int64_t(sizeof(Float));
        const Given<Float> given(vectors, pairs, weights);
        const auto by_output = need<const Float, 1>(grad, "grad");
        require_size("grad", by_output.size(), given.samples());
        py::array out = given.zeros();
        auto* to = data_of<Float>(out);
        const bool weighted = given.in.weights;
        const int64_t samples = given.samples(), line = weighted ? given.in.count * lanes : 0;
        const int64_t pieces = std::min<int64_t>(16, pieces_of(samples, 3 * given.bytes()));
        std::vector<Float> sums(pieces * line);
        const auto& kernels = dense_kernels_of<Float>(current_isa());
        {
            const py::gil_scoped_release release;
            pool::run(pieces, [&](int64_t p) {
                kernels.pair_interaction_backward(given.in, by_output.data, to, weighted ? &sums[p * line] : nullptr,
                                                  cut(samples, pieces, p), cut(samples, pieces, p + 1));
            });
        }
        if (!weighted) return py::make_tuple(out, py::none());
        py::array by_weights = result(py::dtype::of<Float>(), {given.in.count});
        auto* total = data_of<Float>(by_weights);
        for (int64_t p = 0; p < given.in.count; ++p) {
            total[p] = 0;
            for (int64_t piece = 0; piece < pieces; ++piece)
                for (int64_t lane = 0; lane < lanes; ++lane) total[p] += sums[piece * line + p * lanes + lane];
        }
        return py::make_tuple(out, by_weights);
    });
}

// [B, P, W]
py::array pair_products(py::handle vectors, py::handle pairs, const std::string& name) {
    return by_number(vectors, "vectors", [&](auto number) {
        using Float = decltype(number);
        const Given<Float> given(vectors, pairs, py::none());
        const Product product = product_of(name);
        const int64_t width = given.in.width(product);
        py::array out = result(py::dtype::of<Float>(), {given.samples(), given.in.count, width});
        auto* to = data_of<Float>(out);
        const auto& kernels = dense_kernels_of<Float>(current_isa());
        const py::gil_scoped_release release;
        in_pieces(given.samples(), given.bytes() + given.in.count * width * int64_t(sizeof(Float)),
                  [&](int64_t low, int64_t high) { kernels.pair_products(given.in, product, to, low, high); });
        return out;
    });
}

// grad [B, P, W] -> [B, F, D]
py::array pair_products_backward(py::handle grad, py::handle vectors, py::handle pairs, const std::string& name) {
    return by_number(vectors, "vectors", [&](auto number) {
        using Float = decltype(number);
        const Given<Float> given(vectors, pairs, py::none());
        const Product product = product_of(name);
        const int64_t width = given.in.width(product);
        const auto by_output = need<const Float, 3>(grad, "grad");
        require_size("grad", by_output.size(), given.samples());
        require_size("grad", by_output.size(1), given.in.count);
        require_size("grad", by_output.size(2), width);
        py::array out = given.zeros();
        auto* to = data_of<Float>(out);
        const auto& kernels = dense_kernels_of<Float>(current_isa());
        const py::gil_scoped_release release;
        in_pieces(given.samples(), 3 * given.bytes() + given.in.count * width * int64_t(sizeof(Float)),
                  [&](int64_t low, int64_t high) {
                      kernels.pair_products_backward(given.in, product, by_output.data, to, low, high);
                  });
        return out;
    });
}

} // namespace

void bind_pair(py::module_& module) {
    module.def("pair_interaction", &pair_interaction);
    module.def("pair_interaction_backward", &pair_interaction_backward);
    module.def("pair_products", &pair_products);
    module.def("pair_products_backward", &pair_products_backward);
}

} // namespace fastfm
