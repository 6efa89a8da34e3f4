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

// A large buffer is a mapping of its own, on huge pages: freed, its memory is the system's again, where the C library
// would keep the gap that it leaves between others.
#if defined(__linux__)
void* make_mapping(size_t size) {
    void* const mapping = mmap(nullptr, size + huge_page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping == MAP_FAILED) throw std::bad_alloc();
    char* const begin = static_cast<char*>(mapping);
    const size_t before = (huge_page - reinterpret_cast<uintptr_t>(begin) % huge_page) % huge_page;
    if (before > 0) munmap(begin, before);
    if (before < huge_page) munmap(begin + before + size, huge_page - before);
    madvise(begin + before, size, MADV_HUGEPAGE);
    return begin + before;
}
#endif

void* make(size_t size) {
#if defined(__linux__)
    if (size >= huge_page) return make_mapping(size);
#endif
    void* buffer = nullptr;
    if (posix_memalign(&buffer, line, size)) throw std::bad_alloc();
    return buffer;
}

void unmake(void* buffer, size_t size) {
#if defined(__linux__)
    if (size >= huge_page) {
        munmap(buffer, size);
        return;
    }
#endif
    std::free(buffer);
}

// Idle buffers by size, guarded by the GIL. Never destroyed: arrays may outlive the interpreter's modules.
// Batches of ever other sizes would leave idle buffers of every size behind. So before one is made that brings the sum,
// idle and lent, above twice the most ever lent at once, those sizes' buffers are freed that were asked for least
// lately.
class Shelf {
  public:
    void* take(size_t size) {
        auto& own = stacks_[size];
        own.asked = ++requests_;
        const size_t lent = lent_ + size, most = std::max(most_lent_, lent);
        void* buffer;
        if (own.buffers.empty()) {
            while (idle_ > 0 && idle_ + lent > 2 * most) free_oldest();
            buffer = make(size);
        } else {
            buffer = own.buffers.back();
            own.buffers.pop_back();
            idle_ -= size;
        }
        lent_ = lent, most_lent_ = most;
        return buffer;
    }
    void give_back(void* buffer, size_t size) {
        stacks_[size].buffers.push_back(buffer);
        lent_ -= size;
        idle_ += size;
    }

  private:
    struct Stack {
        std::vector<void*> buffers;
        uint64_t asked = 0; // number of the latest request for this size
    };

    void free_oldest() {
        auto oldest = stacks_.end();
        for (auto stack = stacks_.begin(); stack != stacks_.end(); ++stack)
            if (!stack->second.buffers.empty() &&
                (oldest == stacks_.end() || stack->second.asked < oldest->second.asked))
                oldest = stack;
        unmake(oldest->second.buffers.back(), oldest->first);
        oldest->second.buffers.pop_back();
        idle_ -= oldest->first;
    }

    std::unordered_map<size_t, Stack> stacks_;
    uint64_t requests_ = 0;
    size_t idle_ = 0, lent_ = 0, most_lent_ = 0; // bytes
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
