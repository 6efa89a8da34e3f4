"""The encoder: row layout, fitting on the training rows alone, and survival through JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastfm_core.data import Categorical, Encoded, Encoder, MultiHot, Numeric, Schema
from fastfm_core.data.encode import default_min_count
from fastfm_core.errors import InputError

from .tables import FLAT_SCHEMA, MIXED_SCHEMA, small_table, tables, text_column

TABLES = tables(st.integers(1, 12))


def one_field(field, column: np.ndarray, **options) -> tuple[Encoder, Encoded]:
    encoder = Encoder.fit({field.name: column}, Schema([field]), **options)
    return encoder, encoder.transform({field.name: column})


def values_of(encoded: Encoded) -> np.ndarray:
    assert encoded.values is not None and encoded.values.dtype == np.float32
    return encoded.values


def assert_same(left: Encoded, right: Encoded) -> None:
    for name in ("ids", "offsets", "values", "dense", "labels", "weights", "unknown_rows"):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name))


def test_vocabulary_is_ordered_by_count_then_text() -> None:
    column = text_column("b", "c", "c", "a", "", "a", "d", "c")
    encoder, encoded = one_field(Categorical("x"), column, min_count=1)
    unknown, missing, first = 0, 1, 2
    rows = {"": missing, "c": first, "a": first + 1, "b": first + 2, "d": first + 3}
    assert encoded.ids[:, 0].tolist() == [rows[text] for text in column]
    assert encoder.rows == 6
    assert encoder.transform({"x": text_column("never seen")}).ids.tolist() == [[unknown]]


def test_rare_training_values_fall_to_the_unknown_row() -> None:
    encoder, encoded = one_field(Categorical("x"), text_column("a", "a", "b", ""), min_count=2)
    assert encoded.ids[:, 0].tolist() == [2, 2, 0, 1]
    assert encoder.drop_to_unknown.tolist() == [False]
    encoder, _ = one_field(Categorical("x"), text_column("a", "a", "b", "b"), min_count=2)
    assert encoder.drop_to_unknown.tolist() == [True]


def test_default_minimum_count() -> None:
    assert [default_min_count(count) for count in (10, 999_999, 1_000_000)] == [2, 2, 10]
    _, encoded = one_field(Categorical("x"), text_column("a", "a", "b"))
    assert encoded.ids[:, 0].tolist() == [2, 2, 0]


def test_fields_own_contiguous_ranges_of_one_arena() -> None:
    encoder = Encoder.fit(small_table(), MIXED_SCHEMA, min_count=1)
    assert encoder.field_names == ["color", "tags", "price", "words", "parts"]
    assert encoder.dense_names == ["age"]
    assert encoder.bases.tolist() == [0, 5, 10, 12, 18]
    assert (encoder.rows, encoder.fields, encoder.dense) == (23, 5, 1)
    assert encoder.unknown_rows.tolist() == [0, 5, -1, 12, 18]
    assert encoder.zero_rows.tolist() == [0, 5, 12, 18]
    assert encoder.drop_to_unknown.tolist() == [True, True, False, True, True]
    assert encoder.transform(small_table()).ids.dtype == np.int32


def test_missing_rows_that_training_never_reaches_start_at_zero() -> None:
    table = {"c": text_column("a", "b"), "n": text_column("1", "2")}
    assert Encoder.fit(table, Schema([Categorical("c"), Numeric("n")]), min_count=1).zero_rows.tolist() == [0, 1, 5]


def test_sample_major_layout_of_bags() -> None:
    encoder = Encoder.fit(small_table(), MIXED_SCHEMA, min_count=1)
    encoded = encoder.transform(small_table())
    assert encoded.offsets is not None and encoded.values is not None
    slot = 3 * encoder.fields + encoder.field_names.index("tags")
    begin, end = encoded.offsets[slot : slot + 2]
    tags = 5 + np.array([3, 3, 4])
    assert encoded.ids[begin:end].tolist() == tags.tolist()
    np.testing.assert_array_equal(encoded.values[begin:end], np.full(3, 1 / 3, np.float32))
    assert encoded.offsets[-1] == len(encoded.ids) == len(encoded.values)
    assert len(encoded) == 6


@pytest.mark.parametrize(("pooling", "coefficient"), [("mean", 1 / 4), ("sum", None), ("sqrtn", 1 / 2)])
def test_pooling_is_folded_into_the_values(pooling: str, coefficient: float | None) -> None:
    column = text_column("a|b|c|d", "a")
    _, encoded = one_field(MultiHot("x", pooling=pooling), column, min_count=1)  # pyright: ignore
    if coefficient is None:
        assert encoded.values is None
    else:
        np.testing.assert_allclose(values_of(encoded), [coefficient] * 4 + [1])


def test_a_cell_without_values_is_missing() -> None:
    _, encoded = one_field(MultiHot("x"), text_column("a||b", "", "|", "a"), min_count=1)
    assert encoded.ids.tolist() == [2, 3, 1, 1, 2]
    np.testing.assert_array_equal(encoded.offsets, [0, 2, 3, 4, 5])


def test_multihot_counts_values_not_cells() -> None:
    _, encoded = one_field(MultiHot("x"), text_column("a|b", "a|b", "c"), min_count=2)
    assert encoded.ids.tolist() == [2, 3, 2, 3, 0]


def test_numbers_are_standardised_on_the_training_rows() -> None:
    column = text_column("1", "3", "", "100")
    encoder = Encoder.fit({"x": column}, Schema([Numeric("x")]), np.array([0, 1]))
    encoded = encoder.transform({"x": column})
    assert encoded.ids.tolist() == [[0], [0], [1], [0]]
    np.testing.assert_allclose(values_of(encoded), [[-1], [1], [1], [98]])


def test_raw_numbers_enter_the_dense_part_and_missing_is_zero() -> None:
    table = {"x": text_column("1", "", "3"), "c": text_column("a", "a", "a")}
    encoder = Encoder.fit(table, Schema([Numeric("x", use="raw"), Categorical("c")]))
    encoded = encoder.transform(table)
    assert encoded.dense is not None and encoded.dense.dtype == np.float32
    np.testing.assert_allclose(encoded.dense, [[-1], [0], [1]])
    assert encoded.ids.shape == (3, 1) and encoded.values is None


def test_heavy_tails_are_logged() -> None:
    heavy = np.exp(np.linspace(-3, 14, 200))
    heavy[0] = -2
    _, encoded = one_field(Numeric("x"), heavy)
    logged = np.sign(heavy) * np.log1p(np.abs(heavy))
    np.testing.assert_allclose(values_of(encoded)[:, 0], (logged - logged.mean()) / logged.std(), rtol=1e-5, atol=1e-6)
    _, encoded = one_field(Numeric("x"), np.linspace(0, 9, 200))
    np.testing.assert_allclose(np.diff(values_of(encoded)[:, 0]), np.diff(values_of(encoded)[:, 0])[0], rtol=1e-3)


@pytest.mark.parametrize("column", [text_column("7", "7"), text_column("", "")], ids=["constant", "all missing"])
def test_numbers_without_spread_stay_finite(column: np.ndarray) -> None:
    _, encoded = one_field(Numeric("x"), column)
    assert np.isfinite(values_of(encoded)).all()


def test_a_number_far_from_training_stays_finite_in_float32() -> None:
    encoder, encoded = one_field(Numeric("x"), np.array([0.1 + 0.2, 0.3, 0.3]))
    np.testing.assert_allclose(values_of(encoded), 0, atol=1e-6)
    assert values_of(encoder.transform({"x": text_column("1e300", "-1e300")})).tolist() == [[1e6], [-1e6]]


def test_nothing_is_learnt_from_rows_outside_training() -> None:
    table = {"x": text_column("a", "a", "only valid", "only valid"), "tags": text_column("t", "t", "t|v", "v")}
    schema = Schema([Categorical("x"), MultiHot("tags")])
    encoder = Encoder.fit(table, schema, np.array([0, 1]))
    alone = Encoder.fit({name: column[:2] for name, column in table.items()}, schema)
    assert encoder.to_dict() == alone.to_dict()
    encoded = encoder.transform(table)
    assert encoded.ids.tolist() == [2, 5, 2, 5, 0, 5, 3, 0, 3]
    assert encoder.unseen_share(encoded.unknown_counts()) == {"x": 0.5, "tags": 2 / 5}
    assert encoder.unseen_share(encoded.unknown_counts(np.array([3]))) == {"x": 1.0, "tags": 1.0}
    assert encoder.unseen_share(encoded.unknown_counts(np.array([0, 1]))) == {"x": 0.0, "tags": 0.0}


def test_unsigned_64_bit_ids_survive_and_meet_their_text() -> None:
    ids = np.array([2**64 - 1, 2**64 - 2, 2**64 - 1, 2**64 - 2, 2**64 - 3], np.uint64)
    encoder, encoded = one_field(Categorical("id"), ids)
    assert encoded.ids[:, 0].tolist() == [3, 2, 3, 2, 0]
    again = Encoder.from_dict(json.loads(json.dumps(encoder.to_dict())))
    assert again.to_dict()["codecs"][0]["vocabulary"] == ["18446744073709551614", "18446744073709551615"]
    np.testing.assert_array_equal(again.transform({"id": text_column(*map(str, ids))}).ids, encoded.ids)


def test_missing_of_every_kind_is_the_missing_row() -> None:
    encoder, _ = one_field(Categorical("x"), text_column("5", "5", ""))
    assert encoder.transform({"x": np.array([5.0, np.nan])}).ids.tolist() == [[2], [1]]
    assert encoder.transform({"x": np.array(["5", None, float("nan")], object)}).ids.tolist() == [[2], [1], [1]]


def test_labels_and_weights_travel() -> None:
    encoder = Encoder.fit(small_table(), MIXED_SCHEMA)
    encoded = encoder.transform(small_table(), labels=np.arange(6), weights=np.ones(6))
    assert encoded.labels is not None and encoded.labels.dtype == np.float32
    assert encoded.weights is not None and encoded.weights.dtype == np.float32


def test_errors_name_column_and_row() -> None:
    table = small_table()
    with pytest.raises(InputError, match="'price', data row 5: 'four'"):
        Encoder.fit({**table, "price": text_column("1", "2", "3", "", "four", "5")}, MIXED_SCHEMA)
    del table["tags"]
    with pytest.raises(InputError, match="there is no column 'tags'"):
        Encoder.fit(small_table(), MIXED_SCHEMA).transform(table)
    with pytest.raises(InputError, match="every column is a raw number"):
        Encoder.fit(small_table(), Schema([Numeric("age", use="raw")]))


@pytest.mark.parametrize(
    ("field", "cell"), [(Numeric("x"), "x"), (MultiHot("x", weighted=True), "a:x")], ids=["number", "weight"]
)
def test_errors_among_training_rows_name_the_row_of_the_table(field, cell: str) -> None:
    column = text_column("1", cell, "1", "1", cell, "1")
    with pytest.raises(InputError, match=r"column 'x', data row 5: "):
        Encoder.fit({"x": column}, Schema([field]), np.array([0, 2, 4, 5]))


@given(TABLES, TABLES, st.integers(1, 3), st.sampled_from([MIXED_SCHEMA, FLAT_SCHEMA]))
def test_an_encoder_survives_json(train, other, min_count: int, schema: Schema) -> None:
    encoder = Encoder.fit(train, schema, min_count=min_count)
    again = Encoder.from_dict(json.loads(json.dumps(encoder.to_dict())))
    for table in (train, other):
        assert_same(encoder.transform(table), again.transform(table))
    for name in ("rows", "fields", "dense", "field_names", "dense_names", "schema", "min_count"):
        assert getattr(encoder, name) == getattr(again, name)
    for name in ("bases", "zero_rows", "unknown_rows", "drop_to_unknown"):
        np.testing.assert_array_equal(getattr(encoder, name), getattr(again, name))


@given(TABLES, TABLES, st.integers(1, 3))
def test_every_entry_lies_in_its_fields_range(train, other, min_count: int) -> None:
    encoder = Encoder.fit(train, MIXED_SCHEMA, min_count=min_count)
    encoded = encoder.transform(other)
    assert encoded.offsets is not None
    fields = np.repeat(np.arange(len(encoded) * encoder.fields) % encoder.fields, np.diff(encoded.offsets))
    assert (np.diff(encoded.offsets) > 0).all()
    ends = np.append(encoder.bases[1:], encoder.rows)
    assert (encoder.bases[fields] <= encoded.ids).all() and (encoded.ids < ends[fields]).all()
