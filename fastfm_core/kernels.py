"""The public raw kernels: ``fastfm_core.kernels.<name>(...)`` for every kernel of ``fastfm_core.contract``.

Arrays in, arrays out. Each call checks its arguments against the contract, picks the backend and hands over:

    pair = kernels.fm_interaction(fields)                              # the fastest backend that reads these arrays
    rows = kernels.embedding_gather(table, ids, backend="reference")   # or a named one
    out = kernels.embedding_bag(table, entries, check=False)           # ids and shapes were checked elsewhere

NumPy's and CuPy's arrays are taken as they are, those of other libraries without a copy, on the host or on a device;
all of a call are in one place. Nothing is copied to make it fit: an array that has to be C-contiguous and is not is
refused by name. Errors are ``InputError``, one line.

On a device the backend is cuda, its work is queued on CuPy's current stream, and what it returns is CuPy's. Shapes,
dtypes and strides are checked without a wait; ids, rows, offsets, pairs and last are read, each once, for which the
host waits. ``check=False`` reads nothing.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from fastfm_core import foreign
from fastfm_core.backends import memory
from fastfm_core.contract import KERNELS, POOLINGS, PRODUCTS, Entries, Kernels, RowPlan, is_half
from fastfm_core.errors import InputError

# Shapes by the contract's letters; equal letters of one call must be equal numbers. "*" is any shape. Every kernel has
# its line; entries, a plan and a source are checked wherever they are given. With a source's first_grad, tables, states
# and winners have E = D + 1 columns.
_MISSED = {"last": "V", "rows": "U", "rates": "K"}
_SHAPES: dict[str, dict[str, str]] = {
    "embedding_gather": {"table": "VD", "ids": "*"},
    "embedding_bag": {"table": "VD"},
    "embedding_fm": {"table": "VD", "linear": "V", "dense": "BI"},
    "entry_slots": {},
    "pooling_coefficients": {},
    "value_gradient": {"table": "VD"},
    "fm_interaction": {"fields": "BFD"},
    "fm_interaction_backward": {"grad": "B", "fields": "BFD"},
    "bi_interaction": {"fields": "BFD"},
    "bi_interaction_backward": {"grad": "BD", "fields": "BFD"},
    "pair_interaction": {"vectors": "BFD", "pairs": "P2", "weights": "P"},
    "pair_interaction_backward": {"grad": "B", "vectors": "BFD", "pairs": "P2", "weights": "P"},
    "pair_products": {"vectors": "BFD", "pairs": "P2"},
    "pair_products_backward": {"grad": "BPW", "vectors": "BFD", "pairs": "P2"},
    "plan_rows": {"ids": "N"},
    "merge_plans": {},
    "materialize_rows": {"table": "VD"},
    "row_gradient_norm2": {"table": "VD"},
    "update_rows_sgd_": {"table": "VD"},
    "update_rows_adagrad_": {"table": "VD", "accumulator": "VD"},
    "update_rows_rowwise_adagrad_": {"table": "VD", "accumulator": "V"},
    "update_rows_adam_": {"table": "VD", "moment1": "VD", "moment2": "VD"},
    "update_rows_adamw_": {"table": "VD", "moment1": "VD", "moment2": "VD"},
    "update_rows_ftrl_": {"table": "VD", "dual": "VD", "accumulator": "VD"},
    "catch_up_rows_sgd_": {"table": "VD", **_MISSED},
    "catch_up_rows_adagrad_": {"table": "VD", "accumulator": "VD", **_MISSED},
    "catch_up_rows_rowwise_adagrad_": {"table": "VD", "accumulator": "V", **_MISSED},
    "catch_up_rows_adam_": {"table": "VD", "moment1": "VD", "moment2": "VD", **_MISSED},
    "catch_up_rows_adamw_": {"table": "VD", "moment1": "VD", "moment2": "VD", **_MISSED},
    "catch_up_rows_ftrl_": {"table": "VD", "dual": "VD", "accumulator": "VD", **_MISSED},
    "matmul": {"left": "MK", "right": "KN", "out": "MN"},
    "bias_relu_dropout_": {"x": "BH", "bias": "H"},
    "bias_relu_dropout_backward": {"grad": "BH", "output": "BH"},
    "dropout": {"x": "*"},
    "batch_norm": {"x": "BH", "gamma": "H", "beta": "H"},
    "batch_norm_backward": {"grad": "BH", "x": "BH", "gamma": "H", "mean": "H", "variance": "H"},
    "bce_with_logits": {"logits": "B", "labels": "B", "weights": "B"},
    "mean_squared_error": {"predictions": "B", "labels": "B", "weights": "B"},
    "softmax_cross_entropy": {"logits": "BC", "weights": "B"},
    "bpr": {"logits": "BC", "weights": "B"},
}
_SOURCE_SHAPES = {
    "entry_slots": "N", "coefficients": "N", "pair_grad": "B", "sums": "BD", "slot_values": "MD", "slot_grad": "BFD",
    "winners": "MD", "first_grad": "B",
}  # fmt: skip
_STATES = {"accumulator", "moment1", "moment2", "dual"}
_ANY_OUTER_STRIDE = {"table", "slot_grad", "linear", "left", "right"} | _STATES
_WITH_FIRST_ORDER = {"table", "winners"} | _STATES
_CHANGED_IN_PLACE = {"table", "last", "x"} | _STATES
_INTEGERS = {"ids", "entry_slots", "winners", "rows"}
_OF_ONE_TYPE = {"last": np.int32, "pairs": np.int32, "rates": np.float64}
_READ_HALVES = {"embedding_gather", "embedding_bag", "embedding_fm"}


def _public(name: str) -> Callable[..., Any]:
    contract = getattr(Kernels, name)
    signature = inspect.signature(contract)
    signature = signature.replace(parameters=list(signature.parameters.values())[1:])
    changed = _CHANGED_IN_PLACE if name.endswith("_") else {"out"}
    written = [key for key in signature.parameters if key in changed]

    @functools.wraps(contract)
    def kernel(*positional: Any, backend: str = "auto", check: bool = True, **named: Any) -> Any:
        chosen, arguments = foreign.taken(name, signature.bind(*positional, **named).arguments, backend)
        for key in written:
            _require_writeable(name, key, arguments.get(key))
        if check:
            _check(name, arguments)
        return getattr(chosen, name)(**arguments)

    kernel.__signature__ = signature  # type: ignore[attr-defined]
    return kernel


def _check(name: str, arguments: dict[str, Any]) -> None:
    sizes: dict[str, int] = {}
    dtypes: dict[Any, str] = {}
    entries, source, plan = (arguments.get(key) for key in ("entries", "source", "plan"))
    if entries is not None:
        _check_entries(entries, dtypes)
        sizes |= {"N": len(entries.ids), "M": entries.slots, "B": entries.samples}
    if "product" in arguments:
        sizes |= _product_width(arguments["vectors"], arguments["product"])
    shapes = {key: (letters, arguments.get(key)) for key, letters in _SHAPES[name].items()}
    if source is not None:
        if source.fields < 1:
            raise InputError(f"source.fields must be at least 1, got {source.fields}")
        sizes |= {"F": source.fields}
        shapes |= {key: (letters, getattr(source, key)) for key, letters in _SOURCE_SHAPES.items()}
        if source.first_grad is not None:
            _widen(shapes, sizes)
    if plan is not None:
        sizes |= {"N": len(plan.order)}
    for key, (letters, array) in shapes.items():
        if array is not None:
            _check_array(key, letters, array, sizes, dtypes)
    _check_halves(name, arguments)
    if "last" in arguments:
        _check_missed(arguments["last"], arguments["rows"], arguments["step"], arguments["rates"])
    if "pairs" in arguments:
        _check_pairs(arguments["vectors"], arguments["pairs"])
    if sizes.get("C") == 0:
        raise InputError("logits must have a column for the positive, got none")
    if len(dtypes) > 1:
        raise InputError(
            f"{name}: all float arrays need one dtype, got {', '.join(f'{v} {k}' for k, v in dtypes.items())}"
        )
    rows = arguments.get("table_rows", sizes.get("V"))
    for label, ids in (
        ("ids", arguments.get("ids")),
        ("entries.ids", entries and entries.ids),
        ("plan.rows", plan.rows if isinstance(plan, RowPlan) else plan and plan.touched),
    ):
        if ids is not None and rows is not None:
            check_ids(ids, rows, label)


def _check_missed(last: Any, rows: Any, step: int, rates: np.ndarray) -> None:
    """Refuse rows that do not rise, on a device that fall, and steps whose learning rate is not known."""
    if rows is not None and len(rows):
        on_host = isinstance(rows, np.ndarray)
        wrong = rows[1:] <= rows[:-1] if on_host else rows[1:] < rows[:-1]
        low, high, found = _read(rows.min(), rows.max(), wrong.any())
        if low < 0 or high >= len(last):
            check_ids(rows, len(last), "rows")
        if found:
            words = "does not rise; rows must be distinct and ascending" if on_host else "falls; rows must be ascending"
            raise InputError(f"rows[{_read(np.argmax(wrong))[0] + 1}] {words}")
    missed = step - (last if rows is None else last[rows]).astype(np.int64)
    if missed.size:
        least, most = _read(missed.min(), missed.max())
        if least < 0 or most > len(rates):
            raise InputError(f"the rows have missed {least} to {most} steps, rates has {len(rates)} of them")


def _check_pairs(vectors: Any, pairs: Any) -> None:
    """Refuse pairs of what is no field, or of a field with itself."""
    pairs = memory.to_host(pairs)
    outside = (pairs < 0) | (pairs >= vectors.shape[1])
    for wrong, words in (
        (outside.any(axis=1), f"the fields are 0..{vectors.shape[1] - 1}"),
        (pairs[:, 0] == pairs[:, 1], "a pair has two different fields"),
    ):
        if len(found := np.flatnonzero(wrong)):
            raise InputError(f"pairs[{found[0]}] is {tuple(pairs[found[0]].tolist())}: {words}")


def _product_width(vectors: Any, product: str) -> dict[str, int]:
    """W, where D can be told; InputError for a product that there is not."""
    if product not in PRODUCTS:
        raise InputError(f"unknown product {product!r}; known: {', '.join(PRODUCTS)}")
    if np.ndim(vectors) != 3:
        return {}
    dim = vectors.shape[2]
    return {"W": {"inner": 1, "elementwise": dim, "outer": dim**2}[product]}


def _widen(shapes: dict[str, tuple[str, Any]], sizes: dict[str, int]) -> None:
    """In place: the shapes and sizes of a call whose source has first_grad."""
    for key in _WITH_FIRST_ORDER & shapes.keys():
        letters, array = shapes[key]
        shapes[key] = letters.replace("D", "E"), array
    table = shapes["table"][1]
    if getattr(table, "ndim", 0) == 2:
        if table.shape[1] == 0:
            raise InputError("with source.first_grad the last column of table is the first-order weight; it has none")
        sizes["D"] = table.shape[1] - 1


def _check_array(name: str, letters: str, array: Any, sizes: dict[str, int], dtypes: dict[Any, str]) -> None:
    if not foreign.is_array(array):
        raise InputError(f"{name} must be an array, got {type(array).__name__}")
    if name in _OF_ONE_TYPE:
        if array.dtype != _OF_ONE_TYPE[name]:
            raise InputError(f"{name} must be {np.dtype(_OF_ONE_TYPE[name])}, got {array.dtype}")
    elif name in _INTEGERS:
        if array.dtype not in (np.int32, np.int64) and not _of_a_plan(name, array):
            raise InputError(f"{name} must be int32 or int64, got {array.dtype}")
    elif array.dtype in (np.float32, np.float64):
        dtypes.setdefault(array.dtype, name)
    elif name in ("table", "linear") and is_half(array.dtype):
        dtypes.setdefault(np.dtype(np.float32), f"{name} ({array.dtype}) as")
    else:
        raise InputError(f"{name} must be float32 or float64, got {array.dtype}")
    if letters != "*":
        if array.ndim != len(letters) or (letters[-1] == "2" and array.shape[-1] != 2):
            shape = ", ".join(letters).replace("E", "D + 1")
            raise InputError(f"{name} must have shape [{shape}], got {array.shape}")
        for letter, size in zip(letters, array.shape, strict=True):
            if (expected := sizes.setdefault(letter, size)) != size:
                letter = "D + 1" if letter == "E" else letter
                raise InputError(f"{name} has {letter} = {size}, but {letter} is {expected} elsewhere in this call")
    mend = f"pass {'np' if isinstance(array, np.ndarray) else 'cupy'}.ascontiguousarray({name})"
    if name == "vectors" and array.size and array.strides[0] < 0:
        raise InputError(f"vectors has its samples in descending order; {mend}")
    sample = array[:1] if name == "vectors" else array
    if name not in _ANY_OUTER_STRIDE and not sample.flags.c_contiguous:
        raise InputError(f"{name} must be C-contiguous; {mend}")
    if name in _ANY_OUTER_STRIDE and len(letters) > 1 and array.size and not _inner_contiguous(name, array):
        raise InputError(f"{name} must have an inner stride of one element; {mend}")


def _check_halves(name: str, arguments: dict[str, Any]) -> None:
    """Refuse what is not done with a table of halves."""
    table, linear, entries = (arguments.get(key) for key in ("table", "linear", "entries"))
    if table is None:
        return
    if linear is not None and linear.dtype != table.dtype and (is_half(linear.dtype) or is_half(table.dtype)):
        raise InputError(f"linear must be {table.dtype} as table is, got {linear.dtype}")
    if not is_half(table.dtype):
        return
    if name not in _READ_HALVES:
        raise InputError(f"{name}: a {table.dtype} table can only be read; train in float32 and convert for serving")
    if entries is not None and entries.pooling == "max":
        raise InputError(f"max pooling needs a float32 or float64 table, got {table.dtype}")


def _require_writeable(kernel: str, name: str, array: Any) -> None:
    if isinstance(array, np.ndarray) and not array.flags.writeable:
        raise InputError(f"{name} is read-only, and {kernel} changes it in place; pass an array that can be written to")


def _of_a_plan(name: str, array: Any) -> bool:
    """Whether the array is the rows of a device's plan, which are uint32."""
    return name == "rows" and array.dtype == np.uint32 and not isinstance(array, np.ndarray)


def _inner_contiguous(name: str, array: Any) -> bool:
    if array.shape[-1] == 1 or array.strides[-1] == array.itemsize:
        return True
    return name in ("left", "right") and array.strides[0] == array.itemsize


def _check_entries(entries: Entries, dtypes: dict[Any, str]) -> None:
    ids, fields, offsets, values, pooling = entries
    _check_array("ids", "N", ids, {}, {})
    if pooling not in POOLINGS:
        raise InputError(f"unknown pooling {pooling!r}; known: {', '.join(POOLINGS)}")
    if fields < 1 or (pooling == "none" and fields != 1):
        raise InputError(
            f"entries.fields must be {'1 under pooling none' if pooling == 'none' else 'at least 1'}, got {fields}"
        )
    if offsets is not None:
        if offsets.dtype != np.int64 or offsets.ndim != 1 or len(offsets) < 1:
            raise InputError(f"offsets must be int64 [M+1], got {offsets.dtype} {offsets.shape}")
        first, last, falls = _read(offsets[0], offsets[-1], (offsets[1:] < offsets[:-1]).any())
        if first != 0 or last != len(ids) or falls:
            raise InputError(f"offsets must rise from 0 to the number of ids, {len(ids)}")
    if entries.slots % fields:
        raise InputError(f"{entries.slots} slots cannot be {fields} fields of whole samples")
    if values is not None:
        _check_array("values", "N", values, {"N": len(ids)}, dtypes)


def check_ids(ids: Any, rows: int, name: str = "ids") -> None:
    """Raise InputError naming the first id outside 0..rows-1 and its position."""
    if ids.size == 0:
        return
    low, high = _read(ids.min(), ids.max())
    if low < 0 or high >= rows:
        flat = ids.reshape(-1)
        (position,) = _read(np.argmax((flat < 0) | (flat >= rows)))
        raise InputError(f"{name}[{position}] is {_read(flat[position])[0]}, outside the table's rows 0..{rows - 1}")


def _read(*numbers: Any) -> list[int]:
    """Whole numbers and truth values, those of a device in one go."""
    if isinstance(numbers[0], np.generic):
        return [int(number) for number in numbers]
    return memory.to_host(np.stack([number.astype(np.int64) for number in numbers])).tolist()


globals().update({name: _public(name) for name in KERNELS})
__all__ = [*KERNELS, "check_ids"]  # pyright: ignore[reportUnsupportedDunderAll]
