"""The optimizers' kernels: steps on a plan's rows, and the steps that rows have missed.

Shapes and formulas: ``fastfm_core.contract``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastfm_core.backends import shared
from fastfm_core.backends.cuda.device import blocks_for, instance, lanes_for, launch, row_stride, xp
from fastfm_core.backends.cuda.rows import RULES, rowwise_phases, step_of, update
from fastfm_core.contract import RowSource

INSTANCES = {
    "catch_up.cu": [instance("catch_up_rows", t, rule) for t in ("float32", "float64") for rule in RULES],
}


def update_rows_sgd_(
    table: Any, plan: Any, source: RowSource, *, lr: Any, l2: float = 0.0, grad_scale: float = 1.0
) -> None:
    update("Sgd", table, (), plan, source, step_of(lr), (), l2, grad_scale)


def update_rows_adagrad_(
    table: Any, accumulator: Any, plan: Any, source: RowSource,
    *, lr: Any, eps: float = 1e-10, l2: float = 0.0, grad_scale: float = 1.0,
) -> None:  # fmt: skip
    update("Adagrad", table, (accumulator,), plan, source, step_of(lr), (eps,), l2, grad_scale)


def update_rows_rowwise_adagrad_(
    table: Any, accumulator: Any, plan: Any, source: RowSource,
    *, lr: Any, eps: float = 1e-10, l2: float = 0.0, grad_scale: float = 1.0,
) -> None:  # fmt: skip
    for phase in rowwise_phases(table, source):
        constants = eps, float(phase)
        update("RowwiseAdagrad", table, (accumulator,), plan, source, step_of(lr), constants, l2, grad_scale)


def update_rows_adam_(
    table: Any, moment1: Any, moment2: Any, plan: Any, source: RowSource,
    *, step: Any, lr: Any, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8,
    l2: float = 0.0, grad_scale: float = 1.0,
) -> None:  # fmt: skip
    update_rows_adamw_(
        table, moment1, moment2, plan, source, step=step, lr=lr, beta1=beta1, beta2=beta2, eps=eps, weight_decay=0.0,
        l2=l2, grad_scale=grad_scale,
    )  # fmt: skip


def update_rows_adamw_(
    table: Any, moment1: Any, moment2: Any, plan: Any, source: RowSource,
    *, step: Any, lr: Any, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8,
    weight_decay: float = 0.01, l2: float = 0.0, grad_scale: float = 1.0,
) -> None:  # fmt: skip
    now = step_of(lr, step, beta1, beta2, weight_decay)
    update("Adam", table, (moment1, moment2), plan, source, now, (beta1, beta2, eps), l2, grad_scale)


def update_rows_ftrl_(
    table: Any, dual: Any, accumulator: Any, plan: Any, source: RowSource,
    *, lr: Any, beta: float = 1.0, l1: float = 0.0, ridge: float = 0.0, l2: float = 0.0, grad_scale: float = 1.0,
) -> None:  # fmt: skip
    update("Ftrl", table, (dual, accumulator), plan, source, step_of(lr), (beta, l1, ridge), l2, grad_scale)


def catch_up_rows_sgd_(table: Any, last: Any, rows: Any, *, step: int, rates: np.ndarray, l2: float = 0.0) -> None:
    _replay("Sgd", table, (), last, rows, step, _sizes(rates), (), l2)


def catch_up_rows_adagrad_(
    table: Any, accumulator: Any, last: Any, rows: Any,
    *, step: int, rates: np.ndarray, eps: float = 1e-10, l2: float = 0.0,
) -> None:  # fmt: skip
    _replay("Adagrad", table, (accumulator,), last, rows, step, _sizes(rates), (eps,), l2)


def catch_up_rows_rowwise_adagrad_(
    table: Any, accumulator: Any, last: Any, rows: Any,
    *, step: int, rates: np.ndarray, eps: float = 1e-10, l2: float = 0.0,
) -> None:  # fmt: skip
    _replay("RowwiseAdagrad", table, (accumulator,), last, rows, step, _sizes(rates), (eps,), l2)


def catch_up_rows_adam_(
    table: Any, moment1: Any, moment2: Any, last: Any, rows: Any,
    *, step: int, rates: np.ndarray, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, l2: float = 0.0,
) -> None:  # fmt: skip
    catch_up_rows_adamw_(
        table, moment1, moment2, last, rows, step=step, rates=rates, beta1=beta1, beta2=beta2, eps=eps,
        weight_decay=0.0, l2=l2,
    )  # fmt: skip


def catch_up_rows_adamw_(
    table: Any, moment1: Any, moment2: Any, last: Any, rows: Any,
    *, step: int, rates: np.ndarray, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8,
    weight_decay: float = 0.01, l2: float = 0.0,
) -> None:  # fmt: skip
    nows = np.stack(shared.adam_constants(step, rates, beta1, beta2, weight_decay))
    _replay("Adam", table, (moment1, moment2), last, rows, step, nows, (beta1, beta2, eps), l2)


def catch_up_rows_ftrl_(
    table: Any, dual: Any, accumulator: Any, last: Any, rows: Any,
    *, step: int, rates: np.ndarray, beta: float = 1.0, l1: float = 0.0, ridge: float = 0.0, l2: float = 0.0,
) -> None:  # fmt: skip
    _replay("Ftrl", table, (dual, accumulator), last, rows, step, _sizes(rates), (beta, l1, ridge), l2)


def _sizes(rates: np.ndarray) -> np.ndarray:
    """What differs from step to step where that is the learning rate alone, [3, K]."""
    return np.stack([rates, np.ones(len(rates)), np.ones(len(rates))])


def _replay(
    rule: str, table: Any, states: tuple[Any, ...], last: Any, rows: Any, step: int, nows: np.ndarray,
    constants: tuple[float, ...], l2: float,
) -> None:  # fmt: skip
    """``rows`` may name a row several times in a row, as the sorted ids of a batch do; None: every row."""
    count, columns = len(last) if rows is None else len(rows), table.shape[1]
    keys = rows if rows is None or rows.dtype == np.uint32 else rows.astype(np.uint32)
    arrays = [part for state in (*states, None, None)[:2] for part in (state, row_stride(state))]
    lanes, named = lanes_for(columns), (*constants, 0.0, 0.0, 0.0)[:3]
    launch(
        "catch_up.cu", instance("catch_up_rows", table.dtype, rule), blocks_for(count * lanes), keys, count, lanes,
        columns, table, row_stride(table), *arrays, last, step, xp.asarray(nows), nows.shape[1], *named, l2,
    )  # fmt: skip
