"""Schemas: what they refuse, and that they survive JSON."""

from __future__ import annotations

import json

import pytest

from fastfm_core.data import Categorical, Cross, MultiHot, Numeric, Schema
from fastfm_core.errors import InputError

from .tables import MIXED_SCHEMA


def test_schema_survives_json() -> None:
    description = json.loads(json.dumps(MIXED_SCHEMA.to_dict()))
    assert Schema.from_dict(description) == MIXED_SCHEMA


def test_numeric_is_a_row_by_default_and_multihot_a_mean() -> None:
    assert Numeric("x").use == ("first", "pairs", "deep")
    assert (MultiHot("x").separator, MultiHot("x").pooling) == ("|", "mean")


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
        (lambda: Schema([MultiHot("a", pooling="none"), Categorical("b")]), "the only field of a schema"),
        (lambda: MultiHot("a", pooling="max"), "pooling is 'max'"),  # pyright: ignore
        (lambda: MultiHot("a", separator=""), "separator is empty"),
    ],
)
def test_wrong_schemas_are_refused(make, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()
