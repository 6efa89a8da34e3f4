"""DeepFM's two forms of the lesson equal a transcription of its networks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from drawing import to_float64

from fastfm_core import models
from fastfm_core.backends import Backend
from fastfm_core.contract import Batch, Entries

from . import lesson

SIZES, DIM, NUMBERS, SAMPLES = [7, 5, 3, 4], 6, 3, 11
SIDES = ("item", "user", "item", "user")
BASES = np.concatenate([[0], np.cumsum(SIZES)[:-1]])


def drawn() -> tuple[np.ndarray, np.ndarray, Batch]:
    """Values [B, F] counted from 0 in each column, numbers [B, I], and the batch that holds both."""
    random = np.random.default_rng(4)
    values = np.stack([random.integers(0, size, SAMPLES) for size in SIZES], axis=1)
    numbers = random.standard_normal((SAMPLES, NUMBERS))
    ids = (values + BASES).astype(np.int32).reshape(-1)
    return values, numbers, Batch(Entries(ids, len(SIZES)), numbers)


def built(name: str, backend: Backend, **options: Any) -> tuple[Any, dict[str, np.ndarray]]:
    model = models.build(
        name, rows=sum(SIZES), fields=len(SIZES), dense=NUMBERS, backend=backend, dim=DIM, hidden=(8, 5), dropout=0.5,
        sides=SIDES, **options,
    )  # fmt: skip
    to_float64(model)
    return model, model.state_dict()


def tables(table: np.ndarray) -> list[np.ndarray]:
    """The rows of each column."""
    return np.split(table, BASES[1:])


def layers_of(state: dict[str, np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(state[f"tower.layers.{n}.weight"], state[f"tower.layers.{n}.bias"]) for n in range(2)]


@pytest.mark.parametrize(
    ("chosen", "pairs"),
    [
        ("user*item", [(0, 1), (0, 3), (1, 2), (2, 3)]),
        ("all", [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]),
        ("3*0,1*2", [(0, 3), (1, 2)]),
    ],
)
def test_v1(backend: Backend, chosen: str, pairs: list[tuple[int, int]]) -> None:
    model, state = built("deepfm_v1", backend, pairs=chosen)
    values, numbers, batch = drawn()
    table, head = state["embedding.table"], state["head.weight"][:, 0]
    expected = lesson.deepfm_v1(
        lesson.one_hot(values, SIZES), numbers, tables(table[:, :-1]), tables(state["deep.table"]), pairs,
        layers_of(state), np.concatenate([table[:, -1], head]), state["head.bias"][0],
    )  # fmt: skip
    np.testing.assert_allclose(model.predict(batch), expected, rtol=0, atol=1e-12)


def test_v2(backend: Backend) -> None:
    model, state = built("deepfm_v2", backend, projection=9)
    values, numbers, batch = drawn()
    table = state["embedding.table"]
    weights, offsets = state["project.weight"], state["project.bias"]
    expected = lesson.deepfm_v2(
        lesson.one_hot(values, SIZES), numbers, tables(table[:, :-1]), (table[:, -1], 0.0),
        (state["numbers_first.weight"][:, 0], state["numbers_first.bias"][0]), list(zip(weights, offsets, strict=True)),
        (state["numbers.weight"], state["numbers.bias"]), layers_of(state), state["head.weight"][:, 0],
        state["head.bias"][0],
    )  # fmt: skip
    np.testing.assert_allclose(model.predict(batch), expected, rtol=0, atol=1e-12)
