"""One training step on a real model: what it changes, by how much under clipping, and what a bad loss leaves alone."""

from __future__ import annotations

import itertools

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


def pieces(whole: Batch, *cuts: int) -> list[Batch]:
    """The batch cut before the given samples."""
    edges = [0, *cuts, whole.entries.samples]
    ids = whole.entries.ids.reshape(-1, FIELDS)

    def part(array, a, b):
        return None if array is None else array[a:b]

    return [
        Batch(Entries(ids[a:b].reshape(-1), FIELDS), *(part(array, a, b) for array in whole[1:4]))
        for a, b in itertools.pairwise(edges)
    ]


@pytest.mark.parametrize("name", ["sgd", "adagrad", "adam"])
@pytest.mark.parametrize("rows", ["exact", "lazy", "dense"])
@pytest.mark.parametrize("weights", [None, [1, 0, 2, 0.5, 3, 1, 1]])
def test_several_batches_in_a_step_are_one_that_is_as_large(name, rows, weights):
    """Pieces of three, three and one sample, weighted or not, against the seven together."""
    results = []
    whole = batch((1, 0, 1, 1, 0, 0, 1))._replace(weights=None if weights is None else np.array(weights, np.float32))
    for group in ([whole], pieces(whole, 3, 6)):
        model, _ = make()
        optimizer = optim.build(name, model, lr=0.1, rows=rows)
        losses = [
            train.train_step(model, optimizer, *group, task="binary", step=1 + 3 * step, clip_norm=0.5)
            for step in range(4)
        ]
        assert optimizer.steps == 4
        results.append((losses, copy_of(model)))
    (expected, weights_expected), (found, weights_found) = results
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    for tensor, array in weights_expected.items():
        np.testing.assert_allclose(weights_found[tensor], array, rtol=1e-4, atol=1e-5, err_msg=tensor)


def test_a_piece_whose_samples_weigh_nothing_counts_for_nothing():
    whole = batch((1, 0, 1, 1))._replace(weights=np.array([1, 2, 0, 0], np.float32))
    states = []
    for group in (pieces(whole, 2)[:1], pieces(whole, 2)):
        model, optimizer = make()
        train.train_step(model, optimizer, *group, task="binary", step=1)
        states.append(copy_of(model))
    for name, array in states[0].items():
        np.testing.assert_array_equal(states[1][name], array)


def test_every_batch_of_a_step_has_its_own_dropout_draw(monkeypatch):
    model, optimizer = make()
    steps, begin = [], model.begin_step
    monkeypatch.setattr(model, "begin_step", lambda step: (steps.append(step), begin(step)))
    train.train_step(model, optimizer, *pieces(batch(), 1, 2), task="binary", step=7)
    assert steps == [7, 8, 9]


def test_a_loss_that_is_not_finite_in_a_later_piece_updates_nothing():
    model, optimizer = make(dense=1)
    before = copy_of(model)
    group = pieces(batch(numbers=np.array([[0], [0], [0], [np.nan]], np.float32)), 2)
    assert np.isnan(train.train_step(model, optimizer, *group, task="binary", step=1))
    assert moved(model, before) == 0
