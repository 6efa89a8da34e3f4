// The entries of a call's bags: offsets, and, for gradients, slots and coefficients.
#pragma once
#include "xla_call.hpp"
#include "xla_plan.hpp"

namespace fastfm::xla {

enum class Mode : int64_t { sum, mean, sqrtn, max };

template <class Float> struct Bags {
    int64_t count, entries; // bags, and ids in them: what stands behind belongs to none
    const int64_t* offsets; // [count + 1]
    const Float* coefficients;
};

// ids [.., L]: bags of L; or ids [N] and offsets [M + 1] that rise from 0 to N at most. Values of the ids' shape, where
// given, are what their rows are multiplied with.
template <class Float> Bags<Float> bags_of(Call& call, const Buffer& ids, Scratch& memory) {
    const bool given = call.whole("offsets");
    const int64_t size = given ? 0 : ids.dims[ids.rank - 1];
    const Buffer* const buffer = given ? &call.argument() : nullptr;
    int64_t count = 1; // of ids without offsets, whose bags may be empty
    for (int64_t d = 0; d + 1 < ids.rank; ++d) count *= ids.dims[d];
    if (given) count = elements(*buffer) - 1;
    auto* const offsets = memory.of<int64_t>(count + 1);
    if (!given)
        for (int64_t m = 0; m <= count; ++m) offsets[m] = m * size;
    else
        by_id(*buffer, [&](auto id) {
            const auto* from = data_of<const decltype(id)>(*buffer);
            for (int64_t m = 0; m <= count; ++m) {
                offsets[m] = from[m];
                if (m == 0 ? offsets[0] != 0 : offsets[m] < offsets[m - 1])
                    throw std::invalid_argument("offsets must rise from 0; offsets[" + std::to_string(m) + "] is " +
                                                std::to_string(offsets[m]));
            }
            if (offsets[count] > elements(ids))
                throw std::invalid_argument("offsets end at " + std::to_string(offsets[count]) +
                                            ", behind the last of " + std::to_string(elements(ids)) + " ids");
        });
    const Mode mode = Mode(call.whole("mode"));
    const int64_t entries = offsets[count];
    const auto* values = call.argument_if<Float>("values");
    if (mode == Mode::sum || mode == Mode::max) return {count, entries, offsets, values};
    auto* const coefficients = memory.of<Float>(entries);
    write_coefficients(offsets, count, values, mode == Mode::sqrtn, coefficients);
    return {count, entries, offsets, coefficients};
}

template <class Float> const int32_t* slots_of(const Bags<Float>& bags, Scratch& memory) {
    auto* const slots = memory.of<int32_t>(bags.entries);
    write_slots(bags.offsets, bags.count, slots);
    return slots;
}

} // namespace fastfm::xla
