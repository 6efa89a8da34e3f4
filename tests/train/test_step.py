"""One training step on a real model: what it changes, by how much under clipping, and what a bad loss leaves alone."""

from __future__ import annotations

import numpy as np
import pytest

from fastfm_core import backends, models, optim, train
from fastfm_core.contract import Batch, Entries
from fastfm_core.errors import InputError

ROWS, FIELDS = 12, 3


def batch(labels=(1, 0, 1, 1), numbers=None) -> Batch:
    ids = np.random.default_rng(0).integers(0, ROWS, len(labels) * FIELDS)
    return Batch(Entries(ids, FIELDS), numbers, np.array(labels, np.float32))


def make(lr=1.0, **shape):
    model = models.build(
        "deepfm", rows=ROWS, fields=FIELDS, backend=backends.get("reference"), seed=1, dim=4, hidden=(5,), dropout=0.0,
        init_std=0.5, **{"dense": 0, **shape},
    )  # fmt: skip
    model.train()
    return model, optim.build("sgd", model, lr=lr, rows="lazy")


def copy_of(model) -> dict[str, np.ndarray]:
    return {name: array.copy() for name, array in model.state_dict().items()}


def moved(model, before) -> float:
    """Norm of the change of all weights."""
    changes = [np.sum((array - before[name]).astype(np.float64) ** 2) for name, array in model.state_dict().items()]
    return float(np.sqrt(np.sum(changes)))


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_a_step_lowers_the_loss_it_returns(task):
    model, optimizer = make(lr=0.05)
    losses = [train.train_step(model, optimizer, batch(), task=task, step=step) for step in range(1, 6)]
    assert losses == sorted(losses, reverse=True) and losses[0] > losses[-1]


def test_clipping_bounds_the_norm_of_the_whole_gradient():
    free, optimizer = make()
    before = copy_of(free)
    train.train_step(free, optimizer, batch(), task="binary", step=1)
    norm = moved(free, before)

    for limit in (norm / 10, norm * 10):
        clipped, optimizer = make()
        train.train_step(clipped, optimizer, batch(), task="binary", step=1, clip_norm=limit)
        assert moved(clipped, before) == pytest.approx(min(limit, norm), rel=1e-4)


def test_a_loss_that_is_not_finite_updates_nothing():
    model, optimizer = make(dense=1)
    before = copy_of(model)
    numbers = np.array([[0], [0], [np.nan], [0]], np.float32)
    assert np.isnan(train.train_step(model, optimizer, batch(numbers=numbers), task="binary", step=1))
    assert moved(model, before) == 0


def test_a_batch_without_labels_cannot_be_learned_from():
    model, optimizer = make()
    with pytest.raises(InputError, match="no labels"):
        train.train_step(model, optimizer, batch()._replace(labels=None), task="binary", step=1)
