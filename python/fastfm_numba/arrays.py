"""NumPy arrays in compiled code as the words that fastfm.h takes. What a type tells is refused when it is compiled
(TypingError), sizes and strides are checked when it runs (ValueError)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.core.errors import NumbaTypeError
from numba.extending import overload

from fastfm_numba.library import data


def _is_none(kind: types.Type) -> bool:
    return isinstance(kind, types.NoneType) or (isinstance(kind, types.Omitted) and kind.value is None)


def _require(array: types.Type, name: str, dtypes: tuple[types.Type, ...], write: bool) -> types.Array:
    known = " or ".join(map(str, dtypes))
    if not isinstance(array, types.Array) or array.dtype not in dtypes:
        raise NumbaTypeError(f"{name} must be an array of {known}, got {array}")
    if write and not array.mutable:
        raise NumbaTypeError(f"{name} is read-only")
    return array


@njit(inline="always")
def _is_contiguous(array):
    expected = array.itemsize
    for d in range(array.ndim - 1, -1, -1):
        if array.shape[d] > 1 and array.strides[d] != expected:
            return False
        expected *= array.shape[d]
    return array.size == 0 or expected > 0


def _address_of(*dtypes: types.Type, write: bool = False) -> Any:
    """A function of an array and its name: the address of its first element, 0 for None. C-contiguous."""

    def address(array, name):
        raise NotImplementedError

    @overload(address, prefer_literal=True, inline="always")
    def typed(array, name):
        if not isinstance(name, types.StringLiteral):
            return None
        if _is_none(array):
            return lambda array, name: 0
        words = name.literal_value
        if _require(array, words, dtypes, write).layout == "C":
            return lambda array, name: data(array)
        message = f"{words} must be C-contiguous; pass np.ascontiguousarray({words})"

        def checked(array, name):
            if not _is_contiguous(array):
                raise ValueError(message)
            return data(array)

        return checked

    return address


floats = _address_of(types.float32)
floats_out = _address_of(types.float32, write=True)
doubles = _address_of(types.float64)
ids_in = _address_of(types.int32, types.int64)
words_in = _address_of(types.int64)
words_out = _address_of(types.int64, write=True)
places = _address_of(types.int32)
places_out = _address_of(types.int32, write=True)


def _matrix_of(write: bool) -> Any:
    """A function of an array [V, D] or [V] and its name: the words of a fastfm_matrix; None for None."""

    def matrix(array, name):
        raise NotImplementedError

    @overload(matrix, prefer_literal=True)
    def typed(array, name):
        if not isinstance(name, types.StringLiteral):
            return None
        if _is_none(array):
            return lambda array, name: None
        words = name.literal_value
        dimensions = _require(array, words, (types.float32,), write).ndim
        if dimensions == 1:
            return lambda array, name: (data(array), array.shape[0], 1, _stride(array))
        if dimensions != 2:
            raise NumbaTypeError(f"{words} must have one or two dimensions, got {array}")
        message = f"{words} must have an inner stride of one element; pass np.ascontiguousarray({words})"

        def wide(array, name):
            if array.shape[1] > 1 and array.strides[1] != 4 and array.shape[0] > 0:
                raise ValueError(message)
            return data(array), array.shape[0], array.shape[1], _stride(array)

        return wide

    return matrix


@njit(inline="always")
def _stride(array):
    """From row to row, in elements; of a single row any that will do."""
    return array.strides[0] // 4 if array.shape[0] > 1 else 0


matrix = _matrix_of(write=False)
matrix_out = _matrix_of(write=True)


def slot_gradient(array, samples, fields, dim):
    """Of source.slot_grad [B, F, D], any strides of samples and fields: its address and both strides; 0 for None."""


@overload(slot_gradient, inline="always")
def _slot_gradient(array, samples, fields, dim):
    if _is_none(array):
        return lambda array, samples, fields, dim: (0, 0, 0)
    if _require(array, "source.slot_grad", (types.float32,), False).ndim != 3:
        raise NumbaTypeError(f"source.slot_grad must have three dimensions, got {array}")

    def checked(array, samples, fields, dim):
        if array.shape != (samples, fields, dim):
            raise ValueError("source.slot_grad has another shape than the other arrays ask for")
        if dim > 1 and array.strides[2] != 4:
            raise ValueError("source.slot_grad must have an inner stride of one element")
        return data(array), array.strides[0] // 4, array.strides[1] // 4

    return checked


def expect(array, shape, name):
    """ValueError for an array that is there with another shape."""


@overload(expect, prefer_literal=True, inline="always")
def _expect(array, shape, name):
    if not isinstance(name, types.StringLiteral):
        return None
    if _is_none(array):
        return lambda array, shape, name: None
    words, dimensions = name.literal_value, len(shape)
    if array.ndim != dimensions:
        raise NumbaTypeError(f"{words} must have {dimensions} dimensions, got {array}")
    message = f"{words} has another shape than the other arrays ask for"

    def checked(array, shape, name):
        if array.shape != shape:
            raise ValueError(message)

    return checked


def length(array):
    """Of an array's first dimension, 0 for None."""


@overload(length, inline="always")
def _length(array):
    return (lambda array: 0) if _is_none(array) else (lambda array: array.shape[0])


def fields_of(ids, fields):
    """F: the second dimension of ids [B, F], else what the caller says."""


@overload(fields_of, inline="always")
def _fields_of(ids, fields):
    if not isinstance(ids, types.Array) or ids.ndim not in (1, 2):
        raise NumbaTypeError(f"ids must be an array of one or two dimensions, got {ids}")
    return (lambda ids, fields: ids.shape[1]) if ids.ndim == 2 else (lambda ids, fields: fields)


@njit(inline="always")
def entries(ids, fields, offsets, values, pooling, check):
    """The words of a fastfm_entries."""
    expect(values, (ids.size,), "values")
    slots = max(length(offsets) - 1, 0)
    unchecked = 0 if check else 1
    return (ids_in(ids, "ids"), ids.itemsize * 8, ids.size, fields_of(ids, fields), slots, words_in(offsets, "offsets"),
            floats(values, "values"), np.intp(pooling), unchecked)  # fmt: skip


@njit(inline="always")
def slots_of(ids, offsets):
    """M"""
    return ids.size if offsets is None else length(offsets) - 1


def rows_alone(rows, check):
    """The words of a fastfm_plan of rows alone; None for None."""


@overload(rows_alone, inline="always")
def _rows_alone(rows, check):
    if _is_none(rows):
        return lambda rows, check: None
    return lambda rows, check: (
        ids_in(rows, "rows"), rows.itemsize * 8, 0, 0, rows.shape[0], 0, 0 if check else 1
    )  # fmt: skip
