// The states of an optimizer, checked against the table they are changed with.
#pragma once
#include "arrays.hpp"
#include "fastfm/contract.hpp"

namespace fastfm {

// A state [V, columns].
template <class Float> Rows<Float> state_of(py::handle object, const char* name, const Array<Float, 2>& table) {
    const auto state = need<Float, 2>(object, name, Strides::any_outer, Use::write);
    require_size(name, state.size(), table.size());
    require_size(name, state.size(1), table.size(1));
    return {state.data, state.strides[0]};
}

// A state [V], one number a row.
template <class Float> Rows<Float> row_state_of(py::handle object, const char* name, const Array<Float, 2>& table) {
    const auto state = need<Float, 1>(object, name, Strides::any_outer, Use::write);
    require_size(name, state.size(), table.size());
    return {state.data, state.strides[0]};
}

} // namespace fastfm
