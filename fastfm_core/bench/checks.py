"""Whether a kernel is right, on the arguments of a timed case: the reference in float64 is the truth.

|error| <= 2 |error of the reference in float32| + 1e-5 max|value|; integers, shapes and the number of arrays equal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastfm_core import backends
from fastfm_core.bench.cases import Inputs, KernelCase

Kernel = Callable[..., Any]


class Truth(NamedTuple):
    """What the reference returns and changes, in float64 and in float32."""

    exact: list[np.ndarray]
    single: list[np.ndarray]


def truth_of(kernel_case: KernelCase, inputs: Inputs) -> Truth:
    """Of one case on one batch; whatever is checked against it gets the same arguments."""
    kernel = getattr(backends.get("reference"), kernel_case.kernel)
    return Truth(*(results(kernel, kernel_case, inputs, dtype) for dtype in (np.float64, np.float32)))


def mistake(kernel: Kernel, kernel_case: KernelCase, inputs: Inputs, truth: Truth) -> str | None:
    """What is wrong with the kernel's results, or that it raised; None where they are right."""
    try:
        found = results(kernel, kernel_case, inputs, np.float32)
    except Exception as error:
        return f"it raises {type(error).__name__}: {' '.join(str(error).split())}"
    if len(found) != len(truth.exact):
        return f"it returns and changes {len(found)} arrays, not {len(truth.exact)}"
    compared = map(_difference, found, truth.exact, truth.single)
    wrong = ((number, text) for number, text in enumerate(compared, start=1) if text)
    return next((f"array {number} of {len(found)}: {text}" for number, text in wrong), None)


def _difference(found: np.ndarray, exact: np.ndarray, single: np.ndarray) -> str | None:
    if found.shape != exact.shape:
        return f"its shape is {found.shape}, not {exact.shape}"
    if found.dtype.kind not in "fiub":
        return f"its dtype is {found.dtype}"
    if exact.dtype.kind != "f":
        unequal = int((found != exact).sum())
        return f"{unequal} of {exact.size} elements differ" if unequal else None
    if not exact.size:
        return None
    bound = 2 * _largest(single - exact) + 1e-5 * _largest(exact)
    error = _largest(found - exact)
    return None if error <= bound else f"its largest error is {error:.2g}, rounding explains {bound:.2g}"


def _largest(numbers: np.ndarray) -> float:
    """Their largest absolute value; NaN if there is one."""
    return float(np.maximum(numbers.max(), -numbers.min()))


def converted(thing: Any, dtype: Any) -> Any:
    """A copy with every float array, and float32 itself, in another dtype."""
    if isinstance(thing, np.ndarray):
        return thing.astype(dtype) if thing.dtype.kind == "f" else thing
    if isinstance(thing, tuple) and hasattr(thing, "_fields"):
        return type(thing)(*(converted(item, dtype) for item in thing))
    if isinstance(thing, tuple | list):
        return type(thing)(converted(item, dtype) for item in thing)
    return np.dtype(dtype).type if thing is np.float32 else thing


def results(kernel: Kernel, kernel_case: KernelCase, inputs: Inputs, dtype: Any) -> list[np.ndarray]:
    """What the kernel returned, flat, and after it what it changed, all from a copy of the arguments."""
    arguments = converted(kernel_case.arguments(inputs), dtype)
    returned = kernel(*arguments, **kernel_case.keywords)
    changed = [item for item in arguments if isinstance(item, np.ndarray)] if kernel_case.kernel.endswith("_") else []
    return [np.asarray(item) for item in flat((returned, changed))]


def flat(thing: Any) -> list[Any]:
    """Arrays and numbers of nested tuples and lists, None left out."""
    if isinstance(thing, tuple | list):
        return [leaf for item in thing for leaf in flat(item)]
    return [] if thing is None else [thing]
