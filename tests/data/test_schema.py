"""Schemas: what they refuse, and that they survive JSON."""

from __future__ import annotations

import json

import pytest

from fastfm_core.data import Categorical, MultiHot, Numeric, Schema
from fastfm_core.errors import InputError

from .tables import MIXED_SCHEMA


def test_schema_survives_json() -> None:
    description = json.loads(json.dumps(MIXED_SCHEMA.to_dict()))
    assert Schema.from_dict(description) == MIXED_SCHEMA


def test_numeric_is_a_row_by_default_and_multihot_a_mean() -> None:
    assert Numeric("x").use == "row"
    assert (MultiHot("x").separator, MultiHot("x").pooling) == ("|", "mean")


def test_unknown_type_is_named() -> None:
    with pytest.raises(InputError, match="'when' has type 'Calendar': known are Categorical, Numeric, MultiHot"):
        Schema.from_dict({"fields": [{"type": "Calendar", "name": "when"}], "label": None})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Schema([]), "no column is left"),
        (lambda: Schema([Categorical("a"), Numeric("a")]), "'a' is in the schema twice"),
        (lambda: Schema([Categorical("a")], label="a"), "both label and feature"),
        (lambda: Numeric("a", use="deep"), "use is 'deep', choose one of row, raw"),  # pyright: ignore
        (lambda: MultiHot("a", pooling="max"), "pooling is 'max'"),  # pyright: ignore
        (lambda: MultiHot("a", separator=""), "separator is empty"),
    ],
    ids=["empty", "twice", "label", "use", "pooling", "separator"],
)
def test_wrong_schemas_are_refused(make, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()
