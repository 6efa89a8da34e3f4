"""Lookups and interactions: docs/contract.md, under the same names. Outputs are given."""

from __future__ import annotations

from numba import njit

from fastfm_numba.arrays import (
    entries,
    expect,
    fields_of,
    floats,
    floats_out,
    length,
    matrix,
    places_out,
    slots_of,
    words_out,
)
from fastfm_numba.library import SUM, done, function, structure

_embedding_gather = function("embedding_gather", "www")
_embedding_bag = function("embedding_bag", "wwww")
_embedding_fm = function("embedding_fm", "wwwww")
_entry_slots = function("entry_slots", "ww")
_pooling_coefficients = function("pooling_coefficients", "ww")
_fm_interaction = function("fm_interaction", "wwwww")
_bi_interaction = function("bi_interaction", "wwwww")
_fm_interaction_backward = function("fm_interaction_backward", "wwwwww")
_bi_interaction_backward = function("bi_interaction_backward", "wwwwww")


@njit(forceinline=True)
def embedding_gather(table, ids, out, check=True):
    """table [V, D], ids of any shape -> out [N, D]."""
    expect(out, (ids.size, table.shape[1]), "out")
    of = matrix(table, "table")
    given = entries(ids, 1, None, None, SUM, check)
    done(_embedding_gather(structure(of), structure(given), floats_out(out, "out")))


@njit(forceinline=True)
def embedding_bag(table, ids, out, offsets=None, values=None, pooling=SUM, winners=None, check=True):
    """table [V, D] -> out [M, D]; winners [M, D] int64 under MAX."""
    shape = (slots_of(ids, offsets), table.shape[1])
    expect(out, shape, "out")
    expect(winners, shape, "winners")
    of = matrix(table, "table")
    given = entries(ids, 1, offsets, values, pooling, check)
    result = floats_out(out, "out")
    done(_embedding_bag(structure(of), structure(given), result, words_out(winners, "winners")))


@njit(forceinline=True)
def embedding_fm(
    table, linear, ids, first, pair, sums, deep=None, dense=None, offsets=None, values=None, pooling=SUM, fields=1,
    winners=None, linear_winners=None, check=True,
):  # fmt: skip
    """table [V, D], linear [V] or None, ids [B, F] -> first [B], pair [B], sums [B, D] and, where given, deep
    [B, F*D + I] with the raw numbers dense [B, I]; under MAX winners [M, D] and linear_winners [M] int64."""
    slots, dim, per_sample = slots_of(ids, offsets), table.shape[1], fields_of(ids, fields)
    samples = slots // max(per_sample, 1)
    expect(first, (samples,), "first")
    expect(pair, (samples,), "pair")
    expect(sums, (samples, dim), "sums")
    expect(winners, (slots, dim), "winners")
    expect(linear_winners, (slots,), "linear_winners")
    numbers = matrix(dense, "dense")
    _expect_deep(deep, dense, samples, per_sample * dim)
    of, weights = matrix(table, "table"), matrix(linear, "linear")
    given = entries(ids, per_sample, offsets, values, pooling, check)
    into = (
        floats_out(first, "first"), floats_out(pair, "pair"), floats_out(sums, "sums"), floats_out(deep, "deep"), 0,
        words_out(winners, "winners"), words_out(linear_winners, "linear_winners"),
    )  # fmt: skip
    done(_embedding_fm(structure(of), structure(weights), structure(given), structure(numbers), structure(into)))


@njit(inline="always")
def _expect_deep(deep, dense, samples, width):
    if dense is None:
        expect(deep, (samples, width), "deep")
    else:
        expect(deep, (samples, width + dense.shape[1]), "deep")


@njit(forceinline=True)
def entry_slots(offsets, out):
    """offsets [M+1] -> out [N] int32, the slot of each entry."""
    expect(out, (offsets[-1],), "out")
    given = (0, 64, offsets[-1], 1, length(offsets) - 1, words_out(offsets, "offsets"), 0, 0, 0)
    done(_entry_slots(structure(given), places_out(out, "out")))


@njit(forceinline=True)
def pooling_coefficients(ids, out, offsets=None, values=None, pooling=SUM):
    """out [N], c_i of each entry."""
    expect(out, (ids.size,), "out")
    given = entries(ids, 1, offsets, values, pooling, True)
    done(_pooling_coefficients(structure(given), floats_out(out, "out")))


@njit(forceinline=True)
def fm_interaction(fields, out):
    """e [B, F, D] -> out [B]."""
    samples, count, dim = fields.shape
    expect(out, (samples,), "out")
    done(_fm_interaction(floats(fields, "fields"), samples, count, dim, floats_out(out, "out")))


@njit(forceinline=True)
def bi_interaction(fields, out):
    """e [B, F, D] -> out [B, D]."""
    samples, count, dim = fields.shape
    expect(out, (samples, dim), "out")
    done(_bi_interaction(floats(fields, "fields"), samples, count, dim, floats_out(out, "out")))


@njit(forceinline=True)
def fm_interaction_backward(grad, fields, out):
    """grad [B], e [B, F, D] -> out [B, F, D]."""
    samples, count, dim = fields.shape
    expect(grad, (samples,), "grad")
    expect(out, (samples, count, dim), "out")
    into = floats_out(out, "out")
    done(_fm_interaction_backward(floats(grad, "grad"), floats(fields, "fields"), samples, count, dim, into))


@njit(forceinline=True)
def bi_interaction_backward(grad, fields, out):
    """grad [B, D], e [B, F, D] -> out [B, F, D]."""
    samples, count, dim = fields.shape
    expect(grad, (samples, dim), "grad")
    expect(out, (samples, count, dim), "out")
    into = floats_out(out, "out")
    done(_bi_interaction_backward(floats(grad, "grad"), floats(fields, "fields"), samples, count, dim, into))


@njit
def check_ids(ids, rows):
    """Raises ValueError for the first of ids, of any shape, outside of 0..rows-1: before a prange, whose body's errors
    Numba loses."""
    for place, row in enumerate(ids.flat):
        if row < 0 or row >= rows:
            raise ValueError(f"ids[{place}] is {row}, outside the table's rows 0..{rows - 1}")
