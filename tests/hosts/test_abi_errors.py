"""Every mistake that the C ABI finds is a code and one line that names it; nothing is thrown, nothing is written."""

from __future__ import annotations

import resource
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fastfm_core import backends

from . import abi
from .abi import call, entries, matrix, source

pytestmark = pytest.mark.skipif(backends.why_unavailable("native") is not None, reason="libfastfm is not built here")

V, B, F, D = 10, 4, 3, 5
FLOATS = np.zeros((B * F, D + 1), np.float32)  # what is only looked at in passing


class Given:
    """Right arguments; a case spoils one of them."""

    def __init__(self) -> None:
        self.table, self.state = np.ones((V, D), np.float32), np.ones((V, D), np.float32)
        self.ids = np.arange(B * F, dtype=np.int64) % V
        self.offsets = np.arange(B * F + 1)
        self.out = np.full((B * F, D), -1.0, np.float32)
        self.rows, self.accumulator, self.last = matrix(self.table), matrix(self.state), np.zeros(V, np.int32)
        self.entries = entries(self.ids, F, self.offsets)
        self.own = abi.OwnPlan(self.ids, V)
        self.plan = self.own.plan
        self.grads = np.ones(B, np.float32)
        self.sums = np.ones((B, D), np.float32)
        self.source = source(F, B, pair_grad=self.grads, sums=self.sums)
        self.sample = np.full(B, -1.0, np.float32)
        self.fm = abi.FM(abi.address(self.sample), abi.address(self.sample), abi.address(self.out))


def bag(g: Given) -> None:
    call("embedding_bag", g.rows, g.entries, g.out, None)


def embedding_fm(g: Given) -> None:
    call("embedding_fm", g.rows, None, g.entries, None, g.fm)


def update(g: Given) -> None:
    call("update_rows_adagrad_", g.rows, g.accumulator, g.plan, g.source, 0.1, 0.0, 0.0, 1.0)


def plan_rows(g: Given) -> None:
    call("plan_rows", g.entries, V, g.plan)


def catch_up(g: Given) -> None:
    call("catch_up_rows_adam_", g.rows, g.accumulator, g.accumulator, g.last, g.plan, 2, np.ones(2), 2,
         0.9, 0.99, 0.0, 0.0, 0.0)  # fmt: skip


CALLS = (bag, embedding_fm, update, plan_rows, catch_up)


def spoil(part: str, member: str, value: Any) -> Callable[[Given], None]:
    return lambda g: setattr(getattr(g, part), member, value)


def put(array: str, place: int, value: int) -> Callable[[Given], None]:
    return lambda g: getattr(g, array).__setitem__(place, value)


def without(part: str) -> Callable[[Given], None]:
    return lambda g: setattr(g, part, None)


def narrow(g: Given) -> None:
    g.fm.deep, g.fm.deep_stride = abi.address(FLOATS), 9


# the call, what is wrong, the line
CASES: list[tuple[Callable[[Given], None], Callable[[Given], None], str]] = [
    (bag, without("rows"), "table is NULL"),
    (bag, spoil("rows", "data", None), "table.data is NULL"),
    (bag, spoil("rows", "rows", -1), "table.rows is -1, it must not be negative"),
    (bag, spoil("rows", "columns", -1), "table.columns is -1, it must not be negative"),
    (bag, spoil("rows", "stride", 4), "table.stride is 4, less than its 5 columns"),
    (bag, without("entries"), "entries is NULL"),
    (bag, without("out"), "out is NULL"),
    (bag, spoil("entries", "ids", None), "entries.ids is NULL"),
    (bag, spoil("entries", "id_bits", 16), "entries.id_bits is 16, it must be 32 or 64"),
    (bag, spoil("entries", "count", -1), "entries.count is -1, it must not be negative"),
    (bag, spoil("entries", "slots", -3), "entries.slots is -3, it must not be negative"),
    (bag, spoil("entries", "fields", 0), "entries.fields is 0, it must be at least 1"),
    (bag, spoil("entries", "fields", 5), "entries.slots is 12, no whole number of samples of 5 fields"),
    (bag, spoil("entries", "pooling", 5), "entries.pooling is 5, which is none of FASTFM_SUM to FASTFM_NONE"),
    (bag, spoil("entries", "pooling", 3), "winners is NULL"),
    (bag, spoil("entries", "pooling", 4), "entries.fields is 3, it must be 1 under FASTFM_NONE"),
    (bag, put("ids", 7, V), "entries.ids[7] is 10, outside the table's rows 0..9"),
    (bag, put("ids", 0, -1), "entries.ids[0] is -1, outside the table's rows 0..9"),
    (bag, put("ids", 11, 1 << 40), "entries.ids[11] is 1099511627776, outside the table's rows 0..9"),
    (bag, put("offsets", 5, 7), "entries.offsets must rise from 0 to the number of ids, 12, over whole samples"),
    (bag, put("offsets", 0, 1), "entries.offsets must rise from 0 to the number of ids, 12, over whole samples"),
    (bag, put("offsets", 12, 11), "entries.offsets must rise from 0 to the number of ids, 12, over whole samples"),
    (embedding_fm, without("fm"), "out is NULL"),
    (embedding_fm, spoil("fm", "first", None), "out.first is NULL"),
    (embedding_fm, spoil("fm", "pair", None), "out.pair is NULL"),
    (embedding_fm, spoil("fm", "sums", None), "out.sums is NULL"),
    (embedding_fm, narrow,
     "out.deep_stride is 9, less than F*D + I = 15"),
    (update, without("plan"), "plan is NULL"),
    (update, without("source"), "source is NULL"),
    (update, without("accumulator"), "accumulator is NULL"),
    (update, spoil("accumulator", "rows", 9), "accumulator.rows is 9 where 10 belongs"),
    (update, spoil("accumulator", "columns", 4), "accumulator.columns is 4 where 5 belongs"),
    (update, spoil("plan", "rows", None), "plan.rows is NULL"),
    (update, spoil("plan", "segments", None), "plan.segments is NULL"),
    (update, spoil("plan", "order", None), "plan.order is NULL"),
    (update, spoil("plan", "count", -1), "plan.count is -1, it must not be negative"),
    (update, spoil("plan", "entries", 11), "plan.segments[count] is 12 where 11 belongs"),
    (update, spoil("plan", "id_bits", 8), "plan.id_bits is 8, it must be 32 or 64"),
    (update, lambda g: g.own.rows.__setitem__(2, V), "plan.rows[2] is 10, outside the table's rows 0..9"),
    (update, lambda g: g.own.segments.__setitem__(0, 1), "plan.segments[0] is not 0"),
    (update, spoil("source", "fields", 0), "source.fields is 0, it must be at least 1"),
    (update, spoil("source", "samples", -4), "source.samples is -4, it must not be negative"),
    (update, spoil("source", "samples", 5), "source.samples * fields is 15 where 12 belongs"),
    (update, spoil("source", "sums", None), "source.sums and source.pair_grad belong together"),
    (plan_rows, without("entries"), "entries is NULL"),
    (plan_rows, without("plan"), "plan is NULL"),
    (plan_rows, spoil("plan", "rows", None), "plan.rows is NULL"),
    (plan_rows, put("ids", 3, V), "entries.ids[3] is 10, outside the table's rows 0..9"),
    (catch_up, lambda g: g.own.rows.__setitem__(2, 1),
     "plan.rows[2] does not rise; rows must be distinct and ascending"),
    (catch_up, put("last", 4, 3), "row 4 has missed -1 steps, rates has 2 of them"),
    (catch_up, put("last", 4, -1), "row 4 has missed 3 steps, rates has 2 of them"),
    (catch_up, without("last"), "last is NULL"),
]  # fmt: skip


@pytest.mark.parametrize(("function", "wrong", "words"), CASES, ids=[f"{c[0].__name__}: {c[2]}" for c in CASES])
def test_a_mistake_is_a_code_and_a_line(function: Any, wrong: Any, words: str) -> None:
    given = Given()
    wrong(given)
    arrays = ("table", "state", "out", "sample", "last")
    before = {name: None if getattr(given, name) is None else getattr(given, name).copy() for name in arrays}
    with pytest.raises(abi.Refused) as error:
        function(given)
    assert (str(error.value), error.value.code) == (words, 1)
    for name, array in before.items():
        if array is not None:
            np.testing.assert_array_equal(getattr(given, name), array, err_msg=name)


@pytest.mark.parametrize("function", CALLS)
def test_without_the_mistake_it_is_done(function: Any) -> None:
    function(Given())


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("set_threads", (0,), "threads must be from 1 to 256, got 0"),
        ("set_threads", (257,), "threads must be from 1 to 256, got 257"),
        ("use_isa", (b"mmx",), "no kernels for the instruction set 'mmx' can run here; known: "),
        ("use_isa", (None,), "name is NULL"),
        ("bce_with_logits", (None, FLOATS, None, 3, np.zeros(1), FLOATS), "logits is NULL"),
        ("bce_with_logits", (FLOATS, None, None, 3, np.zeros(1), FLOATS), "labels is NULL"),
        ("bce_with_logits", (FLOATS, FLOATS, None, 3, None, FLOATS), "loss is NULL"),
        ("bce_with_logits", (FLOATS, FLOATS, None, 3, np.zeros(1), None), "grad is NULL"),
        ("bce_with_logits", (FLOATS, FLOATS, None, -3, np.zeros(1), FLOATS), "count is -3, it must not be negative"),
        ("fm_interaction", (None, 2, 3, 2, FLOATS), "fields is NULL"),
        ("fm_interaction", (FLOATS, 2, 3, -2, FLOATS), "dim is -2, it must not be negative"),
        ("bi_interaction", (FLOATS, 2, 3, 2, None), "out is NULL"),
        ("fm_interaction_backward", (None, FLOATS, 2, 3, 2, FLOATS), "grad is NULL"),
        ("bi_interaction_backward", (FLOATS, FLOATS, 2, 3, 2, None), "out is NULL"),
        ("scorer_open", (None, np.zeros(1, np.int64)), "path is NULL"),
        ("scorer_open", (b"/dev/null", None), "scorer is NULL"),
        ("scorer_score", (None, None, None, 1, FLOATS), "scorer is NULL"),
    ],
)
def test_the_other_functions(name: str, arguments: tuple[Any, ...], words: str) -> None:
    with pytest.raises(abi.Refused) as error:
        call(name, *arguments)
    assert error.value.code == 1
    assert str(error.value).startswith(words)


def test_a_file_that_is_no_scorer_has_its_own_code() -> None:
    with pytest.raises(abi.Refused, match=r"^/dev/null is no scorer's file$") as error:
        call("scorer_open", b"/dev/null", np.zeros(1, np.int64))
    assert error.value.code == 3


def test_too_little_memory_has_its_own_code() -> None:
    given = Given()
    given.entries.count, given.entries.unchecked = (1 << 31) - 1, 1
    big = abi.Plan(abi.address(given.ids), 0, abi.address(given.offsets), abi.address(given.own.order))
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, limits[1]))
    try:
        with pytest.raises(abi.Refused, match=r"^there is not enough memory$") as error:
            call("plan_rows", given.entries, V, big)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
    assert error.value.code == 2


def test_what_was_checked_before_is_not_checked_again() -> None:
    """A table that has more rows than its structure says: the ids beyond them are read all the same."""
    given = Given()
    given.rows.rows, given.entries.unchecked = 5, 1
    bag(given)
    np.testing.assert_array_equal(given.out, 1)
