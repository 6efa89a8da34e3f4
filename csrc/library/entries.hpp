// What entries say beside their ids, and the check of these: for the C interface and XLA's handlers alike.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <type_traits>

namespace fastfm {

// std::invalid_argument names the first id that is no row of a table of so many. The sign of id | (last - id) says
// whether an id lies outside of 0 .. last, for many ids at a time.
template <class Id> void require_rows(const Id* ids, int64_t count, int64_t table_rows, const char* name) {
    using Bits = std::make_unsigned_t<Id>;
    const auto last = Bits(std::min<int64_t>(table_rows - 1, std::numeric_limits<Id>::max()));
    Bits signs = 0;
    for (int64_t i = 0; i < count; ++i) signs |= Bits(ids[i]) | (last - Bits(ids[i]));
    if (Id(signs) >= 0) return;
    for (int64_t i = 0; i < count; ++i)
        if (uint64_t(int64_t(ids[i])) >= uint64_t(table_rows))
            throw std::invalid_argument(std::string(name) + "[" + std::to_string(i) + "] is " + std::to_string(ids[i]) +
                                        ", outside the table's rows 0.." + std::to_string(table_rows - 1));
}

// c_i = x_i / n of mean pooling, or x_i / sqrt(n) where `root` says so, into out [N]; values may be null. As
// fastfm_core/backends/shared.py has it, to the bit: 1/n or its root in double, rounded, times x_i.
template <class Float>
void write_coefficients(const int64_t* offsets, int64_t slots, const Float* values, bool root, Float* out) {
    for (int64_t s = 0; s < slots; ++s) {
        const double share = 1.0 / double(std::max<int64_t>(1, offsets[s + 1] - offsets[s]));
        const auto factor = Float(root ? std::sqrt(share) : share);
        for (int64_t i = offsets[s]; i < offsets[s + 1]; ++i) out[i] = values ? values[i] * factor : factor;
    }
}

// The slot of each entry, into out [N].
inline void write_slots(const int64_t* offsets, int64_t slots, int32_t* out) {
    for (int64_t s = 0; s < slots; ++s) std::fill(out + offsets[s], out + offsets[s + 1], int32_t(s));
}

} // namespace fastfm
