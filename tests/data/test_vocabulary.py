"""Vocabularies: weighted bags and their pooling, rows that columns share, a minimum count per field."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fastfm_core.data import Categorical, Encoder, MultiHot, Schema
from fastfm_core.data.columns import RowError
from fastfm_core.data.text import Bags, Texts

from .fitting import assert_same_encoded, fitted, values_of
from .tables import EVERY_SCHEMA, every_table, text_column

WEIGHTED = text_column("a:0.3|b:1", "b", "", "a:-2|c:1e-1|b:")


@pytest.mark.parametrize(
    ("pooling", "coefficients"),
    [
        ("mean", [0.3 / 2, 1 / 2, 1, 1, -2 / 3, 0.1 / 3, 1 / 3]),
        ("sum", [0.3, 1, 1, 1, -2, 0.1, 1]),
        ("sqrtn", [0.3 / 2**0.5, 1 / 2**0.5, 1, 1, -2 / 3**0.5, 0.1 / 3**0.5, 1 / 3**0.5]),
    ],
)
def test_weights_are_pooled(pooling, coefficients: list[float]) -> None:
    _, encoded = fitted({"x": WEIGHTED}, MultiHot("x", weighted=True, pooling=pooling))
    unknown, missing, b, a, c = range(5)
    assert encoded.ids.tolist() == [a, b, b, missing, a, c, b]
    np.testing.assert_array_equal(encoded.offsets, [0, 2, 3, 4, 7])
    np.testing.assert_allclose(values_of(encoded), coefficients, rtol=1e-6)
    assert unknown not in encoded.ids


def test_only_the_last_colon_parts_value_and_weight() -> None:
    encoder, encoded = fitted({"x": text_column("http://a:2", "http://a:3")}, MultiHot("x", weighted=True))
    assert encoder.to_dict()["codecs"][0]["vocabulary"] == ["http://a"]
    assert values_of(encoded).tolist() == [2, 3]


def test_without_weighted_a_colon_is_text() -> None:
    encoder, _ = fitted({"x": text_column("a:1|b", "b")}, MultiHot("x"))
    assert encoder.to_dict()["codecs"][0]["vocabulary"] == ["b", "a:1"]


@pytest.mark.parametrize("weight", ["x", "inf", "1_0", "--1"])
def test_a_weight_that_is_no_number_is_named_with_its_row(weight: str) -> None:
    column = text_column("a:1|b:2", "", f"a|b:1|c:{weight}", "d:y")
    with pytest.raises(RowError, match=rf"column 'x', data row 3: the weight '{weight}' is not a finite number"):
        fitted({"x": column}, MultiHot("x", weighted=True))


def test_bags_keep_their_own_weights() -> None:
    bags = Bags(Texts.of(["a", "b", "a"]), np.array([0, 2, 2, 3]), np.array([0.5, 2.0, 4.0]))
    _, encoded = fitted({"x": bags}, MultiHot("x", pooling="mean"))
    assert encoded.ids.tolist() == [2, 3, 1, 2]
    np.testing.assert_allclose(values_of(encoded), [0.25, 1, 1, 4])


def test_without_pooling_an_empty_cell_is_an_empty_bag() -> None:
    bags = Bags(Texts.of(["a", "b", "a"]), np.array([0, 2, 2, 3]), np.array([0.5, 2.0, 4.0]))
    _, encoded = fitted({"x": bags}, MultiHot("x", pooling="none"))
    assert encoded.pooling == "none" and encoded.ids.tolist() == [2, 3, 2]
    np.testing.assert_array_equal(encoded.offsets, [0, 2, 2, 3])
    assert values_of(encoded).tolist() == [0.5, 2, 4]
    assert encoded.take(np.array([1, 2])).entries.pooling == "none"


def shared() -> tuple[dict, Schema]:
    table = {"seen": text_column("a|b", "b", "c"), "item": text_column("c", "a", "a"), "other": text_column(*"xyx")}
    return table, Schema([MultiHot("seen", share="item", pooling="sum"), Categorical("other"), Categorical("item")])


def test_sharing_columns_give_equal_texts_equal_rows() -> None:
    table, schema = shared()
    encoder = Encoder.fit(table, schema, min_count=1)
    encoded = encoder.transform(table)
    assert encoder.field_names == ["seen", "other", "item"]
    assert encoder.bases[0] == encoder.bases[2] and encoder.rows == (2 + 3) + (2 + 2)
    base = encoder.bases[0]
    row = {text: base + 2 + position for position, text in enumerate("abc")}
    entries = [encoded.ids[encoded.offsets[slot] : encoded.offsets[slot + 1]].tolist() for slot in range(9)]  # type: ignore[index]
    assert entries[0::3] == [[row["a"], row["b"]], [row["b"]], [row["c"]]]
    assert entries[2::3] == [[row["c"]], [row["a"]], [row["a"]]]


def test_a_shared_vocabulary_is_counted_over_both_columns() -> None:
    table, schema = shared()
    encoder = Encoder.fit(table, schema, min_count=2)
    vocabularies = [codec and codec["vocabulary"] for codec in encoder.to_dict()["codecs"]]
    assert vocabularies == [None, ["x"], ["a", "b", "c"]]
    assert Encoder.fit(table, schema, min_count=3).to_dict()["codecs"][2]["vocabulary"] == ["a"]


def test_sharing_survives_json() -> None:
    table, schema = shared()
    encoder = Encoder.fit(table, schema, min_count=1)
    again = Encoder.from_dict(json.loads(json.dumps(encoder.to_dict())))
    assert again.to_dict() == encoder.to_dict()
    assert_same_encoded(again.transform(table), encoder.transform(table))
    assert again.zero_rows.tolist() == encoder.zero_rows.tolist()


def test_every_column_type_survives_json() -> None:
    table = every_table(60)
    encoder = Encoder.fit(table, EVERY_SCHEMA, min_count=2)
    again = Encoder.from_dict(json.loads(json.dumps(encoder.to_dict())))
    assert again.to_dict() == encoder.to_dict() and again.notes() == encoder.notes()
    assert_same_encoded(again.transform(every_table(30, seed=1)), encoder.transform(every_table(30, seed=1)))


def test_fields_have_dims_of_their_own_or_their_owners() -> None:
    encoder = Encoder.fit(every_table(60), EVERY_SCHEMA)
    assert encoder.ranges is not None
    bases, sizes, dims = encoder.ranges
    assert (bases.tolist(), sizes.tolist()) == (encoder.bases.tolist(), encoder.sizes.tolist())
    own = dict(zip(encoder.field_names, dims.tolist(), strict=True))
    assert {name for name, dim in own.items() if dim == 3} == {"color", "last", "color history"}
    assert set(own.values()) == {0, 3} and shared_encoder().ranges is None


def shared_encoder() -> Encoder:
    table, schema = shared()
    return Encoder.fit(table, schema)


def test_a_fields_own_minimum_count_goes_before_the_encoders() -> None:
    column = text_column("a", "a", "a", "b", "b", "c")
    table = {"x": column, "y": column, "z": column}
    fields = Categorical("x", min_count=3), MultiHot("y", min_count=1), Categorical("z")
    encoder, _ = fitted(table, *fields, min_count=2)
    assert [codec["vocabulary"] for codec in encoder.to_dict()["codecs"]] == [["a"], ["a", "b", "c"], ["a", "b"]]
    assert encoder.drop_to_unknown.tolist() == [False, True, False]


def test_sharing_columns_use_the_owners_minimum_count() -> None:
    table = {"x": text_column("a", "a", "b"), "y": text_column("b", "b", "c")}
    encoder, _ = fitted(table, Categorical("y", share="x"), Categorical("x", min_count=3), min_count=1)
    assert encoder.to_dict()["codecs"][1]["vocabulary"] == ["b"]
