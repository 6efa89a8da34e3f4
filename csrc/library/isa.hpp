// Which instruction set's kernels are used: the best that the CPU has, unless another is asked for.
#pragma once
#include "../isa/table.hpp"
#include "fastfm/linkage.hpp"
#include <string>
#include <vector>

namespace fastfm {

FASTFM_API std::vector<std::string> isas_of_this_cpu(); // the best one first
FASTFM_API const Isa& current_isa();
FASTFM_API void use_isa(const std::string& name); // std::invalid_argument when this CPU or this build has no such set

template <class Stored, class Id> const LookupKernels<Stored, Id>& lookup_kernels_of(const Isa& isa) {
    return std::get<LookupKernels<Stored, Id>>(std::get<KernelsBy<Id>>(isa.kernels));
}
template <class Float, class Id> const RowKernels<Float, Id>& row_kernels_of(const Isa& isa) {
    return std::get<RowKernels<Float, Id>>(std::get<KernelsBy<Id>>(isa.kernels));
}
template <class Float> const DenseKernels<Float>& dense_kernels_of(const Isa& isa) {
    return std::get<DenseKernels<Float>>(isa.kernels);
}

} // namespace fastfm
