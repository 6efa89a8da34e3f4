"""Row gradients and optimizer steps: the chunked reduction of rows.cu, level by level, and the rules' constants.

Shapes and formulas: ``fastfm_core.contract``. A learning rate, and Adam's step, may be given as arrays of one number on
the device, so that a captured step can be replayed with other ones.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastfm_core.backends.cuda.device import (
    blocks_for,
    column_vectors,
    here_or_there,
    instance,
    lanes_for,
    launch,
    row_stride,
    xp,
)
from fastfm_core.backends.cuda.lookup import pooling_factors
from fastfm_core.backends.cuda.plan import INTEGERS, plan_rows, sorted_pairs
from fastfm_core.contract import Entries, EveryRow, RowSource

RULES = ("Sgd", "Adagrad", "RowwiseAdagrad", "Adam", "Ftrl")
SOURCES = ("Plain", "Entries", "Parts")
WIDTHS = (("float32", 4), ("float32", 1), ("float64", 1))
INSTANCES = {
    "rows.cu": [
        *(instance("update_rows", t, v, rule, source) for t, v in WIDTHS for rule in RULES for source in SOURCES),
        *(instance("show_gradients", t, v, source) for t, v in WIDTHS for source in SOURCES),
        *(instance("value_gradient", t, i) for t in ("float32", "float64") for i in INTEGERS),
        "step_now",
    ]
}
CHUNK, CHUNK_OF_PARTS = 16, 16  # entries, or parts, that a group of lanes adds up


class Step(NamedTuple):
    """What differs from one step to the next: three numbers, or ``live`` [3] float64 on the device."""

    size: float = 0.0
    correction: float = 1.0
    kept: float = 1.0
    live: Any = None


def step_of(lr: Any, step: Any = 1, beta1: float = 0.0, beta2: float = 0.0, weight_decay: float = 0.0) -> Step:
    """The step with Adam's bias corrections; made on the device where ``lr`` (float64) or ``step`` (int64) is there."""
    (rate, live_lr), (number, live_step) = here_or_there(lr), here_or_there(step)
    if live_lr is None and live_step is None:
        return Step(rate / (1.0 - beta1**number), (1.0 - beta2**number) ** -0.5, 1.0 - rate * weight_decay)
    live = xp.empty(3)
    arguments = live_lr, live_step, float(rate), number, beta1, beta2, weight_decay, live
    launch("rows.cu", "step_now", 1, *arguments, threads=1)
    return Step(live=live)


def update(
    rule: str, table: Any, states: tuple[Any, ...], plan: Any, source: RowSource, step: Step,
    constants: tuple[float, ...], l2: float, grad_scale: float,
) -> None:  # fmt: skip
    """One step of a rule on the plan's rows; ``constants`` are the rule's up to three numbers."""
    arrays = [part for state in (*states, None, None)[:2] for part in (state, row_stride(state))]
    named = (*constants, 0.0, 0.0, 0.0)[:3]
    vectors = _vectors(table, source, *(state for state in states if state.ndim == 2))
    _reduce("update_rows", (rule,), table, vectors, plan, source, (*arrays, *named, l2, grad_scale, *step))


def rowwise_phases(table: Any, source: RowSource) -> tuple[int, ...]:
    """The phases of a row-wise step: one, or two where a row has more columns than a group of lanes takes at once."""
    return (1, 2) if _dim(table, source) > 32 * _vectors(table, source) else (0,)


def materialize_rows(table: Any, plan: Any, source: RowSource) -> Any:
    """[U, D]; the number of distinct rows is read from the device."""
    rows = plan.rows
    out = xp.empty((len(rows), table.shape[1]), table.dtype)
    shown = None if isinstance(plan, EveryRow) else rows.astype(np.uint32)
    behind = shown, len(rows), out, row_stride(out), None
    _reduce("show_gradients", (), table, _vectors(table, source), plan, source, behind)
    return out


def row_gradient_norm2(table: Any, plan: Any, source: RowSource) -> Any:
    """A 0-d float64 array."""
    keys, _, count = sorted_pairs(plan)
    squares = xp.zeros(count)  # at the first entry of each row
    _reduce("show_gradients", (), table, _vectors(table, source), plan, source, (keys, count, None, 0, squares))
    return squares.sum()


def combine(table: Any, parts: list[tuple[Any, RowSource]]) -> tuple[Any, RowSource]:
    """Several plans and sources of a table as one, whose entries are those of all plans.

    The first entry of a row in a plan has the row's sum there, the others have 0: nobody asks how many rows there are.
    """
    keys, gradients = [], []
    for plan, source in parts:
        rows, _, count = sorted_pairs(plan)
        keys.append(xp.arange(count, dtype=np.uint32) if rows is None else rows)
        gradients.append(xp.zeros((count, table.shape[1]), table.dtype))
        behind = rows, count, gradients[-1], row_stride(gradients[-1]), None
        _reduce("show_gradients", (), table, _vectors(table, source), plan, source, behind)
    plan = plan_rows(xp.concatenate(keys), len(table))
    return plan, RowSource(1, slot_grad=xp.concatenate(gradients)[:, None, :])


def value_gradient(table: Any, entries: Entries, source: RowSource) -> Any:
    """[N]."""
    count, dim = len(entries.ids), _dim(table, source)
    out, lanes = xp.empty(count, table.dtype), lanes_for(dim)
    launch(
        "rows.cu", instance("value_gradient", table.dtype, entries.ids.dtype), blocks_for(count * lanes), table,
        row_stride(table), entries.ids, pooling_factors(entries, table.dtype), count, lanes, *_given(source), dim, out,
    )  # fmt: skip
    return out


def _reduce(
    kernel: str, parameters: tuple[str, ...], table: Any, vectors: int, plan: Any, source: RowSource,
    behind: tuple[Any, ...],
) -> None:  # fmt: skip
    """Sorted entries in chunks, then what the chunks have left, until one chunk holds it all."""
    dim, has_first = _dim(table, source), source.first_grad is not None
    keys, places, count = sorted_pairs(plan)
    kind, chunk, parts = _kind(source), 1 if keys is None else CHUNK, None
    width, lanes = -(-dim // 4) * 4 + 4, lanes_for(dim, vectors)
    while count:
        chunks = blocks_for(count, chunk)
        left = _left(chunks, width, table.dtype) if keys is not None else (None, None, None)
        name = instance(kernel, table.dtype, vectors, *parameters, kind)
        arguments = keys, places, count, chunk, lanes, *_given(source), parts, width, *left
        launch(
            "rows.cu", name, blocks_for(chunks * lanes), *arguments, table, row_stride(table), dim, has_first, *behind
        )
        if keys is None or chunks == 1:
            return
        (keys, places, parts), count, kind, chunk = left, 2 * chunks, "Parts", CHUNK_OF_PARTS


def _dim(table: Any, source: RowSource) -> int:
    """The columns of a row without its first-order weight."""
    return table.shape[1] - (source.first_grad is not None)


def _vectors(table: Any, source: RowSource, *states: Any) -> int:
    """How many columns are moved at once."""
    return column_vectors(_dim(table, source), table, *states, source.sums, source.slot_values, source.slot_grad)


def _left(chunks: int, width: int, dtype: Any) -> tuple[Any, Any, Any]:
    """Keys, places and sums of two parts a chunk."""
    return (
        xp.empty(2 * chunks, np.uint32),
        xp.empty(2 * chunks, np.uint32),
        xp.empty((2 * chunks, width), dtype),
    )


def _kind(source: RowSource) -> str:
    """Which kind of entries it has."""
    rare = source.entry_slots, source.coefficients, source.slot_values, source.winners
    return "Plain" if all(array is None for array in rare) else "Entries"


def _given(source: RowSource) -> tuple[Any, ...]:
    """A source as the kernels take it."""
    grad = source.slot_grad
    strides = (0, 0) if grad is None else tuple(stride // grad.itemsize for stride in grad.strides[:2])
    return (
        source.fields, source.entry_slots, source.coefficients, source.pair_grad, source.sums, source.slot_values, grad,
        *strides, source.winners, source.first_grad,
    )  # fmt: skip
