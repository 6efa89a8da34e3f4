"""Matrix products by cuBLASLt, called through ctypes.

It is the library that cuBLAS itself calls, and CuPy has loaded it. Unlike CuPy's own products these can be captured in
a CUDA graph, and matrices whose rows lie apart are taken as they lie. The algorithm is the first that the library's
heuristic names for the shapes, spacings and alignments, so that a product has the same bits each time; parts of a sum
over K are added by a pass of its own over the workspace, never in place.

cuBLASLt's matrices lie by columns, and one that lies by rows is the transpose of such a one: out = left right is asked
for as out' = right' left'. Source: NVIDIA, cuBLAS documentation, "Using the cuBLASLt API".
"""

from __future__ import annotations

import ctypes
import functools
import os
import weakref
from ctypes import byref, c_int, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from typing import Any, NamedTuple

import numpy as np

from fastfm_core.backends.cuda import memory
from fastfm_core.backends.cuda.device import xp

FLOAT32 = np.dtype(np.float32)
WORKSPACE = 32 << 20  # bytes at most, what cuBLAS takes on its own
ALIGNMENT = 256  # bytes; more is of no use to the library
DATA_TYPES = {4: 0, 8: 1}  # by their bytes: float32, float64
COMPUTE_32F, COMPUTE_64F, COMPUTE_32F_FAST_TF32 = 68, 70, 77
TRANSPOSE_A, TRANSPOSE_B = 3, 4  # attributes of a product
MAX_WORKSPACE_BYTES, REDUCTION_SCHEMES, FIRST_ALIGNMENT = 1, 3, 5  # attributes of a preference
OUT_OF_PLACE = 2 | 4  # reduction schemes: in the type that is computed in, in the output's
FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "cublasLtCreate": (c_void_p,),
    "cublasLtMatmulDescCreate": (c_void_p, c_int, c_int),
    "cublasLtMatmulDescSetAttribute": (c_void_p, c_int, c_void_p, c_size_t),
    "cublasLtMatmulDescDestroy": (c_void_p,),
    "cublasLtMatrixLayoutCreate": (c_void_p, c_int, c_uint64, c_uint64, c_int64),
    "cublasLtMatrixLayoutDestroy": (c_void_p,),
    "cublasLtMatmulPreferenceCreate": (c_void_p,),
    "cublasLtMatmulPreferenceSetAttribute": (c_void_p, c_int, c_void_p, c_size_t),
    "cublasLtMatmulPreferenceDestroy": (c_void_p,),
    "cublasLtMatmulAlgoGetHeuristic": (*(c_void_p,) * 7, c_int, c_void_p, c_void_p),
    "cublasLtMatmul": (*(c_void_p,) * 14, c_size_t, c_void_p),
}


class Heuristic(ctypes.Structure):
    """cublasLtMatmulHeuristicResult_t"""

    _fields_ = (
        ("algorithm", c_uint64 * 8),
        ("workspace", c_size_t),
        ("status", c_int),
        ("waves", ctypes.c_float),
        ("reserved", c_int * 4),
    )


class Layout(NamedTuple):
    """How a matrix lies, as cuBLASLt sees it: by columns, perhaps as its transpose."""

    rows: int
    columns: int
    spacing: int  # elements from column to column
    transposed: bool
    alignment: int  # bytes


@functools.cache
def library() -> Any:
    """The C functions by their names; None where CuPy has no cuBLAS, which is its stand-in in tests."""
    if not hasattr(xp.cuda.Device, "cublas_handle"):
        return None
    _ = xp.cuda.Device().cublas_handle  # loads cuBLAS, which loads cuBLASLt
    major = xp.cuda.runtime.runtimeGetVersion() // 1000
    loaded = ctypes.CDLL(f"cublasLt64_{major}.dll" if os.name == "nt" else f"libcublasLt.so.{major}")
    for name, parameters in FUNCTIONS.items():
        getattr(loaded, name).argtypes = parameters
    return loaded


def matmul(left: Any, right: Any, out: Any = None, *, spacing: int = 0) -> Any:
    columns = right.shape[1]
    if out is not None and ((place := _layout(out)) is None or place.transposed):
        out[...] = matmul(left, right)
        return out
    whole = xp.empty((len(left), max(spacing, columns)), left.dtype) if out is None else out
    out = whole[:, :columns] if spacing > columns else whole
    if library() is None or out.size == 0 or right.size == 0:
        return xp.matmul(left, right, out=out)
    if left.itemsize == 4 and uses_tf32():
        _multiply(*_in_vectors(left, right, whole), True)
    else:
        _multiply(left, right, out, False)
    return out


def uses_tf32() -> bool:
    """Whether CuPy's own float32 products would be of TF32: CUPY_TF32=1, or its ``set_compute_type``."""
    switch = xp._core._routines_linalg  # pyright: ignore[reportAttributeAccessIssue]
    return switch.get_compute_type(FLOAT32) == switch.COMPUTE_TYPE_TF32


def _in_vectors(left: Any, right: Any, out: Any) -> tuple[Any, Any, Any]:
    """The same product with zeros behind the rows of left and of out, where these lie a vector's part apart.

    The tensor cores' fast algorithms want whole vectors: on an H200, 65,536 rows of 429 columns into 400 take 279 us,
    and of 432 columns 149 us. They are faster still where the right matrix lies by columns.
    """
    columns = right.shape[1]
    if (out.shape[1] - columns) * out.itemsize >= memory.VECTOR:
        out = out[:, :columns]
    left = memory.with_zeros(left)
    if right.shape != (left.shape[1], out.shape[1]):
        wide = xp.zeros((out.shape[1], left.shape[1]), right.dtype).T
        wide[: len(right), :columns] = right
        right = wide
    return left, right, out


def _multiply(left: Any, right: Any, out: Any, tf32: bool) -> None:
    """Queues out = left right on the current stream."""
    (left, left_lies), (right, right_lies) = _as_taken(left), _as_taken(right)
    plan = _plan(xp.cuda.Device().id, left.itemsize, tf32, right_lies, left_lies, _layout(out))
    workspace = xp.empty(plan.workspace, np.uint8) if plan.workspace else None  # a graph being captured keeps it
    plan.run(right, left, out, workspace)


def _as_taken(matrix: Any) -> tuple[Any, Layout | None]:
    lies = _layout(matrix)
    return (matrix, lies) if lies else _as_taken(xp.ascontiguousarray(matrix))


def _layout(matrix: Any) -> Layout | None:
    """None: neither its rows nor its columns are contiguous."""
    place = matrix.data.ptr
    return _described(matrix.shape, matrix.strides, matrix.itemsize, min(place & -place, ALIGNMENT))


@functools.lru_cache(maxsize=4096)
def _described(shape: tuple[int, int], strides: tuple[int, int], size: int, alignment: int) -> Layout | None:
    (rows, columns), (down, right) = shape, (stride // size for stride in strides)
    if (right == 1 or columns == 1) and (down >= columns or rows == 1):
        return Layout(columns, rows, down if rows > 1 else columns, False, alignment)
    if (down == 1 or rows == 1) and (right >= rows or columns == 1):
        return Layout(rows, columns, right if columns > 1 else rows, True, alignment)
    return None


class _Plan:
    """The descriptors and the algorithm of products of one kind."""

    def __init__(self, device: int, size: int, tf32: bool, a: Layout, b: Layout, out: Layout) -> None:
        self._calls, self._handle = library(), _handle(device)
        scalar = ctypes.c_float if size == 4 else ctypes.c_double
        self._one, self._zero = byref(scalar(1)), byref(scalar(0))
        compute = (COMPUTE_32F_FAST_TF32 if tf32 else COMPUTE_32F) if size == 4 else COMPUTE_64F
        self._kind = self._own("MatmulDesc", compute, DATA_TYPES[size])
        for attribute, layout in ((TRANSPOSE_A, a), (TRANSPOSE_B, b)):
            _set(self._calls.cublasLtMatmulDescSetAttribute, self._kind, attribute, c_int(layout.transposed))
        self._layouts = [self._own("MatrixLayout", DATA_TYPES[size], *layout[:3]) for layout in (a, b, out)]
        found = self._choose([layout.alignment for layout in (a, b, out, out)])
        self._algorithm, self.workspace = byref(found), found.workspace

    def _own(self, name: str, *arguments: Any) -> c_void_p:
        """A new object of the library's, destroyed with the plan."""
        handle = _made(getattr(self._calls, f"cublasLt{name}Create"), *arguments)
        weakref.finalize(self, getattr(self._calls, f"cublasLt{name}Destroy"), handle).atexit = False
        return handle

    def _choose(self, alignments: list[int]) -> Heuristic:
        calls, (a, b, out) = self._calls, self._layouts
        preference = self._own("MatmulPreference")
        wishes = {MAX_WORKSPACE_BYTES: c_uint64(WORKSPACE), REDUCTION_SCHEMES: c_uint32(OUT_OF_PLACE)}
        wishes |= {FIRST_ALIGNMENT + n: c_uint32(alignment) for n, alignment in enumerate(alignments)}
        for attribute, value in wishes.items():
            _set(calls.cublasLtMatmulPreferenceSetAttribute, preference, attribute, value)
        found, count = Heuristic(), c_int()
        find = calls.cublasLtMatmulAlgoGetHeuristic
        _check(find(self._handle, self._kind, a, b, out, out, preference, 1, byref(found), byref(count)), find)
        _check(found.status, find)
        return found

    def run(self, a: Any, b: Any, out: Any, workspace: Any) -> None:
        """Queues it on the current stream."""
        layout_a, layout_b, layout_out = self._layouts
        place = out.data.ptr
        status = self._calls.cublasLtMatmul(
            self._handle, self._kind, self._one, a.data.ptr, layout_a, b.data.ptr, layout_b, self._zero, place,
            layout_out, place, layout_out, self._algorithm, None if workspace is None else workspace.data.ptr,
            self.workspace, xp.cuda.get_current_stream().ptr,
        )  # fmt: skip
        _check(status, self._calls.cublasLtMatmul)


_plan = functools.lru_cache(maxsize=1024)(_Plan)


@functools.cache
def _handle(_device: int) -> c_void_p:
    return _made(library().cublasLtCreate)


def _made(create: Any, *arguments: Any) -> c_void_p:
    handle = c_void_p()
    _check(create(byref(handle), *arguments), create)
    return handle


def _set(function: Any, handle: c_void_p, attribute: int, value: Any) -> None:
    _check(function(handle, attribute, byref(value), ctypes.sizeof(value)), function)


def _check(status: int, function: Any) -> None:
    if status:
        raise RuntimeError(f"{function.__name__} failed with cuBLAS status {status}")
