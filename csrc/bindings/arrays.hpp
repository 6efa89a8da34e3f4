// NumPy arrays on their way into kernels: checked, looked at, never copied; and arrays for results.
#pragma once
#include <array>
#include <cstdint>
#include <pybind11/numpy.h>
#include <string>

namespace fastfm {

namespace py = pybind11;

// An array of N dimensions as kernels see it; strides count elements. An absent one (None) has no data.
template <class T, int N> struct Array {
    T* data = nullptr;
    std::array<int64_t, N> shape{};
    std::array<int64_t, N> strides{};

    explicit operator bool() const { return data != nullptr; }
    int64_t size(int dimension = 0) const { return shape[dimension]; }
};

[[noreturn]] inline void refuse(const std::string& name, const std::string& why) {
    throw py::value_error(name + " " + why);
}

inline void require_size(const char* name, int64_t found, int64_t expected) {
    if (found != expected)
        refuse(name, "has " + std::to_string(found) + " elements where " + std::to_string(expected) + " belong");
}

enum class Strides { contiguous, any_outer }; // any_outer: the last dimension's elements are neighbours
enum class Use { read, write };

// The array under a name for messages; None is absent.
template <class T, int N>
Array<T, N> look(py::handle object, const char* name, Strides layout = Strides::contiguous, Use use = Use::read) {
    if (object.is_none()) return {};
    if (!py::isinstance<py::array>(object)) refuse(name, "must be an array");
    const auto array = py::reinterpret_borrow<py::array>(object);
    using Element = std::remove_const_t<T>;
    if (!py::isinstance<py::array_t<Element, 0>>(object))
        refuse(name, "has another dtype than " + std::string(py::str(py::dtype::of<Element>())));
    if (array.ndim() != N) refuse(name, "must have " + std::to_string(N) + " dimensions");
    if (use == Use::write && !array.writeable()) refuse(name, "is read-only");
    Array<T, N> found;
    found.data = static_cast<T*>(const_cast<void*>(array.data()));
    int64_t expected = 1;
    for (int d = N - 1; d >= 0; --d) {
        const int64_t size = array.shape(d), bytes = array.strides(d), stride = bytes / int64_t(sizeof(T));
        const bool pinned = layout == Strides::contiguous || (d == N - 1 && N > 1);
        if (bytes % int64_t(sizeof(T)) || (pinned && size > 1 && stride != expected && array.size() > 0))
            refuse(name,
                   layout == Strides::contiguous ? "must be C-contiguous" : "must have neighbouring last elements");
        found.shape[d] = size, found.strides[d] = stride;
        expected *= size;
    }
    if (reinterpret_cast<uintptr_t>(found.data) % alignof(T)) refuse(name, "is not aligned");
    return found;
}

// The same, and it must be there.
template <class T, int N>
Array<T, N> need(py::handle object, const char* name, Strides layout = Strides::contiguous, Use use = Use::read) {
    if (object.is_none()) refuse(name, "is missing");
    return look<T, N>(object, name, layout, use);
}

// work(float{}) or work(double{}), by the dtype of an array
template <class Work> auto by_number(py::handle array, const char* name, Work&& work) {
    if (py::isinstance<py::array_t<float, 0>>(array)) return work(float{});
    if (py::isinstance<py::array_t<double, 0>>(array)) return work(double{});
    refuse(name, "must be a float32 or float64 array");
}

// work(int32_t{}) or work(int64_t{}), by the dtype of an array of row numbers
template <class Work> auto by_id(py::handle array, const char* name, Work&& work) {
    if (py::isinstance<py::array_t<int32_t, 0>>(array)) return work(int32_t{});
    if (py::isinstance<py::array_t<int64_t, 0>>(array)) return work(int64_t{});
    refuse(name, "must be an int32 or int64 array");
}

// An uninitialised array for a result. Its memory goes back to a shelf when nobody refers to it any more, and a later
// result of about its size gets it without a page fault. The first element lies on a cache line; with `padded` each row
// of a matrix does.
py::array result(const py::dtype& dtype, std::initializer_list<int64_t> shape, bool padded = false);

template <class T> T* data_of(py::array& array) { return static_cast<T*>(array.mutable_data()); }

} // namespace fastfm
