"""Fields with dims of their own: against naive models on the projected table, gradients, updates, today's path."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from drawing import draw_batch, loss_of, to_float64

from fastfm_core import models, nn, optim
from fastfm_core.autograd import gradcheck
from fastfm_core.backends import Backend
from fastfm_core.errors import InputError
from fastfm_core.nn import Uses

from . import naive

ROWS, DIM, NUMBERS = 9, 3, 2
RANGES = {
    "each its own": ([0, 3, 4, 7], [3, 1, 3, 2], [2, 5, 0, 1]),
    "two dims, apart": ([0, 3, 4, 7], [3, 1, 3, 2], [2, 0, 2, 3]),
    "rows shared": ([0, 4, 0, 4], [4, 5, 4, 5], [4, 0, 4, 0]),
    "one dim, not the model's": ([0, 3, 4, 7], [3, 1, 3, 2], [2, 2, 2, 2]),
}
USES = {
    "everywhere": None,
    "all different": ([1, 1, 0, 0], [0, 1, 1, 1], [1, 0, 0, 1]),
    "no pairs": ([1, 1, 1, 1], [0, 0, 0, 0], [1, 1, 1, 1]),
    "no first order": ([0, 0, 0, 0], [1, 1, 1, 1], [1, 0, 0, 0]),
    "numbers alone in the deep part": ([1, 1, 1, 1], [1, 1, 0, 1], [0, 0, 0, 0]),
}
MODELS: dict[str, dict[str, int]] = {
    "fm": {}, "fwfm": {}, "deepfm": {"layers": 1}, "wide_deep": {"layers": 1}, "mlp": {"layers": 1},
}  # fmt: skip


def uses_of(case: str) -> Uses | None:
    parts = USES[case]
    return None if parts is None else Uses(*(np.array(part, bool) for part in parts))


def build(name: str, backend: Backend, ranges: str, uses: str = "everywhere", **options: Any) -> Any:
    given = {"rows": ROWS, "fields": 4, "dense": NUMBERS, "dim": DIM, "hidden": (5,), "bias": 0.25} | options
    return models.build(name, backend=backend, uses=uses_of(uses), ranges=RANGES[ranges], **given)


def draw(ranges: str, bags: bool, dtype: Any = np.float64, **options: Any) -> Any:
    """A batch whose ids lie in their fields' rows."""
    batch = draw_batch(numbers=NUMBERS, fields=4, rows=ROWS, bags=bags, values=bags, dtype=dtype, **options)
    entries, (bases, sizes, _) = batch.entries, map(np.array, RANGES[ranges])
    slots = np.arange(entries.slots)
    field = (slots if entries.offsets is None else np.repeat(slots, np.diff(entries.offsets))) % 4
    ids = (bases[field] + entries.ids % sizes[field]).astype(entries.ids.dtype)
    return batch._replace(entries=entries._replace(ids=ids))


def projected(state: dict[str, np.ndarray], ranges: str) -> dict[str, np.ndarray]:
    """The state of the model with one table [V, D + 1], whose rows are those of the arenas, projected."""
    bases, sizes, dims = (np.array(of) for of in RANGES[ranges])
    dims = np.where(dims, dims, DIM)
    width = DIM + int(state["embedding.arenas.0.embedding.table"].shape[1] > np.unique(dims)[0])
    table = np.full((ROWS, width), np.nan)
    for number, dim in enumerate(np.unique(dims)):
        arena, begin = state[f"embedding.arenas.{number}.embedding.table"], 0
        matrix = state.get(f"embedding.arenas.{number}.projection", np.eye(dim))
        for base, size in sorted({(b, s) for b, s, d in zip(bases, sizes, dims, strict=True) if d == dim}):
            own = arena[begin : begin + size]
            table[base : base + size] = np.concatenate([own[:, :dim] @ matrix, own[:, dim:]], axis=1)
            begin += size
        assert begin == len(arena)
    return {**state, "embedding.table": table}


@pytest.mark.parametrize("bags", [False, True])
@pytest.mark.parametrize("uses", USES)
@pytest.mark.parametrize("ranges", RANGES)
def test_models_equal_naive_ones_on_the_projected_table(backend: Backend, ranges: str, uses: str, bags: bool) -> None:
    batch = draw(ranges, bags)
    for name, options in MODELS.items():
        if name == "fwfm" and uses == "no pairs":
            continue
        model = build(name, backend, ranges, uses)
        to_float64(model)
        expected = getattr(naive, name)(projected(model.state_dict(), ranges), batch, uses_of(uses), **options)
        np.testing.assert_allclose(model.predict(batch), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("bags", [False, True])
@pytest.mark.parametrize("uses", USES)
@pytest.mark.parametrize("ranges", RANGES)
def test_the_loss_has_the_right_slope(backend: Backend, ranges: str, uses: str, bags: bool) -> None:
    model = build("deepfm", backend, ranges, uses)
    to_float64(model, seed=2)
    batch = draw(ranges, bags, seed=1, samples=10, weights=True)
    gradcheck(lambda *_: loss_of(model, batch), model.parameters())


@pytest.mark.parametrize("name", models.MODELS)
def test_every_model_trains_with_dims_of_its_fields(backend: Backend, name: str) -> None:
    sides = ("user", "item", "user", "item")
    model = build(name, backend, "two dims, apart", sides=sides, dropout=0.0)
    batch = draw("two dims, apart", False, np.float32, samples=40)
    batch = batch._replace(plan=backend.plan_rows(batch.entries.ids, ROWS))
    optimizer, losses = optim.build("adagrad", model, lr=0.05), []
    for _ in range(6):
        optimizer.zero_grad()
        loss = loss_of(model, batch)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("dims", [[0, 0, 0, 0], [DIM, 0, DIM, DIM]])
def test_equal_dims_are_todays_path_bit_for_bit(backend: Backend, dims: list[int]) -> None:
    batch, weights = draw("each its own", True, np.float32), []
    for ranges in (None, (*RANGES["each its own"][:2], dims)):
        given: dict[str, Any] = {"rows": ROWS, "fields": 4, "dense": NUMBERS, "dim": DIM, "hidden": (5,)}
        model: Any = models.build("deepfm", backend=backend, ranges=ranges, dropout=0.3, **given)
        assert type(model.embedding) is nn.FieldEmbedding
        optimizer = optim.build("adam", model, lr=0.1)
        loss_of(model, batch).backward()
        optimizer.step()
        weights.append({path: array.tobytes() for path, array in model.state_dict().items()})
    assert weights[0] == weights[1]


def test_parameters_and_how_they_start(backend: Backend) -> None:
    """V_d (d + 1) an arena, d D a projection; zero rows are 0, projected vectors spread like all others."""
    ranges = np.array([0, 2000, 4000]), np.array([2000, 2000, 2000]), np.array([4, 0, 64])
    zero = np.array([0, 2000, 4000, 4001])
    model: Any = models.build(
        "fm", rows=6000, fields=3, dense=0, dim=16, backend=backend, ranges=ranges, zero_rows=zero, init_std=0.1
    )
    assert optim.tables_of(model) == {f"embedding.arenas.{number}.embedding.table" for number in range(3)}
    assert sum(p.data.size for p in model.parameters()) == 2000 * (5 + 17 + 65) + 4 * 16 + 64 * 16 + 1
    for arena, zeros in zip(model.embedding.arenas, ([0], [0], [0, 1]), strict=True):
        table = arena.embedding.table.data
        assert np.flatnonzero((table[:, :-1] == 0).all(axis=1)).tolist() == zeros and not table[:, -1].any()
        vectors = table[:, :-1] if arena.projection is None else table[:, :-1] @ arena.projection.data
        assert 0.08 < vectors.std() < 0.12


def test_no_samples(backend: Backend) -> None:
    assert build("deepfm", backend, "each its own").predict(
        draw("each its own", False, np.float32, samples=0)
    ).shape == (0,)


def test_rows_without_fields_are_refused(backend: Backend) -> None:
    model = models.build("fm", rows=ROWS, fields=1, dense=0, dim=3, backend=backend, ranges=([0], [ROWS], [2]))
    batch = draw_batch(fields=1, rows=ROWS, bags=True, values=True, pooling="none")
    with pytest.raises(InputError, match="have no dims of their own; leave dim out"):
        model.predict(batch)
