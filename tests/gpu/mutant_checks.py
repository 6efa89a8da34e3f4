"""Small checks of the backend's kernels, which planted bugs must fail: results equal the reference's in any order.

Each names the instances that it launches, so that no others are compiled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import emulated_cupy as cupy
import numpy as np

from fastfm_core import backends
from fastfm_core.backends.cuda import columns, dense, device, lookup, loss, norm, pair, plan, updates
from fastfm_core.contract import Entries, RowSource

reference = backends.get("reference")
draw = np.random.default_rng(0)


class Check(NamedTuple):
    """What a check launches of the file that a bug is in, and the check; it raises where the kernels are wrong."""

    file: str
    instances: list[str]
    run: Callable[[], None]


def _normal(*shape: int) -> np.ndarray:
    return draw.standard_normal(shape).astype(np.float32)


def _equal(found: Any, expected: Any, tolerance: float = 2e-5) -> None:
    np.testing.assert_allclose(cupy.peek(found), expected, rtol=tolerance, atol=tolerance)


def _plan() -> None:
    """Two tiles of ids, some of them frequent, that need two passes."""
    ids = (draw.random(4200) ** 3 * 60_000).astype(np.int32)
    made = plan.plan_rows(cupy.asarray(ids), 60_000)
    order = np.argsort(ids, kind="stable")
    np.testing.assert_array_equal(cupy.peek(made.order), order)
    np.testing.assert_array_equal(cupy.peek(made.keys), ids[order])


def _update() -> None:
    """Runs within chunks, across them, and over many of them."""
    samples, fields, dim = 20, 5, 12
    ids = (draw.random(samples * fields) ** 2 * 9).astype(np.int32)
    table, accumulator = _normal(9, dim), np.abs(_normal(9, dim))
    arrays = {"pair_grad": _normal(samples), "sums": _normal(samples, dim), "slot_grad": _normal(samples, fields, dim)}
    on_device = [cupy.asarray(table), cupy.asarray(accumulator)]
    order = np.argsort(ids, kind="stable")
    keys, entries = (cupy.asarray(array.astype(np.uint32)) for array in (ids[order], order))
    sorted_rows = plan.SortedRows(keys, entries, ids.dtype)
    source = RowSource(fields, **{name: cupy.asarray(array) for name, array in arrays.items()})
    updates.update_rows_adagrad_(*on_device, sorted_rows, source, lr=0.1)
    made = reference.plan_rows(ids, 9)
    reference.update_rows_adagrad_(table, accumulator, made, RowSource(fields, **arrays), lr=0.1)
    _equal(on_device[0], table, 1e-4)
    _equal(on_device[1], accumulator, 1e-4)


def _lookup() -> None:
    """Rows that go on behind their vectors: three numbers more."""
    samples, fields, dim = 11, 3, 16
    table, linear, dense_part = _normal(50, dim), _normal(50), _normal(samples, 3)
    entries = Entries(draw.integers(0, 50, samples * fields).astype(np.int32), fields)
    out = lookup.embedding_fm(
        cupy.asarray(table), cupy.asarray(linear), entries._replace(ids=cupy.asarray(entries.ids)),
        cupy.asarray(dense_part), deep=True,
    )  # fmt: skip
    expected = reference.embedding_fm(table, linear, entries, dense_part, deep=True)
    for found, right in zip(out[:4], expected[:4], strict=True):
        _equal(found, right, 1e-4)


def _bags() -> None:
    """Means over bags, and the largest of equal numbers."""
    lengths = draw.integers(0, 4, 40)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    table = np.round(_normal(30, 5))
    entries = Entries(draw.integers(0, 30, offsets[-1]).astype(np.int32), 4, offsets, None, "max")
    on_device = entries._replace(ids=cupy.asarray(entries.ids), offsets=cupy.asarray(offsets))
    for found, right in zip(
        lookup.embedding_bag(cupy.asarray(table), on_device), reference.embedding_bag(table, entries), strict=True
    ):
        _equal(found, right)
    np.testing.assert_array_equal(cupy.peek(lookup.entry_slots(on_device)), np.repeat(np.arange(40), lengths))


def _far_row() -> None:
    """A row whose first element is the 2^31st of its table; nothing before it is touched."""
    rows = (1 << 25) + 1
    table = np.zeros((rows, 64), np.float16)
    table[-1] = 3
    ids = np.full(2, rows - 1, np.int32)
    _equal(lookup.embedding_gather(cupy.from_dlpack(table), cupy.asarray(ids)), np.full((2, 64), 3.0))


def _bias_gradient() -> None:
    """Columns that do not fill their tile, rows in pieces."""
    grad, output = _normal(300, 20), _normal(300, 20)
    dx, by_bias = dense.bias_relu_dropout_backward(cupy.asarray(grad), cupy.asarray(output), 0.0)
    expected = np.where(output > 0, grad, 0)
    _equal(dx, expected)
    _equal(by_bias, expected.sum(0), 1e-4)


def _column_sums() -> None:
    parts = _normal(100, 13)
    _equal(columns.column_sums(cupy.asarray(parts)), parts.sum(0), 1e-4)


def _batch_norm() -> None:
    x, gamma, beta, grad = _normal(70, 12), _normal(12), _normal(12), _normal(70, 12)
    on_device = [cupy.asarray(array) for array in (x, gamma, beta)]
    out, mean, variance = norm.batch_norm(*on_device, 1e-5)
    expected = reference.batch_norm(x, gamma, beta, 1e-5)
    for found, right in zip((out, mean, variance), expected, strict=True):
        _equal(found, right, 1e-4)
    found = norm.batch_norm_backward(cupy.asarray(grad), on_device[0], on_device[1], mean, variance, 1e-5)
    for made, right in zip(found, reference.batch_norm_backward(grad, x, gamma, *expected[1:], 1e-5), strict=True):
        _equal(made, right, 1e-3)


def _sample_losses() -> None:
    logits, labels = _normal(600), draw.integers(0, 2, 600).astype(np.float32)
    found = loss.bce_with_logits(cupy.asarray(logits), cupy.asarray(labels), None)
    for made, right in zip(found, reference.bce_with_logits(logits, labels, None), strict=True):
        _equal(made, right)


def _group_losses() -> None:
    logits = _normal(100, 7)
    found = loss.softmax_cross_entropy(cupy.asarray(logits), None)
    for made, right in zip(found, reference.softmax_cross_entropy(logits, None), strict=True):
        _equal(made, right)


def _pairs() -> None:
    vectors = _normal(9, 5, 8)
    pairs = np.array([(f, g) for f in range(5) for g in range(f + 1, 5)], np.int32)
    grad = _normal(9)
    on_device = cupy.asarray(grad), cupy.asarray(vectors), cupy.asarray(pairs)
    found, _ = pair.pair_interaction_backward(*on_device, None)
    _equal(found, reference.pair_interaction_backward(grad, vectors, pairs, None)[0], 1e-4)
    _equal(pair.pair_products(*on_device[1:], "inner"), reference.pair_products(vectors, pairs, "inner"), 1e-4)


def _named(kernel: str, *parameters: Any) -> str:
    return device.instance(kernel, *parameters)


FLOAT = ("float32", 4)
CHECKS = {
    "plan": Check(
        "plan.cu",
        ["scan_counts", *(_named(k, t) for k in ("count_digits", "move_pairs") for t in ("int32", "uint32"))],
        _plan,
    ),
    "update": Check("rows.cu", [_named("update_rows", *FLOAT, "Adagrad", of) for of in ("Plain", "Parts")], _update),
    "lookup": Check("lookup.cu", [_named("embedding_fm", "float32", "float32", "int32", v) for v in (1, 4)], _lookup),
    "bags": Check(
        "lookup.cu", [_named("embedding_max", "float32", "int32"), _named("describe_entries", "float32")], _bags
    ),
    "far_row": Check("lookup.cu", [_named("embedding_bag", "float16", "float32", "int32", 4)], _far_row),
    "bias_gradient": Check("dense.cu", [_named("bias_relu_dropout_backward", *FLOAT)], _bias_gradient),
    "column_sums": Check("columns.cu", [_named("column_sums", "float32")], _column_sums),
    "batch_norm": Check(
        "norm.cu", [_named("batch_norm_moments", "float32"), *(_named(name, *FLOAT) for name in norm.WIDE)], _batch_norm
    ),
    "sample_losses": Check(
        "loss.cu", [_named("sample_losses", "float32"), _named("sample_gradients", "float32")], _sample_losses
    ),
    "group_losses": Check(
        "loss.cu", [_named("group_losses", "float32"), _named("group_gradients", "float32")], _group_losses
    ),
    "pairs": Check("pair.cu", ["pair_places", _named("pair_backward", *FLOAT), _named("pair_inner", *FLOAT)], _pairs),
}
