"""An encoder that grows: old values keep their place within their field, new ones come after them."""

from __future__ import annotations

import numpy as np

from fastfm_core.data import Categorical, Encoder, Schema
from fastfm_core.data.columns import Table
from fastfm_core.data.grow import describe, extended, moved_rows

from .tables import FLAT_SCHEMA, MIXED_SCHEMA, small_table, text_column


def vocabularies(encoder: Encoder) -> list[list[str]]:
    return [codec["vocabulary"] for codec in encoder.to_dict()["codecs"] if "vocabulary" in codec]


def grown(old: Encoder, table: Table, rows: np.ndarray | None = None, *, min_count: int) -> Encoder:
    return extended(old, Encoder.fit(table, old.schema, rows, min_count=min_count))


def new_table() -> dict[str, np.ndarray]:
    return small_table() | {"color": text_column("cyan", "red", "pink", "cyan", "azure", "pink")}


def test_new_values_that_are_frequent_enough_follow_the_old_ones() -> None:
    old = Encoder.fit(small_table(), FLAT_SCHEMA, min_count=2)
    new = grown(old, new_table(), min_count=2)
    assert vocabularies(old)[0] == ["blue", "red"]
    assert vocabularies(new)[0] == ["blue", "red", "cyan", "pink"]
    assert vocabularies(new)[1] == vocabularies(old)[1]
    assert describe(old, new) == ["color: 2 new values"]


def test_values_count_in_the_training_rows_alone() -> None:
    old = Encoder.fit(small_table(), FLAT_SCHEMA, min_count=2)
    assert vocabularies(grown(old, new_table(), np.array([0, 1, 3]), min_count=2))[0] == ["blue", "red", "cyan"]


def test_rows_of_old_values_are_the_moved_ones_and_numbers_keep_their_scaling() -> None:
    old = Encoder.fit(small_table(), MIXED_SCHEMA, min_count=1)
    new = grown(old, new_table() | {"price": text_column("100", "200", "300", "400", "", "1")}, min_count=1)
    rows = moved_rows(old, new)
    before, after = old.transform(small_table()), new.transform(small_table())
    np.testing.assert_array_equal(rows[before.ids], after.ids)
    for name in ("values", "dense", "offsets"):
        np.testing.assert_array_equal(getattr(before, name), getattr(after, name))
    assert rows.dtype == np.int64 and len(rows) == old.rows < new.rows
    assert len(np.unique(rows)) == old.rows


def test_without_new_values_nothing_moves() -> None:
    old = Encoder.fit(small_table(), MIXED_SCHEMA, min_count=1)
    new = grown(old, small_table(), min_count=1)
    assert new.to_dict() == old.to_dict() and describe(old, new) == []
    np.testing.assert_array_equal(moved_rows(old, new), np.arange(old.rows))


def test_missing_and_rare_values_are_remembered() -> None:
    schema = Schema([Categorical("c")])
    old = Encoder.fit({"c": text_column("a", "a", "b")}, schema, min_count=2)
    new = grown(old, {"c": text_column("", "d", "d")}, min_count=2)
    assert old.zero_rows.tolist() == [0, 1] and new.zero_rows.tolist() == [0]
    assert not old.drop_to_unknown.any() and new.drop_to_unknown.all()
