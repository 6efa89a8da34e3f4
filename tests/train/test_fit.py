"""Early stopping, plateau schedule, snapshot and non-finite losses, on a model whose scores are scripted."""

from __future__ import annotations

import itertools
import math
import os
from types import SimpleNamespace

import numpy as np
import pytest

from fastfm_core import train
from fastfm_core.config import TrainConfig
from fastfm_core.contract import Batch, Entries
from fastfm_core.errors import InputError, NonFiniteLoss


def batch_of(labels) -> Batch:
    return Batch(Entries(np.zeros(len(labels), np.int32), 1), labels=np.array(labels, np.float32))


class Batches:
    """Always the same batches; remembers which epochs were asked for."""

    def __init__(self, *labels) -> None:
        self.batches = [batch_of(part) for part in labels]
        self.asked: list[int] = []

    def epoch(self, number, start=0):
        self.asked.append(number)
        return iter(self.batches[start:])

    def __len__(self) -> int:
        return len(self.batches)


class ScriptedModel:
    """Its only weight is the epoch; its predictions are what the script says for that epoch."""

    def __init__(self, script) -> None:
        self.script = script
        self.weight = np.zeros(1)

    def train(self) -> None:
        self.weight += 1

    def predict(self, batch) -> np.ndarray:
        return np.asarray(self.script[int(self.weight[0]) - 1], np.float32)

    def state_dict(self):
        return {"weight": self.weight.copy()}

    def load_state_dict(self, state) -> None:
        self.weight = state["weight"]


class IdleOptimizer:
    """Has a learning rate and no state."""

    lr = 1.0

    def catch_up(self) -> None:
        pass

    def state_dict(self):
        return {}

    def load_state_dict(self, state) -> None:
        assert state == {}


AREAS = {0.0: -1, 0.25: 0.5, 0.5: 1.5, 0.75: 2.5, 1.0: 9}


def scores_with_auc(area: float) -> list[float]:
    """Scores of one positive and four negatives (0, 1, 2, 3)."""
    return [AREAS[area], 0, 1, 2, 3]


VALID = [1, 0, 0, 0, 0]


@pytest.fixture
def fit(monkeypatch, tmp_path):
    """Runs fit on scripted validation AUCs; the steps themselves do nothing and lose what ``losses`` says."""

    def run(areas, *, losses=None, task="binary", valid=VALID, script=None, progress=None, **settings):
        stream = iter(losses or itertools.repeat(0.5))
        monkeypatch.setattr(train, "train_step", lambda *_, **__: next(stream))
        model = ScriptedModel(script or [scores_with_auc(area) for area in areas])
        optimizer = IdleOptimizer()
        batches = Batches([1, 0], [0])
        config = TrainConfig(**{"epochs": len(model.script), **settings})
        result = train.fit(
            model, optimizer, batches, Batches(valid), config, snapshot_dir=tmp_path, task=task, progress=progress
        )
        return SimpleNamespace(**result._asdict(), model=model, optimizer=optimizer, batches=batches)

    return run


def test_the_best_epochs_weights_come_back(fit, tmp_path):
    result = fit([0.25, 0.75, 0.5, 0.25], patience=9)
    assert result.best_epoch == 2
    assert result.model.weight == [2]
    assert [record["valid"]["auc"] for record in result.history] == [0.25, 0.75, 0.5, 0.25]
    assert os.listdir(tmp_path) == []


def test_patience_counts_epochs_without_a_better_score(fit):
    assert len(fit([0.5, 0.25, 0.25, 0.25, 0.25], patience=2).history) == 3
    assert len(fit([0.5, 0.25, 0.75, 0.25, 0.5, 0.0], patience=2).history) == 5


def test_an_equal_score_is_not_a_better_one(fit):
    result = fit([0.5, 0.5, 0.5, 0.5], patience=2)
    assert (result.best_epoch, len(result.history)) == (1, 3)


@pytest.mark.parametrize(
    ("patience", "rates"),
    [(9, [1, 1, 1, 1, 1, 1, 0.1, 0.1]), (4, [1, 1, 1, 0.1, 0.1]), (3, [1, 1, 1, 0.1]), (2, [1, 1, 0.1]), (1, [1, 1])],
)
def test_plateau_divides_the_learning_rate_by_ten_after_half_the_patience(fit, patience, rates):
    result = fit([0.5, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25], patience=patience)
    assert [record["lr"] for record in result.history] == pytest.approx(rates)


def test_a_better_epoch_ends_the_plateau(fit):
    result = fit([0.25, 0.0, 0.5, 0.25, 0.75, 0.5, 0.5, 0.5], patience=4)
    assert [record["lr"] for record in result.history] == pytest.approx([1, 1, 1, 1, 1, 1, 1, 0.1])


def test_without_a_schedule_the_learning_rate_stays(fit):
    result = fit([0.5, 0.25, 0.25, 0.25], patience=9, lr_schedule="none")
    assert [record["lr"] for record in result.history] == [1, 1, 1, 1]


def test_epochs_are_counted_from_one_and_seed_the_batches(fit):
    result = fit([0.5, 0.75, 1.0])
    assert result.batches.asked == [1, 2, 3]
    assert [record["epoch"] for record in result.history] == [1, 2, 3]


def test_the_epochs_loss_is_the_mean_over_rows(fit):
    result = fit([0.5], losses=[0.3, 0.9])
    assert result.history[0]["train_loss"] == pytest.approx((2 * 0.3 + 0.9) / 3)


def test_evaluations_within_an_epoch_count_for_patience_and_say_where_they_are(fit):
    result = fit([0.5, 0.75, 0.5, 0.25], evaluations_per_epoch=2, patience=2, losses=[0.1, 0.2, 0.3, 0.4])
    assert [record["epoch"] for record in result.history] == [1, 1, 2, 2]
    assert [record["position"] for record in result.history] == [0.5, 1.0, 1.5, 2.0]
    assert [record["rows"] for record in result.history] == [2, 1, 2, 1]
    assert [record["train_loss"] for record in result.history] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert result.best_epoch == 1 and result.model.weight == [2]


def test_there_are_no_more_evaluations_than_steps(fit):
    result = fit([0.5, 0.75, 1.0, 0.25], evaluations_per_epoch=9, epochs=1)
    assert [record["position"] for record in result.history] == [0.5, 1.0]
    result = fit([0.5, 0.75], evaluations_per_epoch=9, accumulate=2, epochs=1)
    assert [record["position"] for record in result.history] == [1.0]


def test_the_schedule_reaches_the_optimizer_step_by_step(fit):
    result = fit([0.25, 0.5, 0.75, 1.0], lr_schedule="linear", warmup=2, epochs=4)
    assert [record["lr"] for record in result.history] == pytest.approx([1, 5 / 6, 3 / 6, 1 / 6])


def test_regression_takes_the_lowest_rmse(fit):
    result = fit(None, task="regression", valid=[0.0], script=[[2.0], [1.0], [3.0]], patience=9)
    assert result.best_epoch == 2
    assert [record["valid"]["rmse"] for record in result.history] == [2, 1, 3]


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_names_epoch_and_batch(fit, tmp_path, loss):
    with pytest.raises(NonFiniteLoss, match=f"epoch 2, batch 2: the loss is {loss}"):
        fit([0.5, 0.75], losses=[0.5, 0.4, 0.3, loss])
    assert os.listdir(tmp_path) == []


def test_predictions_that_are_not_finite_stop_too(fit):
    with pytest.raises(NonFiniteLoss, match="predictions are not finite"):
        fit(None, script=[[np.nan, 0, 1, 2, 3]])


def test_validation_labels_of_one_class_cannot_choose_an_epoch(fit):
    with pytest.raises(InputError, match="one class"):
        fit([0.5], valid=[0, 0, 0, 0, 0])


def test_progress_hears_of_every_step_and_epoch(fit):
    heard = []
    progress = SimpleNamespace(
        start=lambda epoch, done: heard.append(("start", epoch, done)),
        step=lambda rows, loss: heard.append((rows, loss)),
        end=lambda record: heard.append(("end", record["epoch"], record["rows_per_second"] > 0)),
    )
    fit([0.5], losses=[0.3, 0.9], progress=progress)
    assert heard == [("start", 1, 0.0), (2, 0.3), (1, 0.9), ("end", 1, True)]


def test_probabilities_come_from_logits_in_order():
    model = SimpleNamespace(predict=lambda batch: np.log(batch.labels / (1 - batch.labels)))
    batches = Batches([0.25, 0.5], [0.75])
    np.testing.assert_allclose(train.predict(model, batches), [0.25, 0.5, 0.75], rtol=1e-6)
    assert train.predict(model, Batches()).shape == (0,)
