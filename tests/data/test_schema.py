"""Schemas: what they refuse, and that they survive JSON."""

from __future__ import annotations

import json

import pytest

from fastfm_core.data import Categorical, Cross, MultiHot, Numeric, Schema
from fastfm_core.data.schema import field_from_dict
from fastfm_core.errors import InputError

from .tables import MIXED_SCHEMA


def test_schema_survives_json() -> None:
    description = json.loads(json.dumps(MIXED_SCHEMA.to_dict()))
    assert Schema.from_dict(description) == MIXED_SCHEMA


def test_numeric_is_a_row_by_default_and_multihot_a_mean() -> None:
    assert Numeric("x").use == ("first", "pairs", "deep")
    assert (MultiHot("x").separator, MultiHot("x").pooling) == ("|", "mean")


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({"type": "multihot", "wieghted": True}, "type multihot has no 'wieghted', only separator, pooling, weighted"),
        ({"type": "multihot", "weighted": "no"}, "weighted is 'no', give true or false"),
        ({"type": "multihot", "separator": 5}, "separator is 5, give a text"),
        ({"type": "multihot", "min_count": "5"}, "min_count is '5', give a whole number"),
        ({"type": "categorical", "use": [1]}, r"use is \(1,\), give a text or a list of texts"),
        ({"type": "numeric", "source": 5}, "source is 5, give a text"),
        ({"type": "numeric", "bins": True}, "bins is True, give a whole number"),
        ({"type": "cross", "columns": "ab"}, "columns is 'ab', give a list of column names"),
        ({"type": "cross"}, "missing 1 required positional argument: 'columns'"),
    ],
)
def test_a_wrong_argument_is_named_with_its_column(description, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        field_from_dict({"name": "a", **description})
    assert str(caught.value).startswith("column 'a'")


def test_a_list_is_as_good_as_a_tuple() -> None:
    assert field_from_dict({"type": "cross", "name": "x", "columns": ["a", "b"]}) == Cross(("a", "b"), name="x")
    assert field_from_dict({"type": "Numeric", "name": "x", "use": ["raw", "first"]}).use == ("first", "raw")


def test_unknown_type_is_named() -> None:
    with pytest.raises(InputError, match="'when' has type 'Calendar': known are categorical, numeric, multihot, cross"):
        Schema.from_dict({"fields": [{"type": "Calendar", "name": "when"}], "label": None})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Schema([]), "no column is left"),
        (lambda: Schema([Categorical("a"), Numeric("a")]), "'a' is in the schema twice"),
        (lambda: Schema([Categorical("a")], label="a"), "both label and feature"),
        (lambda: Numeric("a", use="row"), "use is 'row', choose of first, pairs, deep, raw"),
        (lambda: Numeric("a", use="deep,raw"), "raw stands in place of deep"),
        (lambda: Categorical("a", use="raw"), "use is 'raw'"),
        (lambda: Categorical("a", use=""), "use is ''"),
        (lambda: Categorical("a", buckets=0), "buckets is 0"),
        (lambda: Categorical("a", buckets=9, min_count=3), "neither share nor min_count"),
        (lambda: Numeric("a", transform="cube"), "transform is 'cube'"),  # pyright: ignore
        (lambda: Cross(("a",)), "at least two columns"),
        (lambda: Schema([Categorical("a", share="b")]), "share='b' is no such column"),
        (
            lambda: Schema([Categorical("a"), MultiHot("b", share="a", min_count=2)]),
            "rows of 'a': give min_count there",
        ),
        (lambda: Schema([Categorical("a", dim=4), Categorical("b", share="a", dim=4)]), "rows of 'a': give dim there"),
        (lambda: MultiHot("a", dim=0), "dim is 0, give a whole number of at least 1"),
        (lambda: Cross(("a", "b"), dim=1.5), "dim is 1.5, give a whole number"),  # pyright: ignore
        (lambda: MultiHot("a", pooling="none", dim=2), "not pooled have the model's dim, leave dim out"),
        (lambda: Schema([Categorical("a", buckets=5), Categorical("b", share="a")]), "share='a' is no such column"),
        (lambda: Schema([MultiHot("a", pooling="none"), Categorical("b")]), "the only field of a schema"),
        (lambda: MultiHot("a", pooling="max"), "pooling is 'max'"),  # pyright: ignore
        (lambda: MultiHot("a", separator=""), "separator is empty"),
    ],
)
def test_wrong_schemas_are_refused(make, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()
