"""Rows trained in place: the kernels' bits, donation, scans, schedules."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax_drawn import Drawn

import fastfm_core as ff
import fastfm_jax as fj
from fastfm_core.contract import Entries, RowSource
from fastfm_core.errors import InputError

MAKERS = {"sgd": fj.sgd, "adagrad": fj.adagrad, "rowwise_adagrad": fj.rowwise_adagrad, "adam": fj.adam}
DIMS = (0, 1, 4, 7, 16, 33)


def kernel_step(rule: str, table: Any, states: list[Any], plan: Any, source: Any, step: int, lr: float) -> None:
    """In place, by fastfm_core.kernels, with the adapter's defaults."""
    more = {"step": step} if rule == "adam" else {}
    getattr(ff.kernels, f"update_rows_{rule}_")(table, *states, plan, source, lr=lr, **more)


def states_of(rule: str, table: Any) -> list[Any]:
    if rule == "sgd":
        return []
    if rule == "adam":
        return [np.zeros_like(table), np.zeros_like(table)]
    return [np.full(table.shape[:1] if rule == "rowwise_adagrad" else table.shape, 0.1, table.dtype)]


def copies(arrays: Any) -> Any:
    """Arrays of JAX that are nobody else's memory."""
    return jax.tree.map(lambda each: jnp.array(each, copy=True), arrays)


def same(found: Any, expected: Any) -> None:
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(a, b)


def places(arrays: Any) -> list[int]:
    return [each.unsafe_buffer_pointer() for each in jax.tree.leaves(arrays)]


@pytest.mark.parametrize("rule", MAKERS)
@pytest.mark.parametrize("dim", DIMS)
def test_steps_are_the_kernels_bit_for_bit(rule: str, dim: int) -> None:
    drawn = Drawn(40, 70, 5, dim)
    optimizer, lr = MAKERS[rule](0.05), 0.05
    for layout in ("separate", "lane", "none"):
        lane = layout == "lane"
        tables: Any = {"separate": (drawn.table, drawn.linear), "lane": drawn.lane, "none": drawn.table}[layout]
        own = [np.array(drawn.lane if lane else drawn.table)]
        if layout == "separate":
            own.append(np.array(drawn.linear)[:, None])
        states = [states_of(rule, table) for table in own]
        state = optimizer.init(tables)
        plan = ff.kernels.plan_rows(drawn.ids.reshape(-1), 40)
        for step in (1, 2, 3):
            linear = {"separate": lambda t: t[1], "lane": lambda _: "lane", "none": lambda _: None}[layout](tables)
            table = tables[0] if layout == "separate" else tables
            _, sums = fj.embedding_fm(table, linear, drawn.ids, sums=True)
            grads = fj.Looked(drawn.first, drawn.pair, drawn.deep)
            tables, state = optimizer.apply(tables, state, drawn.ids, grads, sums)
            slot_grad, first = drawn.deep.reshape(70, 5, dim), drawn.first
            found = ff.kernels.embedding_fm(own[0][:, :dim], None, Entries(drawn.ids.reshape(-1), 5), None, deep=False)
            source = RowSource(5, None, None, drawn.pair, found.sums, None, slot_grad, None, first if lane else None)
            kernel_step(rule, own[0], states[0], plan, source, step, lr)
            if layout == "separate":
                kernel_step(rule, own[1], states[1], plan, RowSource(5, first_grad=first), step, lr)
        found = [np.asarray(each).reshape(like.shape) for each, like in zip(jax.tree.leaves(tables), own, strict=True)]
        same(found, own)
        kept = [each for table in states for each in table]
        same([np.asarray(each).reshape(like.shape) for each, like in zip(state.arrays, kept, strict=True)], kept)
        assert int(state.step) == 3


@pytest.mark.parametrize("rule", MAKERS)
def test_gathers_and_bags_are_the_kernels_bit_for_bit(rule: str) -> None:
    drawn = Drawn(40, 30, 5, 7)
    optimizer, flat = MAKERS[rule](0.05), drawn.ids.reshape(-1)
    rows = drawn.deep.reshape(30, 5, 7)
    offsets = np.array([0, 0, 3, 90, 140])
    values = drawn.deep[:, :5].copy()
    cases: list[tuple[Any, ...]] = [(drawn.ids, rows, None, None, "sum", None)]
    for mode, x in itertools.product(fj.lookup.MODES, (None, values)):
        own, few = (None, None) if x is None else (x.reshape(-1), x.reshape(-1)[:140])
        cases.append((flat, rows[:4, 0], offsets, own, mode, Entries(flat[:140], 1, offsets, few, mode)))
        cases.append((drawn.ids, rows[:, 0], None, x, mode, Entries(flat, 1, np.arange(31) * 5, own, mode)))
    for ids, grads, ends, x, mode, entries in cases:
        grads = np.ascontiguousarray(grads)
        table, states = drawn.table.copy(), states_of(rule, drawn.table)
        first = optimizer.init(table)
        moved, state = optimizer.apply(table, first, ids, grads, offsets=ends, values=x, mode=mode)
        plan = ff.kernels.plan_rows(flat if entries is None else entries.ids, 40)
        slots = coefficients = winners = None
        if entries is not None:
            slots = ff.kernels.entry_slots(entries)
            coefficients = ff.kernels.pooling_coefficients(entries, np.float32)
            winners = ff.kernels.embedding_bag(table, entries)[1]
        source = RowSource(1, slots, coefficients, slot_grad=grads.reshape(-1, 1, 7), winners=winners)
        kernel_step(rule, table, states, plan, source, 1, 0.05)
        same((moved, *state.arrays), (table, *states))


@pytest.mark.parametrize("rule", MAKERS)
def test_one_step_is_that_of_the_dense_gradient(rule: str) -> None:
    drawn = Drawn(40, 70, 5, 7)
    tables = (drawn.table, drawn.linear)
    optimizer = MAKERS[rule](0.05)

    def loss(looked: fj.Looked) -> Any:
        return jnp.sin(looked.first + looked.pair + (looked.deep * drawn.deep).sum(1)).sum()

    looked, sums = fj.embedding_fm(*tables, drawn.ids, deep=True, sums=True)
    moved, _ = optimizer.apply(tables, optimizer.init(tables), drawn.ids, jax.grad(loss)(looked), sums)
    dense = jax.grad(lambda table, linear: loss(fj.embedding_fm(table, linear, drawn.ids, deep=True)), (0, 1))(*tables)
    for before, after, g in zip(tables, moved, dense, strict=True):
        g = np.asarray(g)
        if rule == "sgd":
            step = g
        elif rule == "adam":
            step = g / (np.abs(g) + 1e-8)
        else:
            squares = g**2 if rule == "adagrad" or g.ndim == 1 else (g**2).mean(1, keepdims=True)
            step = g / (np.sqrt(0.1 + squares) + 1e-10)
        np.testing.assert_allclose(after, before - 0.05 * step, rtol=1e-4, atol=1e-5)


def test_values_are_trained_with() -> None:
    drawn = Drawn(40, 70, 5, 7)
    tables, values, optimizer = (drawn.table, drawn.linear), drawn.deep[:, :5].copy(), fj.sgd(0.05)

    def loss(looked: fj.Looked) -> Any:
        return (looked.first * drawn.first + looked.pair * drawn.pair).sum() + (looked.deep * drawn.deep).sum()

    def look(table: Any, linear: Any, **more: Any) -> Any:
        return fj.embedding_fm(table, linear, drawn.ids, values=values, deep=True, **more)

    looked, sums = look(*tables, sums=True)
    first = optimizer.init(tables)
    moved, _ = optimizer.apply(tables, first, drawn.ids, jax.grad(loss)(looked), sums, values=values)
    dense = jax.grad(lambda table, linear: loss(look(table, linear)), (0, 1))(*tables)
    for before, after, g in zip(tables, moved, dense, strict=True):
        np.testing.assert_allclose(after, before - 0.05 * g, rtol=1e-5, atol=1e-5)


def step_of(optimizer: Any, drawn: Drawn) -> Any:
    def step(tables: Any, state: Any, ids: Any) -> Any:
        looked, sums = fj.embedding_fm(*tables, ids, deep=True, sums=True)

        def loss(looked: fj.Looked) -> Any:
            return ((looked.first + looked.pair + looked.deep.sum(1) - drawn.first) ** 2).mean()

        value, grads = jax.value_and_grad(loss)(looked)
        return *optimizer.apply(tables, state, ids, grads, sums), value

    return step


@pytest.mark.parametrize("rule", MAKERS)
def test_donated_arrays_are_changed_in_place(rule: str) -> None:
    drawn = Drawn(400, 70, 5, 16)
    optimizer = MAKERS[rule](0.01)
    tables = copies((drawn.table, drawn.linear))
    state = optimizer.init(tables)
    expected = jax.jit(step_of(optimizer, drawn))(tables, state, drawn.ids)
    before = places((tables, state.arrays))
    given = tables
    found = jax.jit(step_of(optimizer, drawn), donate_argnums=(0, 1))(tables, state, drawn.ids)
    assert places((found[0], found[1].arrays)) == before
    assert all(each.is_deleted() for each in given)
    same(found, expected)


@pytest.mark.parametrize("jit", (True, False))
def test_undonated_arrays_stay_as_they_were(jit: bool) -> None:
    drawn = Drawn(400, 70, 5, 16)
    optimizer = fj.adam(0.01)
    tables = copies((drawn.table, drawn.linear))
    state = optimizer.init(tables)
    step = jax.jit(step_of(optimizer, drawn)) if jit else step_of(optimizer, drawn)
    first = step(tables, state, drawn.ids)
    same((tables, state.arrays), ((drawn.table, drawn.linear), optimizer.init((drawn.table, drawn.linear)).arrays))
    same(step(tables, state, drawn.ids), first)
    same(jax.jit(step_of(optimizer, drawn), donate_argnums=(0, 1))(tables, state, drawn.ids), first)


def test_who_still_reads_the_old_table_gets_the_old_table() -> None:
    drawn = Drawn(400, 70, 5, 16)
    optimizer = fj.sgd(0.1)

    @jax.jit
    def step(table: Any, ids: Any, grads: Any) -> Any:
        moved, _ = optimizer.apply(table, optimizer.init(table), ids, grads)
        return moved, fj.embedding_gather(table, ids), table.sum()

    grads = drawn.deep.reshape(70, 5, 16)
    moved, old, total = step(drawn.table, drawn.ids, grads)
    same(old, drawn.table[drawn.ids])
    assert np.any(np.asarray(moved) != drawn.table)
    np.testing.assert_allclose(total, drawn.table.sum(), rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("rule", MAKERS)
def test_a_scan_of_steps_is_the_steps(rule: str) -> None:
    drawn = Drawn(400, 70, 5, 16)
    batches = np.random.default_rng(0).integers(0, 400, (6, 70, 5)).astype(np.int32)
    optimizer = MAKERS[rule](lambda step: 0.01 / (1 + step))
    step = jax.jit(step_of(optimizer, drawn))
    tables = copies((drawn.table, drawn.linear))
    state = optimizer.init(tables)
    one, kept, losses = tables, state, []
    for ids in batches:
        one, kept, loss = step(one, kept, ids)
        losses.append(loss)

    def body(carry: Any, ids: Any) -> Any:
        tables, state, loss = step_of(optimizer, drawn)(*carry, ids)
        return (tables, state), loss

    scan = jax.jit(lambda *carry: jax.lax.scan(body, carry, batches), donate_argnums=(0, 1))
    (found, after), curve = scan(tables, state)
    same((found, after), (one, kept))
    same(curve, jnp.stack(losses))
    assert losses[-1] < losses[0]


def test_a_rate_may_be_a_number_an_array_or_a_schedule() -> None:
    drawn = Drawn(40, 70, 5, 7)
    grads, rate = drawn.deep.reshape(70, 5, 7), np.float32(0.05)
    state = fj.adam(0.0).init(drawn.table)

    def moved(of_all: Any, **more: Any) -> Any:
        return fj.adam(of_all).apply(drawn.table, state, drawn.ids, grads, **more)[0]

    expected = moved(float(rate))
    same(moved(jnp.asarray(rate)), expected)
    same(moved(lambda step: rate * (1 + step)), expected)
    same(moved(1.0, lr=float(rate)), expected)
    same(jax.jit(lambda lr: moved(1.0, lr=lr))(rate), expected)
    same(jax.jit(lambda lr: moved(lr))(rate), expected)
    same(moved(jnp.asarray(1)), moved(1))
    with pytest.raises(InputError, match="lr must have shape"):
        moved(jnp.ones(2))


def test_steps_have_the_same_bits_on_any_number_of_threads_and_among_eight() -> None:
    drawn = Drawn(5000, 2048, 8, 16)
    optimizer = fj.adagrad(0.05)
    step = jax.jit(step_of(optimizer, drawn), donate_argnums=(0, 1))

    def train(_: int = 0) -> Any:
        tables = copies((drawn.table, drawn.linear))
        state = optimizer.init(tables)
        for _ in range(5):
            tables, state, _ = step(tables, state, drawn.ids)
        return tables, state

    expected, before = train(), ff.get_num_threads()
    try:
        for threads in (1, 2, 5):
            ff.set_num_threads(threads)
            same(train(), expected)
    finally:
        ff.set_num_threads(before)
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(train, range(8)):
            same(found, expected)


def test_a_wrong_id_changes_no_row() -> None:
    drawn = Drawn(40, 12, 5, 7)
    table = copies(drawn.table)
    optimizer, ids = fj.sgd(0.1), drawn.ids.copy()
    ids[11, 4] = 40
    with pytest.raises((RuntimeError, ValueError), match=r"ids\[59\] is 40, outside the table's rows 0\.\.39"):
        jax.block_until_ready(optimizer.apply(table, optimizer.init(table), ids, drawn.deep.reshape(12, 5, 7)))
    same(table, drawn.table)


@pytest.mark.usefixtures("x64")
def test_float64_and_wide_ids() -> None:
    drawn = Drawn(40, 70, 5, 7, np.float64, np.int64)
    for rule, make in MAKERS.items():
        table, states = drawn.table.copy(), states_of(rule, drawn.table)
        grads = drawn.deep.reshape(70, 5, 7)
        moved, state = make(0.05).apply(table, make(0.05).init(table), drawn.ids, grads)
        plan = ff.kernels.plan_rows(drawn.ids.reshape(-1), 40)
        kernel_step(rule, table, states, plan, RowSource(1, slot_grad=grads.reshape(-1, 1, 7)), 1, 0.05)
        same((moved, *state.arrays), (table, *states))


def test_an_empty_batch_changes_no_row() -> None:
    drawn = Drawn(40, 0, 5, 7)
    for make in MAKERS.values():
        optimizer = make(0.05)
        tables = (drawn.table, drawn.linear)
        looked, sums = fj.embedding_fm(*tables, drawn.ids, deep=True, sums=True)
        moved, state = optimizer.apply(tables, optimizer.init(tables), drawn.ids, looked, sums)
        same(moved, tables)
        assert int(state.step) == 1


def test_vmap_trains_tables_one_after_the_other() -> None:
    drawn = Drawn(40, 12, 5, 7)
    tables, grads = np.stack([drawn.table, 2 * drawn.table]), drawn.deep.reshape(12, 5, 7)
    optimizer = fj.adagrad(0.05)
    states = jax.vmap(optimizer.init)(tables)
    found, after = jax.vmap(optimizer.apply, in_axes=(0, 0, None, None))(tables, states, drawn.ids, grads)
    for k in range(2):
        moved, state = optimizer.apply(tables[k], optimizer.init(tables[k]), drawn.ids, grads)
        same((found[k], after.arrays[0][k]), (moved, *state.arrays))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda o, d, s: o.apply(d.table, s, d.ids, fj.Looked(d.first, d.pair)), "needs its sums"),
        (
            lambda o, d, s: o.apply(d.table, s, d.ids, fj.Looked(d.first, d.pair), d.table[:12], offsets=d.ids[0]),
            "no bags",
        ),
        (lambda o, d, s: o.apply(d.table, s, d.ids, fj.Looked(d.first, d.pair), d.table), "sums must have shape"),
        (lambda o, d, s: o.apply(d.table, s, d.ids, d.deep), "grads must have shape"),
        (lambda o, d, s: o.apply(d.table, o.init(d.lane), d.ids, d.deep.reshape(12, 5, 7)), "a state must have shape"),
        (lambda o, d, s: o.apply(d.table, fj.sgd(1).init(d.table), d.ids, d.deep.reshape(12, 5, 7)), "is not of"),
        (lambda o, d, s: o.apply((d.table, d.linear), s, d.ids, d.deep.reshape(12, 5, 7)), "have no first order"),
        (lambda o, d, s: o.apply(d.table, s, d.ids, d.deep.reshape(12, 5, 7), mode="top"), "unknown mode 'top'"),
    ],
)
def test_wrong_arguments_are_one_line(call: Any, message: str) -> None:
    drawn, optimizer = Drawn(40, 12, 5, 7), fj.adagrad(0.05)
    with pytest.raises(InputError, match=message) as found:
        call(optimizer, drawn, optimizer.init(drawn.table))
    assert "\n" not in str(found.value)
