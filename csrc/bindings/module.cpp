// fastfm_core._native: the C++ kernels for NumPy arrays. What they compute is said in fastfm_core/contract.py; the
// functions here check every array, take no copies and run on the pool with the GIL released.
#include <pybind11/pybind11.h>

namespace fastfm {

void bind_isa(pybind11::module_&);
void bind_lookup(pybind11::module_&);
void bind_rows(pybind11::module_&);
void bind_scoring(pybind11::module_&);
void bind_catch_up(pybind11::module_&);
void bind_dense(pybind11::module_&);
void bind_pair(pybind11::module_&);
void bind_pool(pybind11::module_&);
void bind_result(pybind11::module_&);
void bind_text(pybind11::module_&);

} // namespace fastfm

PYBIND11_MODULE(_native, module) {
    fastfm::bind_isa(module);
    fastfm::bind_pool(module);
    fastfm::bind_result(module);
    fastfm::bind_text(module);
    fastfm::bind_lookup(module);
    fastfm::bind_rows(module);
    fastfm::bind_scoring(module);
    fastfm::bind_catch_up(module);
    fastfm::bind_dense(module);
    fastfm::bind_pair(module);
}
