"""cuBLASLt as far as the backend calls it, computing with NumPy in the memory that it is given.

It takes the arguments that the C functions are given through ctypes, and refuses what they would refuse: handles that
were destroyed, leading dimensions that are too small, shapes that do not go together.
"""

from __future__ import annotations

import ctypes
import itertools
from typing import Any

import numpy as np
from emulated_cupy import capture

TYPES = {0: ctypes.c_float, 1: ctypes.c_double}
TRANSPOSED_A, TRANSPOSED_B = 3, 4
SPLITS = 512  # bytes of workspace that it asks for


class FakeLibrary:
    """``calls`` has a line for every product, ``heuristics`` the preferences of every choice of an algorithm."""

    def __init__(self) -> None:
        self.objects: dict[int, Any] = {}
        self.calls: list[dict[str, Any]] = []
        self.heuristics: list[dict[int, int]] = []
        self._numbers = itertools.count(1)

    def cublasLtCreate(self, handle: Any) -> int:  # noqa: N802
        return self._make(handle, "library")

    def cublasLtMatmulDescCreate(self, handle: Any, compute: int, scale: int) -> int:  # noqa: N802
        return self._make(handle, {"compute": compute, "scale": scale})

    def cublasLtMatrixLayoutCreate(self, handle: Any, *layout: int) -> int:  # noqa: N802
        _dtype, rows, columns, spacing = layout
        return self._make(handle, layout) if rows and columns and spacing >= rows else 7

    def cublasLtMatmulPreferenceCreate(self, handle: Any) -> int:  # noqa: N802
        return self._make(handle, {})

    def cublasLtMatmulDescSetAttribute(self, handle: Any, attribute: int, value: Any, size: int) -> int:  # noqa: N802
        assert size == ctypes.sizeof(value._obj)
        self.objects[handle.value][attribute] = value._obj.value
        return 0

    cublasLtMatmulPreferenceSetAttribute = cublasLtMatmulDescSetAttribute  # noqa: N815

    def cublasLtMatmulDescDestroy(self, handle: Any) -> int:  # noqa: N802
        del self.objects[handle.value]
        return 0

    cublasLtMatrixLayoutDestroy = cublasLtMatmulPreferenceDestroy = cublasLtMatmulDescDestroy  # noqa: N815

    def cublasLtMatmulAlgoGetHeuristic(self, *arguments: Any) -> int:  # noqa: N802
        _library, _kind, _a, _b, _c, _out, preference, wanted, found, count = arguments
        self.heuristics.append(dict(self.objects[preference.value]))
        found._obj.workspace, found._obj.status, count._obj.value = SPLITS, 0, wanted
        return 0

    def cublasLtMatmul(self, *arguments: Any) -> int:  # noqa: N802
        _library, kind, one, a, a_layout, b, b_layout, zero, c, c_layout, out, out_layout, _found, *room = arguments
        kind, layouts = self.objects[kind.value], [self.objects[x.value] for x in (a_layout, b_layout, out_layout)]
        assert (one._obj.value, zero._obj.value, c, c_layout) == (1, 0, out, out_layout)
        assert room[0] and room[1] == SPLITS
        assert {kind["scale"], *(layout[0] for layout in layouts)} == {layouts[0][0]}
        self.calls.append({"pointers": (a, b, out), "layouts": [layout[1:] for layout in layouts], **kind})
        left, right, into = (_matrix(place, layout) for place, layout in zip((a, b, out), layouts, strict=True))
        left, right = left.T if kind[TRANSPOSED_A] else left, right.T if kind[TRANSPOSED_B] else right

        def multiply() -> None:
            into[...] = left @ right

        capture.launches[-1].append(multiply) if capture.launches else multiply()
        return 0

    def _make(self, handle: Any, value: Any) -> int:
        handle._obj.value = number = next(self._numbers)
        self.objects[number] = value
        return 0


def _matrix(place: int, layout: tuple[int, int, int, int]) -> np.ndarray:
    """The matrix that lies there by columns."""
    dtype, rows, columns, spacing = layout
    count = (columns - 1) * spacing + rows
    flat = np.ctypeslib.as_array((TYPES[dtype] * count).from_address(place))
    return np.lib.stride_tricks.as_strided(flat, (rows, columns), (flat.itemsize, spacing * flat.itemsize))
