#include "arrays.hpp"
#include <algorithm>
#include <cstdlib>
#include <new>
#include <unordered_map>
#include <vector>
#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace fastfm {
namespace {

constexpr size_t line = 64, huge_page = size_t(1) << 21;

// Sizes grow by about eighths, so that batches of nearly the same size share buffers.
size_t size_class(size_t bytes) {
    size_t step = 4096;
    while (step * 16 <= bytes) step *= 2;
    return (bytes + step - 1) / step * step + (bytes == 0 ? step : 0);
}

// Idle buffers by size, guarded by the GIL. Never destroyed: arrays may outlive the interpreter's modules.
class Shelf {
  public:
    void* take(size_t size) {
        auto& idle = idle_[size];
        if (!idle.empty()) {
            void* const buffer = idle.back();
            idle.pop_back();
            return buffer;
        }
        void* buffer = nullptr;
        if (posix_memalign(&buffer, size < huge_page ? line : huge_page, size)) throw std::bad_alloc();
#if defined(__linux__)
        if (size >= huge_page) madvise(buffer, size, MADV_HUGEPAGE);
#endif
        return buffer;
    }
    void give_back(void* buffer, size_t size) { idle_[size].push_back(buffer); }

  private:
    std::unordered_map<size_t, std::vector<void*>> idle_;
};

Shelf& shelf() {
    static Shelf* const shelf = new Shelf;
    return *shelf;
}

struct Loan {
    void* buffer;
    size_t size;
};

} // namespace

py::array result(const py::dtype& dtype, std::initializer_list<int64_t> shape, bool padded) {
    const int64_t item = dtype.itemsize();
    std::vector<int64_t> sizes(shape), strides(sizes.size(), item);
    for (size_t d = sizes.size(); d-- > 1;) strides[d - 1] = strides[d] * sizes[d];
    if (padded) strides[0] = (std::max<int64_t>(strides[0], 1) + int64_t(line) - 1) / int64_t(line) * int64_t(line);
    const size_t size = size_class(size_t(sizes.empty() ? item : strides[0] * sizes[0]));
    auto* loan = new Loan{shelf().take(size), size};
    const py::capsule owner(loan, [](void* pointer) {
        const auto* loan = static_cast<Loan*>(pointer);
        shelf().give_back(loan->buffer, loan->size);
        delete loan;
    });
    return py::array(dtype, sizes, strides, loan->buffer, owner);
}

void bind_result(py::module_& module) {
    module.def("empty",
               [](int64_t rows, int64_t columns, const py::dtype& dtype) { return result(dtype, {rows, columns}); });
}

} // namespace fastfm
