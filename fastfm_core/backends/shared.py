"""Kernels that the tuned CPU backends share, for NumPy is fast enough here. Formulas and shapes: the contract."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from fastfm_core.contract import Entries, RowPlan

KEY_ROWS = 1 << 31  # rows beyond this do not fit the upper half of a sort key of row and position
BLOCK = 4096  # steps whose bias corrections are kept together


def entry_slots(entries: Entries) -> np.ndarray | None:
    """Slot of each entry, [N] int32; None where the slot is the entry itself."""
    if entries.offsets is None:
        return None
    return np.repeat(np.arange(entries.slots, dtype=np.int32), np.diff(entries.offsets))


def pooling_coefficients(entries: Entries, dtype: Any) -> np.ndarray | None:
    """c_i of each entry, [N]; None where all are 1."""
    values = None if entries.values is None else entries.values.astype(dtype, copy=False)
    factors = pooling_factors(entries, dtype)
    if factors is None:
        return values
    return factors if values is None else values * factors


def pooling_factors(entries: Entries, dtype: Any) -> np.ndarray | None:
    """p_i = dc_i/dx_i: 1/n for mean, 1/sqrt(n) for sqrtn; None where it is 1."""
    if entries.offsets is None or entries.pooling not in ("mean", "sqrtn"):
        return None
    counts = np.diff(entries.offsets)
    factors = 1.0 / np.maximum(counts, 1)
    return np.repeat((factors if entries.pooling == "mean" else np.sqrt(factors)).astype(dtype), counts)


def merge_plans(plans: list[RowPlan]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Union of the plans' rows, ascending, and per plan the position in it of each of its rows."""
    rows = np.unique(np.concatenate([plan.rows for plan in plans]))
    return rows, [np.searchsorted(rows, plan.rows) for plan in plans]


def plan_by_comparison(ids: np.ndarray) -> RowPlan:
    """The plan of ids too large for a radix sort's 64-bit keys of row and position."""
    order = np.argsort(ids, kind="stable").astype(np.int32)
    rows, starts = np.unique(ids[order], return_index=True)
    return RowPlan(rows, np.append(starts, len(ids)), order)


def adam_constants(
    step: int, rates: np.ndarray, beta1: float, beta2: float, weight_decay: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What AdamW multiplies m, sqrt(v) and w with in each of the steps up to ``step`` that have these rates, [K]."""
    sizes = rates / _bias_corrections(beta1, step, len(rates))
    return sizes, _bias_corrections(beta2, step, len(rates)) ** -0.5, 1.0 - rates * weight_decay


def _bias_corrections(beta: float, step: int, count: int) -> np.ndarray:
    """1 - beta^t of the ``count`` steps up to ``step``."""
    first = step - count + 1
    start = first // BLOCK
    blocks = [_block_of_corrections(beta, block) for block in range(start, step // BLOCK + 1)]
    return np.concatenate([np.zeros(0), *blocks])[first - start * BLOCK :][:count]


@functools.lru_cache(maxsize=1024)
def _block_of_corrections(beta: float, block: int) -> np.ndarray:
    return np.array([1.0 - beta**t for t in range(block * BLOCK, (block + 1) * BLOCK)])
