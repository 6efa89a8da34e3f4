"""Optimizers of a table's rows: they take the gradient by what a lookup returned and change the rows of its ids alone.

No gradient by the table is ever built. Tables and states go in and come out: where they are donated to the jitted step
around it, or carried by a loop in it, the rows are changed in place; else XLA copies them first, and what was given
stays as it was. Rules, row by row: ``fastfm_core.contract``, update_rows_*; the same bits as ``fastfm_core.kernels``.
Rows that are not looked up keep weights and state, so Adam is the lazy one. Same inputs, same bits, on any number of
threads. Under vmap one call follows the other.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fastfm_core.errors import InputError
from fastfm_jax.calls import Array, call, floats, integers, require_shape, result
from fastfm_jax.lookup import MODES, Looked, flags_of, values_like

RULES = {"sgd": 0, "adagrad": 1, "rowwise_adagrad": 1, "adam": 2}  # and how many states they keep
Rate = float | Array | Callable[[Array], Array]


class RowState(NamedTuple):
    """What an optimizer keeps.

    step    [] int32, the steps taken
    arrays  of the table, then of linear where there is one: sums of squares, or first and second moments
    """

    step: Array
    arrays: tuple[Array, ...]


class RowOptimizer(NamedTuple):
    """A rule for rows, made by ``sgd``, ``adagrad``, ``rowwise_adagrad`` or ``adam``."""

    rule: str
    lr: Rate
    initial: float = 0.0
    eps: float = 1e-10
    betas: tuple[float, float] = (0.0, 0.0)

    def init(self, tables: Any) -> RowState:
        """The state before the first step of a table [V, C], or of (table, linear [V])."""
        made = []
        for table in tables if isinstance(tables, (tuple, list)) else [tables]:
            shape = table.shape[:1] if self.rule == "rowwise_adagrad" else table.shape
            made += [jnp.full(shape, self.initial, table.dtype) for _ in range(RULES[self.rule])]
        return RowState(jnp.zeros((), jnp.int32), tuple(made))

    def apply(
        self, tables: Any, state: RowState, ids: Array, grads: Any, sums: Array | None = None,
        *, offsets: Array | None = None, values: Array | None = None, mode: str = "sum",
        lr: float | Array | None = None, check: bool = True,
    ) -> tuple[Any, RowState]:  # fmt: skip
        """One step; the new tables, in the form of the old ones, and the new state.

        tables   a table, or (table, linear); as they were looked up
        ids      of the lookup
        grads    the gradient by what the lookup returned: ``Looked`` of ``embedding_fm``, which needs its ``sums``, or
                 an array of ``embedding_gather``, or of ``embedding_bag``, whose ``offsets`` and ``mode`` it needs
        values   of the lookup, where it had them
        lr       of this step, instead of the optimizer's
        check    whether an id that is no row is an error, which names the first; then no row has changed

        ``lr``, here or as the optimizer's, may be a traced number, the optimizer's also a function of the steps taken.
        """
        if mode not in MODES:
            raise InputError(f"unknown mode {mode!r}; known: {', '.join(MODES)}")
        if lr is None:
            lr = self.lr(state.step) if callable(self.lr) else self.lr
        told = (self.rule, float(self.eps), *map(float, self.betas), MODES.index(mode), check)
        if isinstance(lr, (int, float)):
            return _apply(tables, state, ids, grads, sums, offsets, values, None, (*told, float(lr)))
        return _apply(tables, state, ids, grads, sums, offsets, values, _rate(lr), (*told, 0.0))


def sgd(lr: Rate) -> RowOptimizer:
    """w -= lr g."""
    return RowOptimizer("sgd", lr)


def adagrad(lr: Rate, *, initial_accumulator: float = 0.1, eps: float = 1e-10) -> RowOptimizer:
    """a += g^2;  w -= lr g / (sqrt(a) + eps), with a of the table's shape. Duchi et al., JMLR 2011."""
    return RowOptimizer("adagrad", lr, initial_accumulator, eps)


def rowwise_adagrad(lr: Rate, *, initial_accumulator: float = 0.1, eps: float = 1e-10) -> RowOptimizer:
    """a += mean(g^2) over the row;  w -= lr g / (sqrt(a) + eps), with one a for each row, [V]."""
    return RowOptimizer("rowwise_adagrad", lr, initial_accumulator, eps)


def adam(lr: Rate, *, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> RowOptimizer:
    """Kingma & Ba, ICLR 2015, on the rows of the step; the others' moments do not decay."""
    return RowOptimizer("adam", lr, 0.0, eps, (beta1, beta2))


def _rate(lr: Array) -> jax.Array:
    lr = jnp.asarray(lr)
    require_shape("lr", lr, ())
    return lr if lr.dtype in (jnp.float32, jnp.float64) else lr.astype(jnp.float32)


@functools.partial(jax.jit, static_argnums=8)
def _apply(
    tables: Any, state: RowState, ids: Array, grads: Any, sums: Array | None, offsets: Array | None,
    values: Array | None, lr: Array | None, told: tuple[Any, ...],
) -> tuple[Any, RowState]:  # fmt: skip
    rule, eps, beta1, beta2, mode, check, rate = told
    pair = isinstance(tables, (tuple, list))
    if pair and len(tables) != 2:
        raise InputError(f"tables must be a table or (table, linear), got {len(tables)} arrays")
    table, linear = tables if pair else (tables, None)
    table, ids = floats("table", table, dims=2), integers("ids", ids)
    values = values_like(ids, values, table)
    if isinstance(grads, Looked):
        if offsets is not None or mode:
            raise InputError("embedding_fm has no bags: offsets and mode are of embedding_bag")
        sources, flags = _of_fm(table, linear, ids, grads, sums)
    else:
        sources, flags = _of_rows(table, linear, ids, grads, offsets)
    changed, kept = _in_order([table, linear] if pair else [table], state, rule), RULES[rule]
    step = state.step + 1
    flags |= {
        "rule": list(RULES).index(rule), "eps": eps, "beta1": beta1, "beta2": beta2, "lr": rate,
        "traced": lr is not None, "linear": pair, "values": values is not None, "mode": mode, "check": check,
    }  # fmt: skip
    new = call(
        "update", [result(each, *each.shape) for each in changed], *changed, ids, lr, step if rule == "adam" else None,
        offsets, values, *sources, aliases={k: k for k in range(len(changed))}, **flags,
    )  # fmt: skip
    moved = jax.tree.unflatten(jax.tree.structure(tables), new[:: 1 + kept])
    return moved, RowState(step, tuple(each for k, each in enumerate(new) if k % (1 + kept)))


def _in_order(tables: list[Array], state: RowState, rule: str) -> list[Array]:
    """What a step changes: each table and behind it its states."""
    kept = RULES[rule]
    if len(state.arrays) != kept * len(tables):
        raise InputError(f"the state is not of {rule} and these tables: it has {len(state.arrays)} arrays")
    found = []
    for number, table in enumerate(tables):
        states = state.arrays[number * kept :][:kept]
        for each in states:
            require_shape("a state", each, table.shape[:1] if rule == "rowwise_adagrad" else table.shape)
        found += [table, *(floats("a state", each, dims=-1, like=table) for each in states)]
    return found


def _of_fm(
    table: Array, linear: Array | None, ids: Array, grads: Looked, sums: Array | None
) -> tuple[list[Array | None], dict[str, Any]]:
    """The sources of a row's gradient behind ``embedding_fm``, and the flags that say which there are."""
    if sums is None:
        raise InputError("the gradient by embedding_fm's result needs its sums: look up with sums=True")
    lead = ids.shape[:-1]
    lane = table.shape[1] == sums.shape[-1] + 1
    require_shape("sums", floats("sums", sums, dims=-1, like=table), (*lead, table.shape[1] - lane))
    require_shape("grads.pair", floats("grads.pair", grads.pair, dims=-1, like=table), lead)
    if grads.deep is not None:
        floats("grads.deep", grads.deep, dims=ids.ndim, like=table)
        if grads.deep.shape[-1] < ids.shape[-1] * sums.shape[-1] or grads.deep.shape[:-1] != lead:
            raise InputError(f"grads.deep must have shape [..., F*D + I], got {grads.deep.shape}")
    if lane and linear is not None:
        raise InputError("the table has its first order as a lane, so there is no linear beside it")
    if linear is not None:
        require_shape("linear", floats("linear", linear, dims=1, like=table), table.shape[:1])
    first = grads.first if lane or linear is not None else None
    if first is not None:
        require_shape("grads.first", floats("grads.first", first, dims=-1, like=table), lead)
    flags = {"lane": lane, "fields": ids.shape[-1], "pairs": True, "slots": grads.deep is not None}
    return [sums, grads.pair, grads.deep, first], flags_of(**flags, first=first is not None)


def _of_rows(
    table: Array, linear: Array | None, ids: Array, grads: Array, offsets: Array | None
) -> tuple[list[Array | None], dict[str, Any]]:
    """The same behind ``embedding_gather`` and ``embedding_bag``."""
    if linear is not None:
        raise InputError("rows that were gathered have no first order: give one table")
    grads = floats("grads", grads, dims=-1, like=table)
    bags = offsets is not None or grads.ndim == ids.ndim
    if offsets is not None:
        lead = (len(integers("offsets", offsets, least_dims=1)) - 1,)
    else:
        lead = ids.shape[:-1] if bags else ids.shape
    require_shape("grads", grads, (*lead, table.shape[1]))
    return [grads], flags_of(bags=bags, offsets=offsets is not None)
