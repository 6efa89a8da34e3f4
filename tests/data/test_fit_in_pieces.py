"""Fitting and encoding do not depend on how a table is cut into pieces, nor on the threads that read it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastfm_core import threads
from fastfm_core.data import Encoder, cache, encode
from fastfm_core.data.columns import Table, take
from fastfm_core.data.encode import EncoderFit, sampled_rows
from fastfm_core.data.history import Histories, whole_columns
from fastfm_core.data.readers import Chunk
from fastfm_core.data.stream import each_piece

from .fitting import assert_same_encoded
from .tables import EVERY_SCHEMA, every_table

N = 97
TABLE = every_table(N)


def pieces(cuts: list[int]) -> list[tuple[int, Table]]:
    borders = [0, *sorted(cuts), N]
    return [
        (begin, {name: take(column, np.arange(begin, end)) for name, column in TABLE.items()})
        for begin, end in pairwise(borders)
    ]


def fitted_in(cuts: list[int], train_rows: np.ndarray, min_count: int) -> Encoder:
    fitting, sampled = EncoderFit(EVERY_SCHEMA, min_count), sampled_rows(train_rows)
    for begin, table in pieces(cuts):
        end = begin + len(table["color"])
        own: list[Any] = [rows[(rows >= begin) & (rows < end)] - begin for rows in (train_rows, sampled)]
        fitting.merge(fitting.observe(table, *own))
    return fitting.finish(Histories(EVERY_SCHEMA.fields, whole_columns(EVERY_SCHEMA.fields, TABLE)).remembered())


CUTS = st.lists(st.integers(0, N), max_size=6)
ROWS = st.sets(st.integers(0, N - 1), min_size=1).map(lambda rows: np.array(sorted(rows)))


@given(CUTS, ROWS, st.integers(1, 3), st.sampled_from([1, 10, 1 << 18]))
def test_fitting_piece_by_piece_equals_fitting_at_once(cuts, train_rows, min_count: int, most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encode, "FIT_NUMBERS", most)
        whole = Encoder.fit(TABLE, EVERY_SCHEMA, train_rows, min_count=min_count)
        assert fitted_in(cuts, train_rows, min_count).to_dict() == whole.to_dict()


@given(st.integers(1, 3000), st.integers(1, 100))
def test_the_sample_is_evenly_spaced_and_no_larger_than_allowed(count: int, most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encode, "FIT_NUMBERS", most)
        sampled = sampled_rows(np.arange(count))
    assert most / 2 < len(sampled) <= most or len(sampled) == count <= most
    assert sampled[0] == 0 and len(set(np.diff(sampled).tolist())) <= 1


def test_numbers_of_a_large_table_are_fitted_on_the_sample(monkeypatch) -> None:
    monkeypatch.setattr(encode, "FIT_NUMBERS", 10)
    rows = np.arange(N)
    price = Encoder.fit(TABLE, EVERY_SCHEMA).to_dict()["codecs"][4]
    known = [float(text) for text in TABLE["price"][rows[::10]] if text]
    assert price["transform"] == "standardize"
    assert price["mean"] == np.mean(known) and price["scale"] == np.std(known)


@given(CUTS)
def test_encoding_piece_by_piece_equals_encoding_at_once(cuts) -> None:
    encoder, labels = Encoder.fit(TABLE, EVERY_SCHEMA), np.arange(N)
    histories = Histories(encoder.histories, whole_columns(encoder.histories, TABLE), encoder.visits)
    begins = np.array([0, *sorted(cuts), N])
    with tempfile.TemporaryDirectory() as folder:
        parts = (
            encoder.transform(histories.beside(table, begins, number), labels[begin : begin + len(table["color"])])
            for number, (begin, table) in enumerate(pieces(cuts))
        )
        about = cache.write_encoded(Path(folder), "data", parts)
        assert_same_encoded(cache.map_encoded(Path(folder), "data", about), encoder.transform(TABLE, labels))


class Counting:
    """A reader of the numbers 0 .. 94, ten at a time."""

    path, names, size = Path("numbers"), ["x"], 95

    def chunks(self) -> Iterator[Chunk]:
        for begin in range(0, 95, 10):
            rows = np.arange(begin, min(begin + 10, 95))
            yield Chunk(lambda rows=rows: {"x": rows}, int(rows[-1]) + 1)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_pieces_come_back_in_order_on_any_number_of_threads(count: int, threads_restored) -> None:
    threads.set_num_threads(count)
    seen: list[tuple[int, int]] = []
    found = list(
        each_piece(Counting(), lambda number, table: (number, table["x"].tolist()), lambda *at: seen.append(at))
    )
    assert [piece.begin for piece in found] == list(range(0, 95, 10))
    assert [piece.result[0] for piece in found] == list(range(10))
    assert [value for piece in found for value in piece.result[1]] == list(range(95))
    assert seen == [(min(end, 95), 95) for end in range(10, 101, 10)]
