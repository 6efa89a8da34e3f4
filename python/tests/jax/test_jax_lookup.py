"""Lookups and interactions in JAX: values of the kernels bit for bit, gradients of autodiff through jnp.take."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from jax_drawn import Drawn

import fastfm_core as ff
import fastfm_jax as fj
from fastfm_core.contract import Entries
from fastfm_core.errors import InputError

DIMS = (0, 1, 4, 7, 16, 33)
FAILURES = RuntimeError, ValueError  # of a handler, by whether JAX runs it at once


def plain_fm(table: Any, linear: Any, ids: Any) -> fj.Looked:
    """By the formulas, through jnp.take."""
    e = jnp.take(table, ids, axis=0)
    total = e.sum(-2)
    pair = 0.5 * (total * total - (e * e).sum(-2)).sum(-1)
    first = jnp.zeros_like(pair) if linear is None else jnp.take(linear, ids, axis=0).sum(-1)
    return fj.Looked(first, pair, e.reshape(*ids.shape[:-1], ids.shape[-1] * table.shape[1]))


def assert_near(found: Any, expected: Any, share: float = 1e-5) -> None:
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=share, atol=share * (1 + np.abs(b).max(initial=0)))


def assert_same(found: Any, expected: Any) -> None:
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize("samples", (0, 1, 70))
def test_values_are_the_kernels_bit_for_bit(dim: int, samples: int) -> None:
    drawn = Drawn(40, samples, 5, dim)
    entries = Entries(drawn.ids.reshape(-1), 5)
    assert_same(fj.embedding_gather(drawn.table, drawn.ids), ff.kernels.embedding_gather(drawn.table, drawn.ids))
    looked, sums = fj.embedding_fm(drawn.table, drawn.linear, drawn.ids, numbers=drawn.numbers, deep=True, sums=True)
    expected = ff.kernels.embedding_fm(drawn.table, drawn.linear, entries, drawn.numbers, deep=True)
    assert_same((*looked, sums), (expected.first, expected.pair, expected.deep, expected.sums))
    lane = fj.embedding_fm(drawn.lane, "lane", drawn.ids)
    expected = ff.kernels.embedding_fm(drawn.lane[:, :dim], drawn.lane[:, dim], entries, None, deep=False)
    assert_same(lane, fj.Looked(expected.first, expected.pair))
    values = drawn.first[:, None] * np.ones((1, 5), np.float32)
    own = fj.embedding_fm(drawn.table, drawn.linear, drawn.ids, values=values, deep=True)
    valued = Entries(drawn.ids.reshape(-1), 5, None, values.reshape(-1))
    expected = ff.kernels.embedding_fm(drawn.table, drawn.linear, valued, None, deep=True)
    assert_same(own, fj.Looked(expected.first, expected.pair, expected.deep))
    without = fj.embedding_fm(drawn.table, None, drawn.ids)
    assert not np.any(without.first)
    fields = drawn.deep.reshape(samples, 5, dim)
    assert_same(fj.fm_interaction(fields), ff.kernels.fm_interaction(fields))
    assert_same(fj.bi_interaction(fields), ff.kernels.bi_interaction(fields))


@pytest.mark.parametrize("mode", fj.lookup.MODES)
def test_bags_are_the_kernels_bit_for_bit(mode: Any) -> None:
    drawn = Drawn(40, 30, 6, 7)
    flat, offsets = drawn.ids.reshape(-1), np.array([0, 0, 3, 4, 90, 91, 170])
    padded = flat.copy()
    padded[170:] = -5  # of no bag
    expected = ff.kernels.embedding_bag(drawn.table, Entries(flat[:170], 1, offsets, None, mode))[0]
    for each in (offsets.astype(np.int32), offsets):
        assert_same(fj.embedding_bag(drawn.table, padded, each, mode=mode), expected)
    values = drawn.deep[:, :6].copy()
    valued = ff.kernels.embedding_bag(drawn.table, Entries(flat[:170], 1, offsets, values.reshape(-1)[:170], mode))[0]
    assert_same(fj.embedding_bag(drawn.table, padded, offsets, values=values.reshape(-1), mode=mode), valued)
    rows = np.arange(31) * 6
    expected = ff.kernels.embedding_bag(drawn.table, Entries(flat, 1, rows, None, mode))[0]
    assert_same(fj.embedding_bag(drawn.table, drawn.ids, mode=mode), expected)
    assert_same(fj.embedding_bag(drawn.table, drawn.ids.reshape(5, 6, 6), mode=mode), expected.reshape(5, 6, 7))


@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize("samples", (0, 70))
def test_gradients_are_those_through_take(dim: int, samples: int) -> None:
    drawn = Drawn(40, samples, 5, dim)

    def loss(look: Any, table: Any, linear: Any) -> Any:
        looked = look(table, linear, drawn.ids)
        return (looked.first * drawn.first).sum() + (looked.pair * drawn.pair).sum() + (looked.deep * drawn.deep).sum()

    def own(table: Any, linear: Any, ids: Any) -> Any:
        return fj.embedding_fm(table, linear, ids, deep=True)

    grads = [jax.jit(jax.grad(loss, (1, 2)), static_argnums=0)(f, drawn.table, drawn.linear) for f in (own, plain_fm)]
    assert_near(*grads)

    def in_lane(table: Any, _: Any, ids: Any) -> Any:
        return fj.embedding_fm(table, "lane", ids, deep=True)

    by_lane = jax.grad(loss, 1)(in_lane, drawn.lane, None)
    assert_near((by_lane[:, :dim], by_lane[:, dim]), grads[1])
    fields = drawn.deep.reshape(samples, 5, dim)
    gather = jax.grad(lambda table: (fj.embedding_gather(table, drawn.ids) * fields).sum())
    take = jax.grad(lambda table: (jnp.take(table, drawn.ids, axis=0) * fields).sum())
    assert_near(gather(drawn.table), take(drawn.table))


def test_a_gradient_by_pairs_alone_and_one_without_first_order() -> None:
    drawn = Drawn(40, 70, 5, 16)
    for linear in (None, drawn.linear):
        own = jax.grad(lambda table, w=linear: (fj.embedding_fm(table, w, drawn.ids).pair * drawn.pair).sum())
        plain = jax.grad(lambda table, w=linear: (plain_fm(table, w, drawn.ids).pair * drawn.pair).sum())
        assert_near(own(drawn.table), plain(drawn.table))


def test_the_gradient_by_numbers() -> None:
    drawn = Drawn(40, 9, 5, 4)
    weights = np.random.default_rng(0).normal(size=(9, 23)).astype(np.float32)

    def loss(numbers: Any) -> Any:
        return (fj.embedding_fm(drawn.table, None, drawn.ids, numbers=numbers, deep=True).deep * weights).sum()

    assert_same(jax.grad(loss)(drawn.numbers), weights[:, 20:])


@pytest.mark.parametrize("ids", (np.int32, np.int64))
@pytest.mark.usefixtures("x64")
def test_check_grads(ids: Any) -> None:
    drawn = Drawn(11, 6, 4, 7, np.float64, ids)
    fields, offsets = drawn.deep.reshape(6, 4, 7), np.array([0, 5, 5, 20])
    values, padded = drawn.deep[:, :4].copy(), drawn.ids.reshape(-1).copy()
    padded[20:] = -3

    def check(function: Any, *arguments: Any) -> None:
        assert all(each.dtype == np.float64 for each in jax.tree.leaves(function(*arguments)))
        check_grads(function, arguments, order=1, modes=["rev"])

    check(lambda table, linear: fj.embedding_fm(table, linear, drawn.ids, deep=True), drawn.table, drawn.linear)
    check(lambda table: fj.embedding_fm(table, "lane", drawn.ids), drawn.lane)
    check(lambda table: fj.embedding_gather(table, drawn.ids), drawn.table)
    for mode in fj.lookup.MODES:
        check(lambda table, m=mode: fj.embedding_bag(table, drawn.ids.reshape(-1), offsets, mode=m), drawn.table)
        check(lambda table, m=mode: fj.embedding_bag(table, drawn.ids, mode=m), drawn.table)
        check(lambda v, m=mode: fj.embedding_bag(drawn.table, drawn.ids, values=v, mode=m), values)
        flat = values.reshape(-1)
        check(lambda v, m=mode: fj.embedding_bag(drawn.table, padded, offsets, values=v, mode=m), flat)

    def with_values(table: Any, linear: Any, values: Any) -> Any:
        return fj.embedding_fm(table, linear, drawn.ids, values=values, deep=True)

    check(with_values, drawn.table, drawn.linear, values)
    check(lambda lane, v: fj.embedding_fm(lane, "lane", drawn.ids, values=v), drawn.lane, values)
    check(fj.fm_interaction, fields)
    check(fj.bi_interaction, fields)


def test_vmap_over_ids_is_one_call_and_over_tables_one_after_the_other() -> None:
    drawn = Drawn(40, 12, 5, 7)
    tables, weights = np.stack([drawn.table, 2 * drawn.table]), np.stack([drawn.linear, drawn.linear])
    whole, sums = fj.embedding_fm(drawn.table, drawn.linear, drawn.ids, numbers=drawn.numbers, deep=True, sums=True)

    def fm(table: Any, linear: Any, ids: Any, numbers: Any) -> Any:
        return fj.embedding_fm(table, linear, ids, numbers=numbers, deep=True, sums=True)

    one = jax.vmap(fm, in_axes=(None, None, 0, 0))
    assert_same(one(drawn.table, drawn.linear, drawn.ids, drawn.numbers), (whole, sums))
    shown = str(jax.make_jaxpr(one)(drawn.table, drawn.linear, drawn.ids, drawn.numbers))
    assert "scan" not in shown and "while" not in shown
    nested = jax.vmap(one, in_axes=(None, None, 0, None))
    found = nested(drawn.table, drawn.linear, drawn.ids.reshape(4, 3, 5), drawn.numbers[:3])
    assert_same(found[1], sums.reshape(4, 3, 7))
    found = jax.vmap(fm, in_axes=(0, 0, None, None))(tables, weights, drawn.ids, drawn.numbers)
    for k in range(2):
        assert_same(jax.tree.map(lambda each, n=k: each[n], found), fm(tables[k], weights[k], drawn.ids, drawn.numbers))
    gathered = jax.vmap(fj.embedding_gather, in_axes=(0, None))(tables, drawn.ids)
    assert_same(gathered, tables[:, drawn.ids])
    bags = jax.vmap(fj.embedding_bag, in_axes=(None, 0))(drawn.table, drawn.ids)
    assert_same(bags, fj.embedding_bag(drawn.table, drawn.ids))
    offsets = np.array([[0, 2, 5], [0, 0, 4]], np.int32)
    bags = jax.vmap(fj.embedding_bag, in_axes=(None, 0, 0))(drawn.table, drawn.ids[:2], offsets)
    assert_same(bags[1], fj.embedding_bag(drawn.table, drawn.ids[1], offsets[1]))
    fields = drawn.deep.reshape(12, 5, 7)
    assert_same(jax.vmap(fj.fm_interaction)(fields), fj.fm_interaction(fields))
    twice = jax.vmap(jax.vmap(fj.bi_interaction))(fields.reshape(3, 4, 5, 7))
    assert_same(twice.reshape(12, 7), fj.bi_interaction(fields))


def test_gradients_of_mapped_functions() -> None:
    drawn = Drawn(40, 12, 5, 7)
    tables = np.stack([drawn.table, 2 * drawn.table])

    def loss(look: Any, table: Any) -> Any:
        return (jax.vmap(lambda ids, grad: look(table, None, ids).pair * grad)(drawn.ids, drawn.pair)).sum()

    own, plain = (jax.grad(loss, 1)(look, drawn.table) for look in (fj.embedding_fm, plain_fm))
    assert_near(own, plain)
    own, plain = (jax.vmap(jax.grad(lambda t, f=f: loss(f, t)))(tables) for f in (fj.embedding_fm, plain_fm))
    assert_near(own, plain)
    fields = drawn.deep.reshape(12, 5, 7)
    each = jax.vmap(jax.grad(lambda e: fj.fm_interaction(e) ** 2))(fields)
    assert_same(each, jax.grad(lambda e: (fj.fm_interaction(e) ** 2).sum())(fields))


def test_gradients_are_the_same_bits_each_time_and_on_any_number_of_threads() -> None:
    drawn = Drawn(5000, 4096, 8, 16)

    @jax.jit
    def grad(table: Any, linear: Any) -> Any:
        return jax.grad(lambda t, w: (fj.embedding_fm(t, w, drawn.ids).pair * drawn.pair).sum(), (0, 1))(table, linear)

    first = grad(drawn.table, drawn.linear)
    before = ff.get_num_threads()
    try:
        for threads in (1, 2, 5):
            ff.set_num_threads(threads)
            assert_same(grad(drawn.table, drawn.linear), first)
    finally:
        ff.set_num_threads(before)


@pytest.mark.parametrize("wrong", (-1, 40))
def test_an_id_that_is_no_row_is_named(wrong: int) -> None:
    drawn = Drawn(40, 12, 5, 7)
    ids = drawn.ids.copy()
    ids[3, 2] = ids[7, 1] = wrong
    message = rf"ids\[17\] is {wrong}, outside the table's rows 0\.\.39"
    calls = (
        lambda: fj.embedding_gather(drawn.table, ids),
        lambda: fj.embedding_bag(drawn.table, ids),
        lambda: fj.embedding_fm(drawn.table, None, ids),
        lambda: fj.sgd(1.0).apply(drawn.table, fj.sgd(1.0).init(drawn.table), ids, drawn.deep.reshape(12, 5, 7)),
    )
    for call in calls:
        with pytest.raises(FAILURES, match=message):
            jax.block_until_ready(call())
    with pytest.raises(FAILURES, match=r"ids\[0\] is 0, outside the table's rows 0\.\.-1"):
        jax.block_until_ready(fj.embedding_gather(drawn.table[:0], np.zeros(1, np.int32)))
    jax.block_until_ready(fj.embedding_gather(drawn.table, drawn.ids, check=False))


@pytest.mark.parametrize(
    ("offsets", "message"),
    [
        ([1, 5], r"offsets must rise from 0; offsets\[0\] is 1"),
        ([0, 5, 4], r"offsets must rise from 0; offsets\[2\] is 4"),
        ([0, 61], r"offsets end at 61, behind the last of 60 ids"),
    ],
)
def test_wrong_offsets_are_named(offsets: list[int], message: str) -> None:
    drawn = Drawn(40, 12, 5, 7)
    with pytest.raises(FAILURES, match=message):
        jax.block_until_ready(fj.embedding_bag(drawn.table, drawn.ids.reshape(-1), np.array(offsets, np.int32)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d: fj.embedding_gather(d.table.astype(np.float16), d.ids), "float32 or float64, got float16"),
        (lambda d: fj.embedding_gather(d.table[0], d.ids), "table must have 2 dimensions"),
        (lambda d: fj.embedding_gather(d.table, d.first), "ids must be int32 or int64, got float32"),
        (lambda d: fj.embedding_bag(d.table, d.ids, mode="top"), "unknown mode 'top'"),
        (lambda d: fj.embedding_bag(d.table, d.ids, d.ids[0]), r"with offsets \[M \+ 1\] ids must be \[N\]"),
        (lambda d: fj.embedding_fm(d.table, d.linear[1:], d.ids), "linear must have shape"),
        (lambda d: fj.embedding_fm(d.table, "lain", d.ids), "linear must be an array, None or 'lane'"),
        (lambda d: fj.embedding_fm(d.table, None, d.ids[0, 0]), "ids must have at least 1 dimension"),
        (lambda d: fj.embedding_fm(d.table, None, d.ids[:, :0]), "a field"),
        (lambda d: fj.embedding_fm(d.table, None, d.ids, numbers=d.numbers), "ask for it with deep=True"),
        (lambda d: fj.embedding_bag(d.table, d.ids, values=d.deep), "values must have shape"),
        (lambda d: fj.fm_interaction(d.first), r"fields must have shape \[\.\.\., F, D\]"),
    ],
)
def test_wrong_arguments_are_one_line(call: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as found:
        call(Drawn(40, 12, 5, 7))
    assert "\n" not in str(found.value)


def test_eight_threads_at_once() -> None:
    drawn = Drawn(2000, 1024, 8, 16)

    def work(number: int) -> Any:
        ids = np.roll(drawn.ids, number, axis=0)
        grad = jax.jit(jax.grad(lambda t: (fj.embedding_fm(t, None, ids).pair * np.roll(drawn.pair, number)).sum()))
        return [np.asarray(grad(drawn.table)) for _ in range(20)]

    expected = work(0)[0]
    with ThreadPoolExecutor(8) as pool:
        for grads in pool.map(work, range(8)):
            for grad in grads:
                assert_same(grad, grads[0])
                assert_near(grad, expected)
