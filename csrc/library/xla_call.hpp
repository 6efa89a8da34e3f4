// One call of a handler by XLA: its arguments and results one after the other, and its attributes by name.
#pragma once
#include "entries.hpp"
#include "fastfm/contract.hpp"
#include "xla_abi.hpp"
#include <cstring>
#include <stdexcept>
#include <string>
#include <type_traits>

namespace fastfm::xla {

inline int64_t elements(const Buffer& buffer) {
    int64_t count = 1;
    for (int64_t d = 0; d < buffer.rank; ++d) count *= buffer.dims[d];
    return count;
}

template <class T> T* data_of(const Buffer& buffer) { return static_cast<T*>(buffer.data); }

class Call {
  public:
    explicit Call(const Frame& frame) : frame_(frame) {}

    const Buffer& argument() { return next(frame_.arguments, arguments_); }
    const Buffer& result() { return next(frame_.results, results_); }
    int64_t results() const { return frame_.results.count; }
    // The next argument's memory where there is one more, by a flag of that name; else null.
    template <class T> const T* argument_if(const char* flag) {
        return whole(flag) ? data_of<const T>(argument()) : nullptr;
    }
    int64_t whole(const char* name) const { return value_of<int64_t>(name, type_int64); }
    double real(const char* name) const { return value_of<double>(name, type_float64); }

  private:
    static const Buffer& next(const Buffers& buffers, int64_t& at) {
        if (at >= buffers.count) throw std::logic_error("a buffer is missing");
        return *buffers.buffers[at++];
    }
    template <class T> T value_of(const char* name, Type type) const {
        const Attributes& all = frame_.attributes;
        for (int64_t k = 0; k < all.count; ++k) {
            const Text& own = *all.names[k];
            if (own.size != std::strlen(name) || std::memcmp(own.data, name, own.size)) continue;
            const auto& scalar = *static_cast<const Scalar*>(all.values[k]);
            if (all.kinds[k] != scalar_attribute || scalar.type != type) break;
            return *static_cast<const T*>(scalar.value);
        }
        throw std::logic_error("no attribute " + std::string(name) + " of its type");
    }

    const Frame& frame_;
    int64_t arguments_ = 0, results_ = 0;
};

// work(float{}) or work(double{}), by a buffer's numbers
template <class Work> void by_number(const Buffer& buffer, Work&& work) {
    if (buffer.type == type_float32) return work(float{});
    if (buffer.type == type_float64) return work(double{});
    throw std::logic_error("numbers are neither float32 nor float64");
}

// work(int32_t{}) or work(int64_t{}), by a buffer of whole numbers
template <class Work> void by_id(const Buffer& buffer, Work&& work) {
    if (buffer.type == type_int32) return work(int32_t{});
    if (buffer.type == type_int64) return work(int64_t{});
    throw std::logic_error("whole numbers are neither int32 nor int64");
}

// Answers a frame: XLA's question for metadata, or work(Call&), whose exceptions become XLA's errors.
Error* answer(const Frame* frame, void (*work)(Call&)) noexcept;

} // namespace fastfm::xla
