// Dense helpers and losses.
#include "../library/run.hpp"
#include "arrays.hpp"
#include "fastfm/loss.hpp"
#include "fastfm/pieces.hpp"
#include "fastfm/random.hpp"
#include <vector>

namespace fastfm {
namespace {

// (seed, step, layer, threshold, scale), or None where nothing is dropped
Dropout key_from(const py::tuple& key) {
    return {key[0].cast<uint64_t>(), key[1].cast<uint32_t>(), key[2].cast<uint32_t>(), key[3].cast<uint32_t>(),
            key[4].cast<double>()};
}

// work(low, high) over pieces of 0 .. count - 1 elements that begin where a group of draws does
template <class Work> void over_elements(int64_t count, int64_t bytes_each, Work&& work) {
    const int64_t groups = (count + philox_draws - 1) / philox_draws;
    in_pieces(groups, philox_draws * bytes_each,
              [&](int64_t low, int64_t high) { work(low * philox_draws, std::min(high * philox_draws, count)); });
}

// Column sums: work(sums, low, high) adds rows to the sums of its piece; the pieces are added in order.
template <class Float, class Work> py::array summed(int64_t rows, int64_t columns, int64_t count, Work&& work) {
    const int64_t pieces = std::min<int64_t>(16, pieces_of(rows, columns * int64_t(sizeof(Float)))),
                  size = count * columns;
    py::array out =
        count == 1 ? result(py::dtype::of<Float>(), {columns}) : result(py::dtype::of<Float>(), {count, columns});
    auto* total = data_of<Float>(out);
    std::vector<Float> parts(pieces * size);
    const py::gil_scoped_release release;
    pool::run(pieces, [&](int64_t p) { work(&parts[p * size], cut(rows, pieces, p), cut(rows, pieces, p + 1)); });
    for (int64_t k = 0; k < size; ++k) {
        Float sum = 0;
        for (int64_t p = 0; p < pieces; ++p) sum += parts[p * size + k];
        total[k] = sum;
    }
    return out;
}

template <class Float> const Float* columns_of(py::handle object, const char* name, int64_t columns) {
    const auto found = need<const Float, 1>(object, name);
    require_size(name, found.size(), columns);
    return found.data;
}

// A second matrix of the same shape.
template <class Float>
const Float* matrix_like(py::handle object, const char* name, const Array<const Float, 2>& other) {
    const auto found = need<const Float, 2>(object, name);
    require_size(name, found.size(), other.size());
    require_size(name, found.size(1), other.size(1));
    return found.data;
}

void bias_relu_dropout(py::handle object, py::handle bias, py::object key) {
    by_number(object, "x", [&](auto number) {
        using Float = decltype(number);
        const auto x = need<Float, 2>(object, "x", Strides::contiguous, Use::write);
        const auto* added = columns_of<Float>(bias, "bias", x.size(1));
        const Dropout drop = key.is_none() ? Dropout{} : key_from(key);
        const Dropout* given = key.is_none() ? nullptr : &drop;
        const auto& kernels = dense_kernels_of<Float>(current_isa());
        const py::gil_scoped_release release;
        over_elements(x.size() * x.size(1), sizeof(Float), [&](int64_t low, int64_t high) {
            kernels.bias_relu_dropout(x.data, added, x.size(1), given, low, high);
        });
    });
}

// x [N]
py::array dropout(py::handle object, const py::tuple& key) {
    return by_number(object, "x", [&](auto number) {
        using Float = decltype(number);
        const auto x = need<const Float, 1>(object, "x");
        py::array out = result(py::dtype::of<Float>(), {x.size()});
        auto* to = data_of<Float>(out);
        const Dropout drop = key_from(key);
        const auto& kernels = dense_kernels_of<Float>(current_isa());
        const py::gil_scoped_release release;
        over_elements(x.size(), 2 * sizeof(Float),
                      [&](int64_t low, int64_t high) { kernels.dropout(x.data, to, drop, low, high); });
        return out;
    });
}

// (dx [B, H], dbias [H])
py::tuple relu_backward(py::handle object, py::handle output, double scale) {
    return by_number(object, "grad", [&](auto number) {
        using Float = decltype(number);
        const auto grad = need<const Float, 2>(object, "grad");
        const auto* made = matrix_like<Float>(output, "output", grad);
        py::array out = result(py::dtype::of<Float>(), {grad.size(), grad.size(1)});
        auto* to = data_of<Float>(out);
        const auto& kernels = dense_kernels_of<Float>(current_isa());
        py::array sums = summed<Float>(grad.size(), grad.size(1), 1, [&](Float* sums, int64_t low, int64_t high) {
            kernels.relu_backward(grad.data, made, Float(scale), grad.size(1), to, sums, low, high);
        });
        return py::make_tuple(out, sums);
    });
}

// Sums of the columns of x [B, H], or of (x - mean)^2
py::array column_sums(py::handle object, py::handle mean) {
    return by_number(object, "x", [&](auto number) {
        using Float = decltype(number);
        const auto x = need<const Float, 2>(object, "x");
        const auto* center = mean.is_none() ? nullptr : columns_of<Float>(mean, "mean", x.size(1));
        const auto& kernels = dense_kernels_of<Float>(current_isa());
        return summed<Float>(x.size(), x.size(1), 1, [&](Float* sums, int64_t low, int64_t high) {
            kernels.column_sums(x.data, center, x.size(1), sums, low, high);
        });
    });
}

py::array batch_norm(py::handle object, py::handle mean, py::handle scale, py::handle gamma, py::handle beta) {
    return by_number(object, "x", [&](auto number) {
        using Float = decltype(number);
        const auto x = need<const Float, 2>(object, "x");
        const int64_t columns = x.size(1);
        const Normal<Float> normal{columns_of<Float>(mean, "mean", columns),
                                   columns_of<Float>(scale, "scale", columns)};
        const auto *factor = columns_of<Float>(gamma, "gamma", columns),
                   *added = columns_of<Float>(beta, "beta", columns);
        py::array out = result(py::dtype::of<Float>(), {x.size(), columns});
        auto* to = data_of<Float>(out);
        const auto& kernels = dense_kernels_of<Float>(current_isa());
        const py::gil_scoped_release release;
        in_pieces(x.size(), 2 * columns * int64_t(sizeof(Float)), [&](int64_t low, int64_t high) {
            kernels.batch_norm(x.data, normal, factor, added, columns, to, low, high);
        });
        return out;
    });
}

// (dx [B, H], [2, H]: dgamma and dbeta)
py::tuple batch_norm_backward(py::handle object, py::handle input, py::handle mean, py::handle scale,
                              py::handle gamma) {
    return by_number(object, "grad", [&](auto number) {
        using Float = decltype(number);
        const auto grad = need<const Float, 2>(object, "grad");
        const auto* x = matrix_like<Float>(input, "x", grad);
        const int64_t rows = grad.size(), columns = grad.size(1);
        const Normal<Float> normal{columns_of<Float>(mean, "mean", columns),
                                   columns_of<Float>(scale, "scale", columns)};
        const auto* factor = columns_of<Float>(gamma, "gamma", columns);
        const auto& kernels = dense_kernels_of<Float>(current_isa());
        py::array sums = summed<Float>(rows, columns, 2, [&](Float* sums, int64_t low, int64_t high) {
            kernels.batch_norm_sums(grad.data, x, normal, columns, sums, low, high);
        });
        const auto* added = data_of<Float>(sums);
        py::array out = result(py::dtype::of<Float>(), {rows, columns});
        auto* to = data_of<Float>(out);
        {
            const py::gil_scoped_release release;
            in_pieces(rows, 3 * columns * int64_t(sizeof(Float)), [&](int64_t low, int64_t high) {
                kernels.batch_norm_backward(grad.data, x, normal, factor, added, Float(rows), columns, to, low, high);
            });
        }
        return py::make_tuple(out, sums);
    });
}

// mean_over of library/run.hpp without the GIL
template <class Float, class Loss>
double mean_of(int64_t count, int64_t bytes_each, const Float* weights, Loss&& loss) {
    const py::gil_scoped_release release;
    return mean_over(count, bytes_each, weights, loss);
}

// (mean loss, its gradient [B]) of one of loss.hpp's losses
template <class Loss> py::tuple mean_loss(py::handle object, py::handle labels, py::handle weights, Loss&& loss) {
    return by_number(object, "predictions", [&](auto number) {
        using Float = decltype(number);
        const auto given = need<const Float, 1>(object, "predictions");
        const auto* wanted = columns_of<Float>(labels, "labels", given.size());
        const auto* weight = weights.is_none() ? nullptr : columns_of<Float>(weights, "weights", given.size());
        py::array grad = result(py::dtype::of<Float>(), {given.size()});
        auto* to = data_of<Float>(grad);
        const double mean = mean_of(given.size(), 64, weight, [&](double mass, int64_t low, int64_t high) {
            return loss(given.data, wanted, weight, mass, to, low, high);
        });
        return py::make_tuple(mean, grad);
    });
}

// (mean loss, its gradient [B, C]) of one of loss.hpp's losses of groups
template <class Loss> py::tuple mean_group_loss(py::handle object, py::handle weights, Loss&& loss) {
    return by_number(object, "logits", [&](auto number) {
        using Float = decltype(number);
        const auto given = need<const Float, 2>(object, "logits");
        const int64_t count = given.size(), columns = given.size(1);
        if (columns < 1) refuse("logits", "has no column for the positive");
        const auto* weight = weights.is_none() ? nullptr : columns_of<Float>(weights, "weights", count);
        py::array grad = result(py::dtype::of<Float>(), {count, columns});
        auto* to = data_of<Float>(grad);
        const double mean = mean_of(count, 64 * columns, weight, [&](double mass, int64_t low, int64_t high) {
            return loss(given.data, columns, weight, mass, to, low, high);
        });
        return py::make_tuple(mean, grad);
    });
}

} // namespace

void bind_dense(py::module_& module) {
    module.def("bias_relu_dropout_", &bias_relu_dropout);
    module.def("dropout", &dropout);
    module.def("relu_backward", &relu_backward);
    module.def("column_sums", &column_sums);
    module.def("batch_norm", &batch_norm);
    module.def("batch_norm_backward", &batch_norm_backward);
    module.def("bce_with_logits", [](py::handle logits, py::handle labels, py::handle weights) {
        return mean_loss(logits, labels, weights, [](auto... arguments) { return bce_with_logits(arguments...); });
    });
    module.def("mean_squared_error", [](py::handle predictions, py::handle labels, py::handle weights) {
        return mean_loss(predictions, labels, weights, [](auto... arguments) { return squared_error(arguments...); });
    });
    module.def("softmax_cross_entropy", [](py::handle logits, py::handle weights) {
        return mean_group_loss(logits, weights, [](auto... arguments) { return softmax_cross_entropy(arguments...); });
    });
    module.def("bpr", [](py::handle logits, py::handle weights) {
        return mean_group_loss(logits, weights, [](auto... arguments) { return bpr(arguments...); });
    });
}

} // namespace fastfm
