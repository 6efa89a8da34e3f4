"""Whole trainings: the backends' loss curves agree, and threads change no bit."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
from drawing import draw_batch, loss_of

from fastfm_core import backends, models, optim, threads
from fastfm_core.backends import Backend
from fastfm_core.contract import Batch
from fastfm_core.nn import FieldEmbedding

SHAPE: dict[str, Any] = {"fields": 4, "rows": 40}


def train(model: models.Model, name: str, batches: list[Batch], **options: Any) -> list[float]:
    """One step a batch; the losses."""
    optimizer, losses = optim.build(name, model, lr=0.05, **options), []
    for step, batch in enumerate(batches):
        model.begin_step(step)
        optimizer.zero_grad()
        loss = loss_of(model, batch)
        loss.backward()
        optimizer.step(min(1.0, 1.0 / optim.gradient_norm(model.parameters())))
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("bags", [False, True])
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("optimizer", ["adam", "adagrad", "sgd"])
def test_ten_losses_agree_between_backends(optimizer: str, batch_norm: bool, bags: bool) -> None:
    drawn = [draw_batch(n, samples=32, numbers=3, bags=bags, values=bags, weights=True, **SHAPE) for n in range(10)]
    curves = []
    for name in backends.available():
        model = models.build(
            "deepfm", **SHAPE, dense=3, backend=backends.get(name), seed=3, dim=8, hidden=(16, 8), dropout=0.2,
            batch_norm=batch_norm, init_std=0.1,
        )  # fmt: skip
        curves.append(train(model, optimizer, drawn, embedding_l2=1e-3))
    assert len(set(curves[0])) == 10
    for curve in curves[1:]:
        np.testing.assert_allclose(curve, curves[0], rtol=1e-5)


def deepfm(backend: Backend, first_order: Literal["lane", "separate"], dim: int = 8, **shape: Any) -> Any:
    """A DeepFM whose embedding keeps its first order there; it starts with the same weights either way."""
    shape = SHAPE | shape
    model: Any = models.build(
        "deepfm", **shape, dense=3, backend=backend, seed=3, dim=dim, hidden=(16, 8), dropout=0.2, init_std=0.1
    )
    model.embedding = FieldEmbedding(shape["rows"], dim, backend, seed=3, init_std=0.1, first_order=first_order)
    return model


@pytest.mark.parametrize("bags", [False, True])
@pytest.mark.parametrize("rows", ["exact", "lazy", "dense"])
@pytest.mark.parametrize("optimizer", ["adam", "adagrad", "sgd"])
def test_a_first_order_in_the_row_trains_as_one_apart(backend: Backend, optimizer: str, rows: Any, bags: bool) -> None:
    """A hundred losses by numba, ten by the reference, and the weights after them; plans made ahead for one of them."""
    steps = 100 if backend.name == "numba" else 10
    drawn = [draw_batch(n, samples=32, numbers=3, bags=bags, values=bags, weights=True, **SHAPE) for n in range(steps)]
    planned = [batch._replace(plan=backend.plan_rows(batch.entries.ids, SHAPE["rows"])) for batch in drawn]
    lane, separate = deepfm(backend, "lane"), deepfm(backend, "separate")
    options: dict[str, Any] = {"embedding_l2": 1e-3, "rows": rows}
    losses = train(lane, optimizer, planned, **options)
    np.testing.assert_allclose(losses, train(separate, optimizer, drawn, **options), rtol=1e-5)
    assert len(set(losses)) == steps
    vectors, first = lane.embedding.table.data[:, :-1], lane.embedding.table.data[:, -1]
    np.testing.assert_allclose(vectors, separate.embedding.table.data, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(first, separate.embedding.linear.data, rtol=1e-3, atol=1e-5)
    assert np.abs(first).max() > 0.01


@pytest.mark.usefixtures("threads_restored")
@pytest.mark.parametrize("name", ["numba", "native"])
@pytest.mark.parametrize(("optimizer", "batch_norm", "bags"), [("adam", False, False), ("adagrad", True, True)])
def test_threads_change_no_bit(name: str, optimizer: str, batch_norm: bool, bags: bool) -> None:
    """Ten steps of a batch that every kernel family cuts into pieces: products, lookups, plans, updates."""
    if name not in backends.available():
        pytest.skip(str(backends.why_unavailable(name)))
    drawn = [draw_batch(n, samples=2048, fields=10, rows=5000, numbers=3, bags=bags) for n in range(10)]
    weights = []
    for count in (1, 2, 4, 8):
        threads.set_num_threads(count)
        model = models.build(
            "deepfm", fields=10, rows=5000, dense=3, backend=backends.get(name), seed=3, dim=16, hidden=(128, 64),
            dropout=0.2, batch_norm=batch_norm,
        )  # fmt: skip
        losses = train(model, optimizer, drawn)
        assert losses[-1] != losses[0]
        weights.append({path: array.tobytes() for path, array in model.state_dict().items()})
    assert weights[1:] == weights[:1] * 3


@pytest.mark.usefixtures("threads_restored")
def test_the_numba_backend_cuts_these_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces: list[int] = []
    run = threads.run
    monkeypatch.setattr(threads, "run", lambda count, work: (pieces.append(count), run(count, work)))
    model = models.build("deepfm", fields=10, rows=5000, dense=3, backend=backends.get("numba"), hidden=(128, 64))
    train(model, "adam", [draw_batch(n, samples=2048, fields=10, rows=5000, numbers=3) for n in range(10)])
    assert sum(count > 1 for count in pieces) > 100
