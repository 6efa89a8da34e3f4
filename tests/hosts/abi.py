"""fastfm.h for ctypes: its structures, its functions, and NumPy arrays as their pointers."""

from __future__ import annotations

import ctypes
import functools
from ctypes import POINTER, Structure, byref, c_char_p, c_double, c_int, c_int64, c_void_p
from typing import Any

import numpy as np

from fastfm_core import linking

POOLINGS = ("sum", "mean", "sqrtn", "max", "none")


class Matrix(Structure):
    _fields_ = [("data", c_void_p), ("rows", c_int64), ("columns", c_int64), ("stride", c_int64)]


class Entries(Structure):
    _fields_ = [
        ("ids", c_void_p), ("id_bits", c_int64), ("count", c_int64), ("fields", c_int64), ("slots", c_int64),
        ("offsets", c_void_p), ("values", c_void_p), ("pooling", c_int64), ("unchecked", c_int64),
    ]  # fmt: skip


class Plan(Structure):
    _fields_ = [
        ("rows", c_void_p), ("id_bits", c_int64), ("segments", c_void_p), ("order", c_void_p), ("count", c_int64),
        ("entries", c_int64), ("unchecked", c_int64),
    ]  # fmt: skip


class Source(Structure):
    _fields_ = [
        ("fields", c_int64), ("samples", c_int64), ("entry_slots", c_void_p), ("coefficients", c_void_p),
        ("pair_grad", c_void_p), ("sums", c_void_p), ("slot_values", c_void_p), ("slot_grad", c_void_p),
        ("sample_stride", c_int64), ("field_stride", c_int64), ("winners", c_void_p), ("first_grad", c_void_p),
    ]  # fmt: skip


class FM(Structure):
    _fields_ = [
        ("first", c_void_p), ("pair", c_void_p), ("sums", c_void_p), ("deep", c_void_p), ("deep_stride", c_int64),
        ("winners", c_void_p), ("linear_winners", c_void_p),
    ]  # fmt: skip


_LETTERS: dict[str, Any] = {
    "m": POINTER(Matrix), "e": POINTER(Entries), "p": POINTER(Plan), "s": POINTER(Source), "f": POINTER(FM),
    "a": c_void_p, "i": c_int64, "d": c_double, "t": c_char_p,
}  # fmt: skip
_FUNCTIONS = {
    "set_threads": "i", "use_isa": "t", "embedding_gather": "mea", "embedding_bag": "meaa", "embedding_fm": "mmemf",
    "entry_slots": "ea", "pooling_coefficients": "ea", "fm_interaction": "aiiia", "bi_interaction": "aiiia",
    "fm_interaction_backward": "aaiiia", "bi_interaction_backward": "aaiiia", "plan_rows": "eip",
    "materialize_rows": "mpsa", "row_gradient_norm2": "mpsa", "update_rows_sgd_": "mpsddd",
    "update_rows_adagrad_": "mmpsdddd", "update_rows_rowwise_adagrad_": "mmpsdddd",
    "update_rows_adam_": "mmmpsiddddddd", "update_rows_ftrl_": "mmmpsdddddd",
    "catch_up_rows_adam_": "mmmapiaiddddd", "bce_with_logits": "aaaiaa", "scorer_open": "ta", "scorer_close": "a",
    "scorer_score": "aeaia",
}  # fmt: skip


@functools.cache
def library() -> Any:
    """libfastfm, every function typed."""
    found = ctypes.CDLL(str(linking.library()))
    for name, letters in _FUNCTIONS.items():
        function = getattr(found, f"fastfm_{name}")
        function.argtypes, function.restype = [_LETTERS[letter] for letter in letters], c_int
    for name in ("version", "last_error", "isa"):
        getattr(found, f"fastfm_{name}").restype = c_char_p
    for name in ("abi", "threads"):
        getattr(found, f"fastfm_{name}").restype = c_int64
    for name in ("fields", "numbers"):
        function = getattr(found, f"fastfm_scorer_{name}")
        function.argtypes, function.restype = [c_void_p], c_int64
    found.fastfm_scorer_close.restype = None
    return found


class Refused(Exception):
    """A function returned ``code``; the text is the library's line."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code = code


def call(name: str, *arguments: Any) -> None:
    """Calls fastfm_<name>: structures by reference, arrays as their addresses. Raises Refused for an error's code."""
    code = getattr(library(), f"fastfm_{name}")(*map(_passed, arguments))
    if code:
        raise Refused(code, library().fastfm_last_error().decode())


def _passed(value: Any) -> Any:
    if isinstance(value, Structure):
        return byref(value)
    return address(value) if isinstance(value, np.ndarray) else value


def address(array: np.ndarray | None) -> int | None:
    """Of an array's first element."""
    return None if array is None else array.ctypes.data


def matrix(array: np.ndarray) -> Matrix:
    """A matrix [V, D], or [V] as one number a row."""
    columns = array.shape[1] if array.ndim == 2 else 1
    return Matrix(address(array), len(array), columns, array.strides[0] // array.itemsize)


def entries(ids: np.ndarray, fields: int = 1, offsets: Any = None, values: Any = None, pooling: str = "sum") -> Entries:
    """The structure of contract.Entries; the arrays must outlive it."""
    slots = 0 if offsets is None else len(offsets) - 1
    return Entries(address(ids), 8 * ids.itemsize, ids.size, fields, slots, address(offsets), address(values),
                   POOLINGS.index(pooling), 0)  # fmt: skip


class OwnPlan:
    """A plan with arrays of its own, for so many ids."""

    def __init__(self, ids: np.ndarray, rows: int) -> None:
        self.rows, self.segments = np.empty_like(ids), np.empty(len(ids) + 1, np.int64)
        self.order = np.empty(len(ids), np.int32)
        self.plan = Plan(address(self.rows), 0, address(self.segments), address(self.order))
        call("plan_rows", entries(ids), rows, self.plan)


def source(fields: int, samples: int, **arrays: Any) -> Source:
    """The structure of contract.RowSource; ``slot_grad`` with its strides."""
    found = Source(fields, samples, **{name: address(array) for name, array in arrays.items()})
    if (gradient := arrays.get("slot_grad")) is not None:
        found.sample_stride, found.field_stride = (stride // 4 for stride in gradient.strides[:2])
    return found
