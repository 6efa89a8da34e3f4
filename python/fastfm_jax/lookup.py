"""Lookups with gradients: rows, bags of rows, and lookup, first order and FM in one pass.

The gradient by a table is dense, as JAX has it: zeros, and the sums of the rows that occur, in an order that depends on
the ids alone. ``fastfm_jax.rows`` trains without it. Formulas: ``fastfm_core.contract``. What vmap does: an unmapped
table is read by one call for all; a mapped one, and every gradient by a table, by one call after the other.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fastfm_core.errors import InputError
from fastfm_jax.calls import Array, call, floats, folding, integers, require_shape, result

MODES = ("sum", "mean", "sqrtn", "max")


class Looked(NamedTuple):
    """What ``embedding_fm`` finds, and, of the same shapes, the gradients by it.

    first  [...] sum of the rows' first-order weights; zeros without a first order
    pair   [...] 1/2 (|sum_f e_f|^2 - sum_f |e_f|^2)
    deep   [..., F*D + I] all e_f of a sample side by side, then its I raw numbers; None unless asked for
    """

    first: Array
    pair: Array
    deep: Array | None = None


@functools.partial(jax.jit, static_argnames="check")
def embedding_gather(table: Array, ids: Array, *, check: bool = True) -> jax.Array:
    """table [V, D] float32 or float64, ids [...] int32 or int64 -> table[ids], [..., D].

    An id that is no row is an error that names the first such one; ``check=False``: ids were checked elsewhere.
    """
    return _pooled(None, check)(floats("table", table, dims=2), None, integers("ids", ids), None)


@functools.partial(jax.jit, static_argnames=("mode", "check"))
def embedding_bag(
    table: Array, ids: Array, offsets: Array | None = None, *, values: Array | None = None, mode: str = "sum",
    check: bool = True,
) -> jax.Array:  # fmt: skip
    """Pooled rows: table [V, D], ids [..., L], bags of L -> [..., D]; or ids [N], offsets [M + 1] -> [M, D].

    offsets  int32 or int64, bag m has the ids offsets[m]:offsets[m + 1]; they rise from 0 to N at most. Ids behind the
             last offset belong to no bag, whatever they are: so N may be the same for all batches
    values   of the ids' shape: what their rows are multiplied with
    mode     sum, mean, or sqrtn, the sum divided by the root of the bag's size, or max, per dim the largest, of equal
             ones the first; an empty bag is 0
    check    as of ``embedding_gather``

    Differentiable by table and values.
    """
    if mode not in MODES:
        raise InputError(f"unknown mode {mode!r}; known: {', '.join(MODES)}")
    table, ids = floats("table", table, dims=2), integers("ids", ids, least_dims=1)
    if offsets is not None:
        ends = offsets = integers("offsets", offsets)
        if ids.ndim != 1 or ends.ndim != 1 or not len(ends):
            raise InputError(f"with offsets [M + 1] ids must be [N], got {ids.shape} and offsets {ends.shape}")
    return _pooled(mode, check)(table, offsets, ids, values_like(ids, values, table))


def embedding_fm(
    table: Array, linear: Array | str | None, ids: Array, *, values: Array | None = None, numbers: Array | None = None,
    deep: bool = False, sums: bool = False, check: bool = True,
) -> Any:  # fmt: skip
    """Lookup, first order and FM in one pass; each row is read once.

    table    [V, D] float32 or float64; [V, D + 1] where the first order is its lane
    linear   [V], the first-order weights; or None; or "lane": the last column of table
    ids      [..., F] int32 or int64, one row for each field
    values   [..., F], what rows and first-order weights are multiplied with: x in the FM of real numbers
    numbers  [..., I] raw numbers that stand behind the fields in deep
    deep     whether the field vectors are asked for, side by side
    sums     return (Looked, sums [..., D]), sum_f e_f, for ``RowOptimizer.apply``; no gradient flows through sums
    check    as of ``embedding_gather``

    Returns ``Looked``, which is differentiable by table, linear, values and numbers.
    """
    if isinstance(linear, str) and linear != "lane":
        raise InputError(f"linear must be an array, None or 'lane', got {linear!r}")
    lane = isinstance(linear, str)
    looked, found = _embedding_fm(table, None if lane else linear, ids, values, numbers, lane, deep, check)
    return (looked, found) if sums else looked


@functools.partial(jax.jit, static_argnums=(5, 6, 7))
def _embedding_fm(
    table: Array, linear: Array | None, ids: Array, values: Array | None, numbers: Array | None, lane: bool, deep: bool,
    check: bool,
) -> tuple[Looked, Array]:  # fmt: skip
    table, ids = floats("table", table, dims=2), integers("ids", ids, least_dims=1)
    if table.shape[1] < lane or ids.shape[-1] < 1:
        raise InputError(f"there must be a column for the lane and a field, got table {table.shape}, ids {ids.shape}")
    if linear is not None:
        linear = floats("linear", linear, dims=1, like=table)
        require_shape("linear", linear, table.shape[:1])
    if numbers is not None:
        if not deep:
            raise InputError("numbers stand in deep: ask for it with deep=True")
        extra = numbers = floats("numbers", numbers, dims=ids.ndim, like=table)
        require_shape("numbers", extra, (*ids.shape[:-1], extra.shape[-1]))
    looked, sums = _fm(lane, deep, check)(table, linear, ids, values_like(ids, values, table), numbers)
    return looked, jax.lax.stop_gradient(sums)


def values_like(ids: Array, values: Array | None, table: Array) -> Array | None:
    """Values, if they have the shape of ids and the table's dtype."""
    if values is None:
        return None
    values = floats("values", values, dims=-1, like=table)
    require_shape("values", values, ids.shape)
    return values


def table_gradient(
    table: Array, linear: Array | None, ids: Array, *sources: Array | None, **flags: Any
) -> tuple[Array, Array | None]:
    """The dense gradients by table and linear; sources in the order of csrc/library/xla_rows.cpp."""
    shapes = [result(each, *each.shape) for each in (table, linear) if each is not None]
    found = call("table_gradient", shapes, table, linear, ids, *sources, linear=linear is not None, **flags)
    return found[0], (None if linear is None else found[1])


def flags_of(**changed: Any) -> dict[str, Any]:
    """What the handlers of gradients are told: of single rows' gradient, but for what is changed."""
    return {
        "lane": False, "fields": 1, "bags": False, "offsets": False, "values": False, "mode": 0, "check": False,
        "pairs": False, "slots": True, "first": False, **changed,
    }  # fmt: skip


@functools.cache
def _pooled(mode: str | None, check: bool) -> Callable[..., Any]:
    """Bags, or with mode None single rows."""
    number = MODES.index(mode or "sum")

    def look(table: Array, offsets: Array | None, ids: Array, values: Array | None) -> Any:
        if mode is None:
            return call("gather", result(table, *ids.shape, table.shape[1]), table, ids, check=check)
        shape = ids.shape[:-1] if offsets is None else (len(offsets) - 1,)
        return call(
            "bag", result(table, *shape, table.shape[1]), table, ids, offsets, values, offsets=offsets is not None,
            values=values is not None, mode=number, check=check,
        )  # fmt: skip

    @jax.custom_vjp
    def pooled(table: Array, offsets: Array | None, ids: Array, values: Array | None) -> Any:
        return folded(table, offsets, ids, values)

    def forward(*given: Array | None) -> Any:
        return folded(*given), given

    def backward(saved: Any, grad: Array) -> Any:
        table, offsets, ids, values = saved
        flags = flags_of(
            bags=mode is not None, offsets=offsets is not None, values=values is not None, mode=number
        )  # fmt: skip
        by_table, _ = table_gradient(table, None, ids, offsets, values, grad, **flags)
        by_values = None if values is None else _by_values_of_bags(mode, grad, table, offsets, ids, values)
        return by_table, None, None, by_values

    folded = folding(look, 2)
    pooled.defvjp(forward, backward)
    return pooled


def _by_values_of_bags(
    mode: str | None, grad: Array, table: Array, offsets: Array | None, ids: Array, values: Array
) -> Array:
    """p_i <grad of i's bag, v_i>; 0 for ids of no bag, and under max for the columns that others won."""
    if offsets is None:
        rows = embedding_gather(table, ids, check=False)
        slopes, sizes = grad[..., None, :], jnp.full(ids.shape, ids.shape[-1], table.dtype)
        if mode == "max" and ids.shape[-1]:
            winner = jnp.argmax(values[..., None] * rows, axis=-2)[..., None, :]
            slopes = jnp.where(winner == jnp.arange(ids.shape[-1])[:, None], slopes, 0)
    else:
        places, bags = jnp.arange(len(ids)), len(offsets) - 1
        bag = jnp.searchsorted(offsets, places, side="right") - 1
        inside = bag < bags
        rows = embedding_gather(table, jnp.where(inside, ids, 0), check=False)
        slopes = jnp.concatenate([grad, jnp.zeros_like(grad, shape=(1, *grad.shape[1:]))])[bag]
        if mode == "max":
            terms = values[:, None] * rows
            largest = jax.ops.segment_max(terms, bag, bags + 1)[bag]
            at = jnp.where(terms == largest, places[:, None], len(ids))
            slopes = jnp.where(jax.ops.segment_min(at, bag, bags + 1)[bag] == places[:, None], slopes, 0)
        sizes = jnp.diff(offsets, append=offsets[-1:])[bag].astype(table.dtype)
    sizes = jnp.maximum(sizes, 1)
    factors = 1 / sizes if mode == "mean" else 1 / jnp.sqrt(sizes) if mode == "sqrtn" else 1.0
    return factors * (slopes * rows).sum(-1)


@functools.cache
def _fm(lane: bool, deep: bool, check: bool) -> Callable[..., Any]:
    def look(table: Array, linear: Array | None, ids: Array, values: Array | None, extra: Array | None) -> Any:
        lead, dim = ids.shape[:-1], table.shape[1] - lane
        shapes = [result(table, *lead), result(table, *lead), result(table, *lead, dim)]
        if deep:
            shapes.append(result(table, *lead, ids.shape[-1] * dim + (0 if extra is None else extra.shape[-1])))
        first, pair, sums, *wide = call(
            "embedding_fm", shapes, table, ids, linear, values, extra, linear=linear is not None, lane=lane,
            values=values is not None, deep=deep, numbers=extra is not None, check=check,
        )  # fmt: skip
        return Looked(first, pair, wide[0] if deep else None), sums

    @jax.custom_vjp
    def fm(table: Array, linear: Array | None, ids: Array, values: Array | None, extra: Array | None) -> Any:
        return folded(table, linear, ids, values, extra)

    def forward(*given: Array | None) -> Any:
        looked, sums = folded(*given)
        return (looked, sums), (*given, sums)

    def backward(saved: Any, grads: Any) -> Any:
        table, linear, ids, values, extra, sums = saved
        grad = grads[0]
        first = grad.first if lane or linear is not None else None
        flags = flags_of(
            lane=lane, fields=ids.shape[-1], values=values is not None, pairs=True, slots=deep, first=first is not None
        )  # fmt: skip
        by_table, by_linear = table_gradient(table, linear, ids, values, sums, grad.pair, grad.deep, first, **flags)
        by_values = None if values is None else _by_values_of_fm(grad, table, linear, ids, values, sums, lane)
        by_extra = None if extra is None else grad.deep[..., grad.deep.shape[-1] - extra.shape[-1] :]
        return by_table, by_linear, None, by_values, by_extra

    folded = folding(look, 2)
    fm.defvjp(forward, backward)
    return fm


def _by_values_of_fm(
    grad: Looked, table: Array, linear: Array | None, ids: Array, values: Array, sums: Array, lane: bool
) -> Array:
    """<pair_grad (S - e_f) + deep_grad_f, v_f> + first_grad w_f."""
    dim = sums.shape[-1]
    rows = embedding_gather(table, ids, check=False)
    vectors = rows[..., :dim]
    by_slots = grad.pair[..., None, None] * (sums[..., None, :] - values[..., None] * vectors)
    if grad.deep is not None:
        by_slots += grad.deep[..., : ids.shape[-1] * dim].reshape(vectors.shape)
    found = (by_slots * vectors).sum(-1)
    if lane or linear is not None:
        found += grad.first[..., None] * (rows[..., dim] if linear is None else jnp.take(linear, ids, axis=0))
    return found
