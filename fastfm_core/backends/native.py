"""The compiled CPU backend: the C++ kernels of csrc/, for the best instruction set that this CPU has.

Each function hands NumPy arrays to ``fastfm_core._native``, which checks them, takes no copies, releases the GIL and
runs on one pool of threads. Formulas, shapes and dtypes: ``fastfm_core.contract``.

FASTFM_CORE_ISA=avx512|avx2|baseline takes another instruction set's kernels than the best.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from fastfm_core import _native, random
from fastfm_core.backends import blas, shared
from fastfm_core.contract import DropoutKey, EmbeddingFM, Entries, Product, RowPlan, RowSource, is_half
from fastfm_core.errors import InputError

name = "native"


if _isa := os.environ.get("FASTFM_CORE_ISA"):
    _native.use_isa(_isa)


# ---- lookup ---------------------------------------------------------------------------------------------------------


def embedding_gather(table: np.ndarray, ids: np.ndarray) -> np.ndarray:
    stored, half, _ = _as_stored(table)
    rows = _native.pool_slots(stored, half, np.ascontiguousarray(ids).reshape(-1), None, None)
    return rows.reshape(*ids.shape, table.shape[1])


def embedding_bag(table: np.ndarray, entries: Entries) -> tuple[np.ndarray, np.ndarray | None]:
    if entries.pooling == "none":
        raise InputError("embedding_bag pools: pooling='none' has no slots to pool into; use embedding_fm")
    if entries.pooling == "max":
        return _native.pool_largest(table, entries.ids, entries.offsets, entries.values)
    stored, half, dtype = _as_stored(table)
    coefficients = pooling_coefficients(entries, dtype)
    return _native.pool_slots(stored, half, entries.ids, entries.offsets, coefficients), None


def embedding_fm(
    table: np.ndarray, linear: np.ndarray | None, entries: Entries, dense: np.ndarray | None, *, deep: bool
) -> EmbeddingFM:
    if deep and entries.pooling == "none":
        raise InputError("pooling='none' pools nothing, so there are no slots to concatenate: ask with deep=False")
    if entries.pooling == "max":
        return _fm_of_largest(table, linear, entries, dense, deep)
    stored, half, dtype = _as_stored(table)
    if half and linear is not None:
        linear = linear.view(np.uint16)
    coefficients = pooling_coefficients(entries, dtype)
    ids, fields, offsets = entries.ids, entries.fields, entries.offsets
    terms = entries.pooling == "none"
    arguments = stored, linear, half, ids, offsets, coefficients, fields, terms, dense, deep
    first, pair, sums, wide = _native.embedding_fm(*arguments)
    return EmbeddingFM(first, pair, sums, wide, None, None)


def _as_stored(table: np.ndarray) -> tuple[np.ndarray, str, Any]:
    """A table as the kernels take it, the name of its halves' format ("" where it has none), and the dtype to compute
    in. Halves go as uint16."""
    if is_half(table.dtype):
        return table.view(np.uint16), table.dtype.name, np.float32
    return table, "", table.dtype


def _fm_of_largest(
    table: np.ndarray, linear: np.ndarray | None, entries: Entries, dense: np.ndarray | None, deep: bool
) -> EmbeddingFM:
    slots, winners = embedding_bag(table, entries)
    first, pair, sums, wide = _native.fm_of_slots(slots, entries.fields, dense, deep)
    linear_winners = None
    if linear is not None:
        largest, linear_winners = embedding_bag(linear[:, None], entries)
        first = largest.reshape(entries.samples, entries.fields).sum(axis=1)
    return EmbeddingFM(first, pair, sums, wide, winners, linear_winners)


def entry_slots(entries: Entries) -> np.ndarray | None:
    return shared.entry_slots(entries)


def pooling_coefficients(entries: Entries, dtype: Any) -> np.ndarray | None:
    return shared.pooling_coefficients(entries, dtype)


def value_gradient(table: np.ndarray, entries: Entries, source: RowSource) -> np.ndarray:
    return _native.value_gradient(table, entries.ids, shared.pooling_factors(entries, table.dtype), source)


# ---- interaction ----------------------------------------------------------------------------------------------------


def fm_interaction(fields: np.ndarray) -> np.ndarray:
    return _native.interact(fields, False)


def fm_interaction_backward(grad: np.ndarray, fields: np.ndarray) -> np.ndarray:
    return _native.interact_backward(grad, fields, False)


def bi_interaction(fields: np.ndarray) -> np.ndarray:
    return _native.interact(fields, True)


def bi_interaction_backward(grad: np.ndarray, fields: np.ndarray) -> np.ndarray:
    return _native.interact_backward(grad, fields, True)


def pair_interaction(vectors: np.ndarray, pairs: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    return _native.pair_interaction(vectors, pairs, weights)


def pair_interaction_backward(
    grad: np.ndarray, vectors: np.ndarray, pairs: np.ndarray, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    return _native.pair_interaction_backward(grad, vectors, pairs, weights)


def pair_products(vectors: np.ndarray, pairs: np.ndarray, product: Product) -> np.ndarray:
    return _native.pair_products(vectors, pairs, product)


def pair_products_backward(grad: np.ndarray, vectors: np.ndarray, pairs: np.ndarray, product: Product) -> np.ndarray:
    return _native.pair_products_backward(grad, vectors, pairs, product)


# ---- rows -----------------------------------------------------------------------------------------------------------


def plan_rows(ids: np.ndarray, table_rows: int) -> RowPlan:
    if table_rows > shared.KEY_ROWS or len(ids) >= shared.KEY_ROWS:
        return shared.plan_by_comparison(ids)
    return RowPlan(*_native.plan_rows(np.ascontiguousarray(ids), table_rows))


def merge_plans(plans: list[RowPlan]) -> tuple[np.ndarray, list[np.ndarray]]:
    return shared.merge_plans(plans)


def materialize_rows(table: np.ndarray, plan: RowPlan, source: RowSource) -> np.ndarray:
    return _native.materialize_rows(table, plan, source)


def row_gradient_norm2(table: np.ndarray, plan: RowPlan, source: RowSource) -> float:
    return _native.row_gradient_norm2(table, plan, source)


def update_rows_sgd_(
    table: np.ndarray, plan: RowPlan, source: RowSource, *, lr: float, l2: float = 0.0, grad_scale: float = 1.0
) -> None:
    _native.update_rows_sgd_(table, plan, source, lr, l2, grad_scale)


def update_rows_adagrad_(
    table: np.ndarray, accumulator: np.ndarray, plan: RowPlan, source: RowSource,
    *, lr: float, eps: float = 1e-10, l2: float = 0.0, grad_scale: float = 1.0,
) -> None:  # fmt: skip
    _native.update_rows_adagrad_(table, accumulator, plan, source, lr, eps, l2, grad_scale)


def update_rows_rowwise_adagrad_(
    table: np.ndarray, accumulator: np.ndarray, plan: RowPlan, source: RowSource,
    *, lr: float, eps: float = 1e-10, l2: float = 0.0, grad_scale: float = 1.0,
) -> None:  # fmt: skip
    _native.update_rows_rowwise_adagrad_(table, accumulator, plan, source, lr, eps, l2, grad_scale)


def update_rows_adam_(
    table: np.ndarray, moment1: np.ndarray, moment2: np.ndarray, plan: RowPlan, source: RowSource,
    *, step: int, lr: float, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8,
    l2: float = 0.0, grad_scale: float = 1.0,
) -> None:  # fmt: skip
    update_rows_adamw_(
        table, moment1, moment2, plan, source, step=step, lr=lr, beta1=beta1, beta2=beta2, eps=eps, weight_decay=0.0,
        l2=l2, grad_scale=grad_scale,
    )  # fmt: skip


def update_rows_adamw_(
    table: np.ndarray, moment1: np.ndarray, moment2: np.ndarray, plan: RowPlan, source: RowSource,
    *, step: int, lr: float, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8,
    weight_decay: float = 0.01, l2: float = 0.0, grad_scale: float = 1.0,
) -> None:  # fmt: skip
    rate, correction, kept = lr / (1.0 - beta1**step), (1.0 - beta2**step) ** -0.5, 1.0 - lr * weight_decay
    arguments = (rate, correction, kept, beta1, beta2, eps, l2, grad_scale)
    _native.update_rows_adam_(table, moment1, moment2, plan, source, *arguments)


def update_rows_ftrl_(
    table: np.ndarray, dual: np.ndarray, accumulator: np.ndarray, plan: RowPlan, source: RowSource,
    *, lr: float, beta: float = 1.0, l1: float = 0.0, ridge: float = 0.0, l2: float = 0.0, grad_scale: float = 1.0,
) -> None:  # fmt: skip
    _native.update_rows_ftrl_(table, dual, accumulator, plan, source, lr, beta, l1, ridge, l2, grad_scale)


def catch_up_rows_sgd_(
    table: np.ndarray, last: np.ndarray, rows: np.ndarray | None, *, step: int, rates: np.ndarray, l2: float = 0.0
) -> None:
    _native.catch_up_rows_sgd_(table, last, rows, step, rates, l2)


def catch_up_rows_adagrad_(
    table: np.ndarray, accumulator: np.ndarray, last: np.ndarray, rows: np.ndarray | None,
    *, step: int, rates: np.ndarray, eps: float = 1e-10, l2: float = 0.0,
) -> None:  # fmt: skip
    _native.catch_up_rows_adagrad_(table, accumulator, last, rows, step, rates, eps, l2)


def catch_up_rows_rowwise_adagrad_(
    table: np.ndarray, accumulator: np.ndarray, last: np.ndarray, rows: np.ndarray | None,
    *, step: int, rates: np.ndarray, eps: float = 1e-10, l2: float = 0.0,
) -> None:  # fmt: skip
    _native.catch_up_rows_rowwise_adagrad_(table, accumulator, last, rows, step, rates, eps, l2)


def catch_up_rows_adam_(
    table: np.ndarray, moment1: np.ndarray, moment2: np.ndarray, last: np.ndarray, rows: np.ndarray | None,
    *, step: int, rates: np.ndarray, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, l2: float = 0.0,
) -> None:  # fmt: skip
    catch_up_rows_adamw_(
        table, moment1, moment2, last, rows, step=step, rates=rates, beta1=beta1, beta2=beta2, eps=eps,
        weight_decay=0.0, l2=l2,
    )  # fmt: skip


def catch_up_rows_adamw_(
    table: np.ndarray, moment1: np.ndarray, moment2: np.ndarray, last: np.ndarray, rows: np.ndarray | None,
    *, step: int, rates: np.ndarray, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8,
    weight_decay: float = 0.01, l2: float = 0.0,
) -> None:  # fmt: skip
    constants = shared.adam_constants(step, rates, beta1, beta2, weight_decay)
    arguments = (*constants, beta1, beta2, eps, weight_decay != 0, l2)
    _native.catch_up_rows_adam_(table, moment1, moment2, last, rows, step, *arguments)


def catch_up_rows_ftrl_(
    table: np.ndarray, dual: np.ndarray, accumulator: np.ndarray, last: np.ndarray, rows: np.ndarray | None,
    *, step: int, rates: np.ndarray, beta: float = 1.0, l1: float = 0.0, ridge: float = 0.0, l2: float = 0.0,
) -> None:  # fmt: skip
    _native.catch_up_rows_ftrl_(table, dual, accumulator, last, rows, step, rates, beta, l1, ridge, l2)


# ---- dense ----------------------------------------------------------------------------------------------------------


def matmul(left: np.ndarray, right: np.ndarray, out: np.ndarray | None = None, *, spacing: int = 0) -> np.ndarray:
    if out is not None:
        return blas.native_matmul(left, right, out)
    columns = right.shape[1]
    wide = _native.empty(left.shape[0], max(spacing, columns), left.dtype)
    return blas.native_matmul(left, right, wide[:, :columns])


def bias_relu_dropout_(x: np.ndarray, bias: np.ndarray, rate: float, key: DropoutKey | None) -> None:
    _native.bias_relu_dropout_(x, bias, _mask(rate, key) if rate > 0 and key is not None else None)


def bias_relu_dropout_backward(grad: np.ndarray, output: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray]:
    return _native.relu_backward(grad, output, 1.0 / (1.0 - rate))


def dropout(x: np.ndarray, rate: float, key: DropoutKey) -> np.ndarray:
    return _native.dropout(x.reshape(-1), _mask(rate, key)).reshape(x.shape)


def batch_norm(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, eps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    count = x.dtype.type(len(x))
    mean = _native.column_sums(x, None) / count
    variance = _native.column_sums(x, mean) / count
    return _native.batch_norm(x, mean, _inverse_deviation(variance, eps), gamma, beta), mean, variance


def batch_norm_backward(
    grad: np.ndarray, x: np.ndarray, gamma: np.ndarray, mean: np.ndarray, variance: np.ndarray, eps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    out, (dgamma, dbeta) = _native.batch_norm_backward(grad, x, mean, _inverse_deviation(variance, eps), gamma)
    return out, dgamma, dbeta


def bce_with_logits(logits: np.ndarray, labels: np.ndarray, weights: np.ndarray | None) -> tuple[float, np.ndarray]:
    return _native.bce_with_logits(logits, labels, weights)


def mean_squared_error(
    predictions: np.ndarray, labels: np.ndarray, weights: np.ndarray | None
) -> tuple[float, np.ndarray]:
    return _native.mean_squared_error(predictions, labels, weights)


def softmax_cross_entropy(logits: np.ndarray, weights: np.ndarray | None) -> tuple[float, np.ndarray]:
    return _native.softmax_cross_entropy(logits, weights)


def bpr(logits: np.ndarray, weights: np.ndarray | None) -> tuple[float, np.ndarray]:
    return _native.bpr(logits, weights)


def _inverse_deviation(variance: np.ndarray, eps: float) -> np.ndarray:
    return 1.0 / np.sqrt(variance + variance.dtype.type(eps))


def _mask(rate: float, key: DropoutKey) -> tuple[int, int, int, int, float]:
    """What names a dropout mask to the kernels: seed, step, layer, the threshold of the draws, and the scale."""
    low = 0xFFFFFFFF
    seed = key.seed & 0xFFFFFFFFFFFFFFFF
    return seed, key.step & low, key.layer & low, random.keep_threshold(rate), 1.0 / (1.0 - rate)
