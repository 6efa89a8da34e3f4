"""The loss that settings name: which ones a task has, label smoothing, groups and their weights."""

from __future__ import annotations

import numpy as np
import pytest

from fastfm_core import backends, train
from fastfm_core.autograd import Tensor
from fastfm_core.config import TrainConfig, parse_settings
from fastfm_core.contract import Batch, Entries
from fastfm_core.errors import InputError
from fastfm_core.objective import Objective
from fastfm_core.weighting import shares

LABELS = np.array([1, 0, 0, 1, 0, 0], np.float32)
LOGITS = np.array([0.5, 2.0, -1.0, 0.25, 0.0, 3.0], np.float32)


def batch(weights: np.ndarray | None = None) -> Batch:
    return Batch(Entries(np.zeros(6, np.int32), 1), labels=LABELS, weights=weights)


def outputs() -> Tensor:
    return Tensor(LOGITS.copy(), backends.get("reference"), requires_grad=True)


def loss_of(objective: Objective, weights: np.ndarray | None = None) -> float:
    return objective(outputs(), batch(weights)).item()


def cross_entropy(labels: np.ndarray) -> float:
    return float(np.mean(np.logaddexp(0, LOGITS.astype(float)) - labels * LOGITS))


def test_the_default_is_that_of_the_task():
    assert Objective.of(TrainConfig(), "binary") == Objective("bce")
    assert Objective.of(TrainConfig(), "regression") == Objective("mse")
    assert Objective.of(TrainConfig(loss="bpr"), "binary", 4) == Objective("bpr", 5)
    assert loss_of(Objective("bce")) == pytest.approx(cross_entropy(LABELS), rel=1e-6)
    assert loss_of(Objective("mse")) == pytest.approx(np.mean((LOGITS - LABELS) ** 2), rel=1e-6)


def test_smoothed_labels_are_trained_and_the_batch_keeps_its_own():
    smoothed = parse_settings(["label_smoothing=0.2"])
    given = batch()
    found = Objective.of(smoothed, "binary")(outputs(), given).item()
    assert found == pytest.approx(cross_entropy(LABELS * 0.8 + 0.1), rel=1e-6)
    assert given.labels is LABELS and set(LABELS) == {0, 1}


@pytest.mark.parametrize("weights", [None, np.repeat(np.array([1, 3], np.float32), 3)])
def test_groups_weigh_what_their_positive_weighs(weights):
    groups = LOGITS.reshape(2, 3).astype(float)
    softmax = np.log(np.exp(groups).sum(axis=1)) - groups[:, 0]
    ranking = np.logaddexp(0, groups[:, 1:] - groups[:, :1]).mean(axis=1)
    own = None if weights is None else weights[::3]
    assert loss_of(Objective("softmax", 3), weights) == pytest.approx(np.average(softmax, weights=own), rel=1e-6)
    assert loss_of(Objective("bpr", 3), weights) == pytest.approx(np.average(ranking, weights=own), rel=1e-6)
    if weights is not None:
        assert shares([batch(weights), batch(2 * weights)]) == pytest.approx([1 / 3, 2 / 3])


def test_a_step_without_an_objective_takes_the_tasks():
    class Model:
        backend = backends.get("reference")

        def begin_step(self, step: int) -> None: ...

        def __call__(self, batch: Batch) -> Tensor:
            return outputs()

    class Optimizer:
        def zero_grad(self) -> None: ...
        def step(self, **scales: float) -> None: ...

    for task, expected in (("binary", Objective("bce")), ("regression", Objective("mse"))):
        assert train.train_step(Model(), Optimizer(), batch(), task=task, step=1) == loss_of(expected)
    found = train.train_step(Model(), Optimizer(), batch(), objective=Objective("bpr", 3), step=1)
    assert found == loss_of(Objective("bpr", 3))


@pytest.mark.parametrize(
    ("settings", "task", "negatives", "words"),
    [
        (["loss=mse"], "binary", 0, "loss=mse: a binary task has bce, softmax, bpr"),
        (["loss=bce"], "regression", 0, "loss=bce: a regression task has mse"),
        (["loss=softmax"], "binary", 0, "loss=softmax: compares positives with sampled negatives"),
        (["loss=bpr", "label_smoothing=0.1"], "binary", 2, "label_smoothing=0.1: only bce has it, the loss is bpr"),
        (["label_smoothing=0.1"], "regression", 0, "label_smoothing=0.1: only bce has it, the loss is mse"),
        (["loss=bpr", "class_weight=1,2"], "binary", 2, "loss=bpr weighs no classes"),
    ],
)
def test_what_makes_no_sense_is_refused(settings, task, negatives, words):
    with pytest.raises(InputError, match=words):
        parse_settings(settings).require_task(task, negatives=negatives)


@pytest.mark.parametrize("text", ["loss=hinge", "label_smoothing=1", "label_smoothing=-0.1"])
def test_bounds(text):
    with pytest.raises(InputError, match=text.partition("=")[0]):
        parse_settings([text])
