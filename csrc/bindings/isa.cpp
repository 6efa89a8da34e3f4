// The choice of an instruction set, for fastfm_core/backends/native.py.
#include "../library/isa.hpp"
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

namespace fastfm {

void bind_isa(pybind11::module_& module) {
    module.def("isas", &isas_of_this_cpu, "Instruction sets with kernels that this CPU can run, the best first.");
    module.def("isa", [] { return std::string(current_isa().name); }, "The one whose kernels are used.");
    module.def("use_isa", &use_isa, "Use another one's kernels from now on.");
}

} // namespace fastfm
