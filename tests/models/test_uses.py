"""Fields that take part in some parts of a model only: against naive models, gradients, updates, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from drawing import draw_batch, draw_entries, loss_of, to_float64

from fastfm_core import backends, models, ops, optim
from fastfm_core.autograd import gradcheck
from fastfm_core.backends import Backend
from fastfm_core.contract import Batch
from fastfm_core.errors import InputError
from fastfm_core.nn import Uses
from fastfm_core.nn.uses import batch_of_fields

from . import naive

ROWS, FIELDS, DIM, NUMBERS = 9, 4, 3, 2
ALL, NONE = [1, 1, 1, 1], [0, 0, 0, 0]
CASES = {
    "all different": ([1, 1, 0, 0], [0, 1, 1, 1], [1, 0, 0, 1]),
    "first alone differs": ([1, 0, 0, 0], [0, 1, 1, 1], [0, 1, 1, 1]),
    "deep alone differs": (ALL, ALL, [0, 0, 1, 0]),
    "first with deep": ([1, 0, 1, 1], [1, 1, 0, 0], [1, 0, 1, 1]),
    "one subset": ([0, 1, 1, 1], [0, 1, 1, 1], [0, 1, 1, 1]),
    "no pairs": (ALL, NONE, ALL),
    "no first order": (NONE, ALL, [1, 0, 0, 0]),
    "numbers alone in the deep part": (ALL, [1, 1, 0, 1], NONE),
}
INPUTS: dict[str, dict[str, Any]] = {
    "ids": {},
    "values": {"values": True},
    "bags": {"bags": True, "values": True},
    "max": {"bags": True, "values": True, "pooling": "max"},
}


def uses_of(case: str) -> Uses:
    return Uses(*(np.array(part, bool) for part in CASES[case]))


def build(name: str, backend: Backend, uses: Uses | None, **options: Any) -> Any:
    given = {"rows": ROWS, "fields": FIELDS, "dense": NUMBERS, "dim": DIM, "hidden": (5,), "bias": 0.25} | options
    return models.build(name, backend=backend, uses=uses, **given)


def draw(kind: str, **options: Any) -> Any:
    return draw_batch(numbers=NUMBERS, fields=FIELDS, rows=ROWS, dtype=np.float64, **INPUTS[kind], **options)


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("case", CASES)
def test_models_equal_naive_ones(backend: Backend, case: str, kind: str) -> None:
    uses, batch = uses_of(case), draw(kind)
    for name in ("lr", "fm", "deepfm"):
        if name == "lr" and not uses.first.any():
            continue
        model = build(name, backend, uses)
        to_float64(model)
        expected = getattr(naive, name)(model.state_dict(), batch, uses, **({"layers": 1} if name == "deepfm" else {}))
        np.testing.assert_allclose(model.predict(batch), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("case", CASES)
def test_the_loss_has_the_right_slope(backend: Backend, case: str, kind: str) -> None:
    model = build("deepfm", backend, uses_of(case))
    to_float64(model, seed=2)
    batch = draw(kind, seed=1, samples=10, weights=True)
    gradcheck(lambda *_: loss_of(model, batch), model.parameters())


@pytest.mark.parametrize("kind", ["ids", "bags"])
@pytest.mark.parametrize("rows", ["exact", "lazy", "dense"])
@pytest.mark.parametrize("case", CASES)
def test_one_update_holds_the_gradients_of_all_lookups(backend: Backend, case: str, rows: str, kind: str) -> None:
    model, batch = build("deepfm", backend, uses_of(case)), draw(kind)
    to_float64(model)
    optimizer = optim.build("sgd", model, lr=0.1, rows=rows)
    loss_of(model, batch).backward()
    before = {path: tensor.data.copy() for path, tensor in model.named_parameters()}
    grads = {path: tensor.grad for path, tensor in model.named_parameters()}
    full = {path: g.dense() if path.startswith("embedding") and g is not None else g for path, g in grads.items()}
    optimizer.step()
    for path, tensor in model.named_parameters():
        step = 0.0 if full[path] is None else 0.1 * full[path]
        np.testing.assert_allclose(tensor.data, before[path] - step, rtol=1e-10, atol=1e-12)


def test_uses_of_all_fields_are_todays_path_bit_for_bit(backend: Backend) -> None:
    batch = draw_batch(numbers=NUMBERS, fields=FIELDS, rows=ROWS)
    everywhere = Uses(*(np.ones(FIELDS, bool) for _ in range(3)))
    weights = []
    for uses in (None, everywhere):
        model = build("deepfm", backend, uses, dropout=0.3)
        optimizer = optim.build("adam", model, lr=0.1)
        loss_of(model, batch).backward()
        optimizer.step()
        weights.append({path: array.tobytes() for path, array in model.state_dict().items()})
    assert weights[0] == weights[1]


@pytest.fixture
def looked_up(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many fields each lookup had, in turn."""
    calls: list[int] = []
    lookup = ops.embedding_fm

    def counted(table: Any, linear: Any, entries: Any, *given: Any, **options: Any) -> Any:
        calls.append(entries.fields)
        return lookup(table, linear, entries, *given, **options)

    monkeypatch.setattr(ops, "embedding_fm", counted)
    return calls


@pytest.mark.parametrize(
    ("name", "case", "fields"),
    [
        ("deepfm", "all different", [2, 3, 2]),
        ("deepfm", "first with deep", [3, 2]),
        ("deepfm", "one subset", [3]),
        ("deepfm", "no pairs", [4]),
        ("fm", "deep alone differs", [4]),
        ("lr", "all different", [2]),
    ],
)
def test_parts_share_lookups_and_a_model_has_those_it_needs(
    backend: Backend, looked_up: list[int], name: str, case: str, fields: list[int]
) -> None:
    build(name, backend, uses_of(case)).predict(draw_batch(numbers=NUMBERS, fields=FIELDS, rows=ROWS))
    assert looked_up == fields


def test_the_mlp_is_as_wide_as_its_fields(backend: Backend) -> None:
    assert build("deepfm", backend, uses_of("all different")).mlp.layers[0].weight.data.shape == (2 * DIM + NUMBERS, 5)


@pytest.mark.parametrize(
    ("name", "case", "dense", "parts"),
    [
        ("deepfm", "numbers alone in the deep part", 0, "deep"),
        ("lr", "no first order", NUMBERS, "first"),
    ],
)
def test_a_model_without_its_part_is_refused(backend: Backend, name: str, case: str, dense: int, parts: str) -> None:
    with pytest.raises(InputError, match=f"{name}: no column takes part in {parts}"):
        build(name, backend, uses_of(case), dense=dense)


def test_an_fm_needs_first_order_or_pairs(backend: Backend) -> None:
    nothing = np.zeros(FIELDS, bool)
    with pytest.raises(InputError, match="fm: no column takes part in first or pairs"):
        build("fm", backend, Uses(nothing, nothing, ~nothing))


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("samples", [0, 1, 7])
def test_entries_of_fields_are_the_slots_of_those_fields(kind: str, samples: int) -> None:
    entries = draw_entries(np.random.default_rng(3), samples=samples, fields=FIELDS, rows=ROWS, **INPUTS[kind])
    fields = np.array([True, False, True, True])
    cut = batch_of_fields(Batch(entries), fields, backends.get("reference")).entries
    known = batch_of_fields(Batch(entries, host_offsets=entries.offsets), fields, backends.get("reference"))
    for one, other in zip(cut, known.entries, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (known.host_offsets is None) == (cut.offsets is None)
    table = np.random.default_rng(4).standard_normal((ROWS, DIM))
    assert (cut.fields, cut.samples, cut.pooling) == (3, samples, entries.pooling)
    assert cut.ids.dtype == entries.ids.dtype and cut.ids.flags.c_contiguous
    np.testing.assert_array_equal(naive.slots(cut, table), naive.slots(entries, table)[:, fields])


@pytest.mark.parametrize("name", ["lr", "fm"])
def test_rows_without_fields_train(backend: Backend, name: str) -> None:
    """pooling="none": every entry is a term of its own."""
    model = build(name, backend, None, fields=1, dense=0)
    to_float64(model)
    batch = draw_batch(samples=20, fields=1, rows=ROWS, bags=True, values=True, pooling="none", dtype=np.float64)
    gradcheck(lambda *_: loss_of(model, batch), model.parameters())
    optimizer, losses = optim.build("adagrad", model, lr=0.1), []
    for _ in range(5):
        optimizer.zero_grad()
        loss = loss_of(model, batch)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses == sorted(losses, reverse=True) and losses[-1] < 0.9 * losses[0]
