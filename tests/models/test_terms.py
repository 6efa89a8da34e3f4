"""``Model.terms``: what models say of the sums in their logits is what their logits do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from drawing import draw_batch, to_float64

from fastfm_core import backends, models
from fastfm_core.contract import Batch
from fastfm_core.models.base import Terms

ROWS, FIELDS, DIM = 9, 4, 3
SIDES = ("user", "", "item", "user")


def build(name: str, **options: Any) -> Any:
    given: dict[str, Any] = {"rows": ROWS, "fields": FIELDS, "dense": 2, "dim": DIM, "hidden": (5,), "projection": 3}
    model = models.build(name, backend=backends.get("reference"), sides=SIDES, **(given | options))
    to_float64(model)
    return model


def batch() -> Batch:
    return draw_batch(fields=FIELDS, rows=ROWS, numbers=2, dtype=np.float64)


def fields_of(terms: Terms, part: str) -> np.ndarray:
    uses = terms.embedding.uses
    return np.arange(FIELDS) if uses is None else np.flatnonzero(getattr(uses, part))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("lr", {}),
        ("mf", {}),
        ("fm", {}),
        ("fm", {"pairs": "user*item"}),
        ("fwfm", {}),
        ("fwfm", {"pairs": "3*0"}),
        ("fusion", {"branches": ["wide", "fm"], "pairs": "0*1,1*2"}),
        ("fusion", {"branches": ["fm", "wide"]}),
    ],
)
def test_terms_add_up_to_the_logit(name: str, options: dict[str, Any]) -> None:
    model, given = build(name, **options), batch()
    terms = model.terms()
    rows = terms.embedding.table.data[given.entries.ids].reshape(-1, FIELDS, terms.embedding.table.data.shape[1])
    expected = model.bias.data[0] + terms.first * rows[:, fields_of(terms, "first"), -1].sum(axis=1)
    vectors = rows[:, fields_of(terms, "pairs"), :-1]
    for (f, g), weight in zip(terms.pairs, terms.weights, strict=True) if terms.pairs is not None else ():
        expected = expected + weight * (vectors[:, f] * vectors[:, g]).sum(axis=1)
    np.testing.assert_allclose(model.predict(given), expected, rtol=1e-12)


@pytest.mark.parametrize("name", models.MODELS)
def test_the_first_order_moves_the_logit_as_much_as_it_says(name: str) -> None:
    model, given = build(name), batch()
    terms, before = model.terms(), model.predict(given)
    if terms is None:
        assert not any(getattr(module, "lane", False) for _, module in model.modules())
        return
    terms.embedding.table.data[:, -1] += 0.125
    moved = 0.125 * terms.first * len(fields_of(terms, "first"))
    np.testing.assert_allclose(model.predict(given) - before, moved, rtol=1e-9)
