// The pool and matrix products on it, for fastfm_core/threads.py and fastfm_core/backends/blas.py.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "fastfm/blas_limit.hpp"
#include "fastfm/gemm.hpp"
#include "fastfm/pool.hpp"

namespace fastfm {

namespace py = pybind11;

namespace {

gemm::Blas blas;

void set_blas(uintptr_t sgemm, uintptr_t dgemm, bool wide, const std::vector<std::pair<uintptr_t, uintptr_t>>& limits) {
    blas = {reinterpret_cast<void*>(sgemm), reinterpret_cast<void*>(dgemm), wide};
    std::vector<BlasLimit::Control> controls;
    for (const auto& [get, set] : limits)
        controls.push_back({reinterpret_cast<int (*)()>(get), reinterpret_cast<void (*)(int)>(set)});
    BlasLimit::shared().set_controls(std::move(controls));
}

// The array as BLAS takes it, if it can: one dimension contiguous, the other one's stride a whole, sufficient number.
template <class T> std::optional<gemm::Matrix<T>> as_matrix(const py::array& array) {
    constexpr auto item = static_cast<py::ssize_t>(sizeof(T));
    const py::ssize_t rows = array.shape(0), columns = array.shape(1);
    const py::ssize_t down = array.strides(0), across = array.strides(1);
    T* const data = static_cast<T*>(const_cast<void*>(array.data()));
    if ((array.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_) == 0) return std::nullopt;
    const auto fits = [](py::ssize_t stride, py::ssize_t run, py::ssize_t runs) {
        return runs <= 1 || (stride % item == 0 && stride >= run * item);
    };
    const auto length = [](py::ssize_t stride, py::ssize_t run, py::ssize_t runs) {
        return std::max<int64_t>(runs <= 1 ? run : stride / item, 1);
    };
    if ((columns <= 1 || across == item) && fits(down, columns, rows))
        return gemm::Matrix<T>{data, length(down, columns, rows), false};
    if ((rows <= 1 || down == item) && fits(across, rows, columns))
        return gemm::Matrix<T>{data, length(across, rows, columns), true};
    return std::nullopt;
}

template <class T> bool are(const py::array& left, const py::array& right, const py::array& out) {
    using Array = py::array_t<T, 0>;
    return py::isinstance<Array>(left) && py::isinstance<Array>(right) && py::isinstance<Array>(out);
}

bool fit_together(const py::array& left, const py::array& right, const py::array& out) {
    return left.ndim() == 2 && right.ndim() == 2 && out.ndim() == 2 && left.shape(1) == right.shape(0) &&
           out.shape(0) == left.shape(0) && out.shape(1) == right.shape(1) && out.writeable();
}

template <class T>
bool multiply(const py::array& left, const py::array& right, const py::array& out, const gemm::Cut& cut) {
    const auto a = as_matrix<const T>(left), b = as_matrix<const T>(right);
    const auto c = as_matrix<T>(out);
    if (!a || !b || !c || c->transposed) return false;
    const gemm::Shape shape{left.shape(0), left.shape(1), right.shape(1)};
    for (const int64_t size : {shape.rows, shape.inner, shape.columns, a->stride, b->stride, c->stride})
        if (!blas.wide && size > std::numeric_limits<int32_t>::max()) return false;
    const py::gil_scoped_release no_gil;
    const BlasLimit::Hold hold(BlasLimit::shared());
    if (cut.inner > 1) {
        const std::unique_ptr<T[]> partials(new T[static_cast<size_t>(cut.inner * shape.rows * shape.columns)]);
        gemm::by_inner(blas, shape, cut.inner, *a, *b, *c, partials.get());
    } else {
        gemm::by_rows(blas, shape, cut.rows, *a, *b, *c);
    }
    return true;
}

bool matmul(const py::array& left, const py::array& right, const py::array& out, int64_t rows, int64_t inner) {
    if (!blas.sgemm || !blas.dgemm || !fit_together(left, right, out)) return false;
    if (are<float>(left, right, out)) return multiply<float>(left, right, out, {rows, inner});
    if (are<double>(left, right, out)) return multiply<double>(left, right, out, {rows, inner});
    return false;
}

void run(int64_t pieces, const py::function& work) {
    const py::gil_scoped_release no_gil;
    pool::run(pieces, [&](int64_t piece) {
        const py::gil_scoped_acquire gil;
        work(piece);
    });
}

} // namespace

void bind_pool(py::module_& module) {
    module.def("set_threads", &pool::set_threads, py::arg("count"), "Use at most ``count`` threads (1 to 256).");
    module.def("threads", &pool::threads, "How many threads the pool may use.");
    module.def("run", &run, py::arg("pieces"), py::arg("work"),
               "Call ``work(piece)`` once for each piece in 0..pieces-1, on the pool; each call takes the GIL.");
    module.def("set_blas", &set_blas, py::arg("sgemm"), py::arg("dgemm"), py::arg("wide"), py::arg("limits"),
               "Addresses of cblas_sgemm and cblas_dgemm, whether their integers have 64 bits, and (get, set) of the "
               "thread count of each BLAS to be held to one thread.");
    module.def(
        "hold_blas", [] { BlasLimit::shared().hold(); }, "Hold BLAS to one thread until ``release_blas``; nests.");
    module.def("release_blas", [] { BlasLimit::shared().release(); }, "Undo one ``hold_blas``.");
    module.def("matmul", &matmul, py::arg("left"), py::arg("right"), py::arg("out"), py::arg("rows"), py::arg("inner"),
               "left [M, K] @ right [K, N] into out [M, N], cut over rows or the inner dimension into so many pieces. "
               "False, and nothing done, where BLAS cannot take the arrays as they lie.");
    py::module_::import("fastfm_core.threads").attr("follow")(module.attr("set_threads"));
}

} // namespace fastfm
