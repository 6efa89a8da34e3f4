"""How a kernel's outputs are held against the ground truth.

For a float output, with e the error against the ground truth and e_ref the reference backend's on the same input:
|e|_inf <= 2 |e_ref|_inf + 4 eps max sum|terms|. The reference itself, which adds naively, is held to
16 eps max sum|terms|: n terms added in a row err by at most n/2 eps of that sum, and typically by sqrt(n)/2 eps.
Integer outputs and None are exact. Each kernel runs twice on equal inputs: the outputs have the same bits, and the
inputs it may not change are unchanged.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from fastfm_core.backends import reference

from .inputs import spread
from .op_case import OpCase
from .truth import WIDE, Expected, wide


def same(left: Any, right: Any) -> bool:
    """Bit equality of two trees of arrays, numbers and None."""
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, np.ndarray):
        return left.dtype == right.dtype and left.shape == right.shape and left.tobytes() == right.tobytes()
    return left == right


def run_twice(backend: ModuleType, case: OpCase, dtype: Any, ids_dtype: Any, scattered: bool = False) -> dict[str, Any]:
    """The kernel's outputs; fails where a second run differs in a bit or an input was changed."""

    def make() -> dict[str, Any]:
        inputs = case.inputs(dtype, ids_dtype)
        return spread(inputs) if scattered else inputs

    used, untouched = make(), make()
    outputs = case.call(backend, used)
    assert same(case.call(backend, make()), outputs), "a second run differs"
    for name, value in used.items():
        assert name in case.outputs or same(value, untouched[name]), f"{name} was changed"
    return outputs


def check(backend: ModuleType, case: OpCase, dtype: Any, ids_dtype: Any, scattered: bool = False) -> None:
    """Hold one backend to the truth and to the reference on one case."""
    kind = f"{np.dtype(dtype)}, {np.dtype(ids_dtype)} ids, {'doubled strides' if scattered else 'contiguous'}"
    outputs = run_twice(backend, case, dtype, ids_dtype, scattered)
    expected = case.truth(**wide(case.inputs(dtype, ids_dtype)))
    assert outputs.keys() == expected.keys()
    baseline = outputs if backend is reference else case.call(reference, case.inputs(dtype, ids_dtype))
    for name, truth in expected.items():
        if truth.magnitude is None:
            assert same(outputs[name], truth.value), f"{name} differs ({kind})"
            continue
        error = _error(outputs[name], truth, dtype)
        unit = np.finfo(dtype).eps * np.max(truth.magnitude, initial=0)
        allowed = 16 * unit if backend is reference else 2 * _error(baseline[name], truth, dtype) + 4 * unit
        assert error <= allowed, f"{name} is off by {error:.3g}, allowed {allowed:.3g} ({kind})"


def _error(got: Any, expected: Expected, dtype: Any) -> Any:
    """Largest error; a scalar output is a Python float, an array has the inputs' dtype."""
    if np.ndim(expected.value) == 0 and not isinstance(got, np.ndarray):
        assert type(got) is float
    else:
        assert got.dtype == dtype and got.shape == expected.value.shape
    return np.max(np.abs(np.asarray(got, WIDE) - expected.value), initial=0)
