"""What fit and partial_fit do: learning, validation, weights, seeds, parameters, and how mistakes are named."""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import r2_score

from fastfm_core import backends, estimators
from fastfm_core.config import TrainConfig
from fastfm_core.errors import InputError
from fastfm_core.models import MODELS
from fastfm_core.trained import OF_MODEL

from .cases import CLASSIFIERS, KINDS, data, make, outputs, quality


@pytest.mark.parametrize("name", KINDS)
def test_they_learn(name: str) -> None:
    X, y = data(name)
    model = make(name).fit(X, y)
    assert quality(model, X, y) > 0.9
    assert model.n_features_in_ == 3
    assert 1 <= model.best_iteration_ <= model.n_iter_ == len(model.history_) <= 20
    assert {"epoch", "train_loss", "valid"} <= set(model.history_[0])


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers_give_classes_logits_and_probabilities(name: str) -> None:
    X, y = data(name)
    model = make(name).fit(X, y)
    logits, probabilities = model.decision_function(X), model.predict_proba(X)
    assert model.classes_.tolist() == ["no", "yes"]
    np.testing.assert_allclose(probabilities[:, 1], 1 / (1 + np.exp(-logits)), rtol=1e-12)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_array_equal(model.predict(X), model.classes_[(logits > 0).astype(int)])
    np.testing.assert_array_equal(model.model_.predict({f"x{n}": X[:, n] for n in range(3)}), probabilities[:, 1])


@pytest.mark.parametrize("name", ["FMRegressor", "DeepFMRegressor"])
def test_a_regressors_score_is_r2(name: str) -> None:
    X, y = data(name)
    model = make(name).fit(X, y)
    assert model.score(X, y) == r2_score(y, model.predict(X))


@pytest.mark.parametrize("name", KINDS)
def test_a_seed_repeats_bits(name: str) -> None:
    X, y = data(name)
    first, again, other = (make(name, random_state=seed, epochs=3).fit(X, y) for seed in (1, 1, 2))
    np.testing.assert_array_equal(outputs(first, X), outputs(again, X))
    assert (outputs(first, X) != outputs(other, X)).any()
    shared = np.random.RandomState(1)
    fits = [make(name, random_state=shared, epochs=3).fit(X, y) for _ in range(2)]
    assert (outputs(fits[0], X) != outputs(fits[1], X)).any()


def test_defaults_are_those_of_the_training_settings() -> None:
    """Every estimator has the settings of a training and its own model's options, no other model's."""
    elsewhere = {"loss", "class_weight", "accumulate", "warmup", "evaluations_per_epoch", "checkpoint_seconds"}
    shared = {item.name: item.default for item in fields(TrainConfig) if item.name not in elsewhere}
    met: set[str] = set()
    for name in estimators.__all__:
        kind = getattr(estimators, name)
        shared["monitor"] = "logloss" if name.endswith("Classifier") else None
        given = {name: item.default for name, item in inspect.signature(kind.__init__).parameters.items()}
        options = set(OF_MODEL) & inspect.signature(MODELS[kind._model]).parameters.keys()
        settings = options | shared.keys() - set(OF_MODEL)
        assert {name: given[name] for name in given.keys() & shared.keys()} == {name: shared[name] for name in settings}
        assert given.keys() - settings == {"self", "schema", "backend", "random_state", "valid_fraction", "verbose"}
        met |= settings
    assert met == shared.keys()


def test_parameters_reach_the_model() -> None:
    X, y = data("DeepFMClassifier")
    model = make("DeepFMClassifier", hidden=[7, 5], dim=3, optimizer="adagrad", backend="reference", epochs=1).fit(X, y)
    assert model.model_.config.hidden == (7, 5) and model.hidden == [7, 5]
    assert model.model_.model.embedding.table.data.shape[1] == 3 + 1
    assert model.model_.model.backend is backends.get("reference")
    assert type(model._optimizer).__name__ == "Adagrad"


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize("name", KINDS)
def test_an_eval_set_is_what_epochs_are_judged_by(name: str, listed: bool) -> None:
    X, y = data(name)
    pair = (X[:150], y[:150])
    model = make(name).fit(X[150:], y[150:], eval_set=[pair] if listed else pair)
    valid = model.history_[model.best_iteration_ - 1]["valid"]
    assert valid["rows"] == 150
    if name in CLASSIFIERS:
        assert valid["auc"] == max(record["valid"]["auc"] for record in model.history_)
    else:
        assert valid["rmse"] == pytest.approx(np.sqrt(np.mean((model.predict(X[:150]) - y[:150]) ** 2)), rel=1e-6)


def test_held_out_rows_are_a_share_of_each_class() -> None:
    X, y = data("LRClassifier")
    y = np.where(np.arange(200) < 40, "rare", "usual")
    valid = make("LRClassifier", valid_fraction=0.25, epochs=1).fit(X, y).history_[0]["valid"]
    assert (valid["rows"], valid["positives"]) == (50, 40)
    assert make("LRClassifier", valid_fraction=0, epochs=1).fit(X, y).history_[0]["valid"]["rows"] == 200


def test_the_encoder_sees_the_training_rows_alone() -> None:
    X, y = data("FMRegressor")
    shifted = X[:50] + 100
    model = make("FMRegressor", epochs=1).fit(X, y, eval_set=(shifted, y[:50]))
    assert [codec.mean for codec in model.model_.encoder._codecs] == pytest.approx(X.mean(axis=0).tolist())
    held = make("FMRegressor", epochs=1, valid_fraction=0.5).fit(np.concatenate([X, X + 100]), np.tile(y, 2))
    assert [codec.mean for codec in held.model_.encoder._codecs] != pytest.approx((X.mean(axis=0) + 50).tolist())


@pytest.mark.parametrize("name", KINDS)
def test_weight_two_is_the_row_twice(name: str) -> None:
    """In one batch, up to the order of float sums; each column's mean and scale are the same either way."""
    X = np.array(np.meshgrid(*[[-1.0, 1.0]] * 3)).reshape(3, 8).T
    y = np.array([0, 1, 1, 0, 1, 1, 0, 1])
    doubled = np.array([0, 7, 3, 4])  # each column's -1 and 1 are doubled equally often
    weights = np.ones(8)
    weights[doubled] = 2
    twice = np.concatenate([np.arange(8), doubled])
    one = make(name, optimizer="sgd").fit(X, y, eval_set=(X, y), sample_weight=weights)
    two = make(name, optimizer="sgd").fit(X[twice], y[twice], eval_set=(X, y))
    none = make(name, optimizer="sgd").fit(X, y, eval_set=(X, y))
    last = [model.history_[2]["train_loss"] for model in (one, two, none)]
    assert last[0] == pytest.approx(last[1], rel=1e-5) and last[0] != pytest.approx(last[2], rel=1e-3)


@pytest.mark.parametrize("name", KINDS)
def test_rows_of_weight_zero_take_no_part(name: str) -> None:
    X, y = data(name)
    weights = np.ones(200)
    weights[150:] = 0
    changed = X.copy()
    changed[150:] += 1e6
    first, second = (make(name, epochs=3).fit(given, y, sample_weight=weights) for given in (X, changed))
    np.testing.assert_array_equal(outputs(first, X[:150]), outputs(second, X[:150]))


@pytest.mark.parametrize("name", KINDS)
def test_partial_fit_learns_batch_by_batch(name: str) -> None:
    X, y = data(name, rows=600)
    model = make(name)
    for start in range(0, 600, 50):
        rows = slice(start, start + 50)
        model.partial_fit(X[rows], y[rows])
    assert model.n_iter_ == len(model.history_) == 12
    assert model._optimizer.steps == 12
    for _ in range(10):
        model.partial_fit(X, y)
    assert quality(model, X, y) > 0.9


@pytest.mark.parametrize("name", KINDS)
def test_partial_fit_repeats_bits_and_goes_on_after_fit(name: str) -> None:
    X, y = data(name)
    models = []
    for _ in range(2):
        model = make(name, epochs=2).fit(X, y)
        before, steps = outputs(model, X), model._optimizer.steps
        model.partial_fit(X, y)
        assert (outputs(model, X) != before).any() and model._optimizer.steps == steps + 4
        models.append(model)
    np.testing.assert_array_equal(outputs(models[0], X), outputs(models[1], X))
    fresh = make(name, epochs=2).fit(X, y)
    np.testing.assert_array_equal(outputs(models[0].fit(X, y), X), outputs(fresh, X))


def test_a_first_batch_of_one_class_needs_the_classes() -> None:
    X, y = data("FMClassifier")
    ones = y == "yes"
    with pytest.raises(InputError, match=r"needs 2 classes, there is 1 class: give"):
        make("FMClassifier").partial_fit(X[ones], y[ones])
    model = make("FMClassifier").partial_fit(X[ones], y[ones], classes=["yes", "no"])
    assert np.isfinite(model.decision_function(X)).all()
    for _ in range(20):
        model.partial_fit(X, y, classes=["no", "yes"])
    assert quality(model, X, y) > 0.9
    with pytest.raises(InputError, match="keep them"):
        model.partial_fit(X, y, classes=["no", "maybe"])
    with pytest.raises(InputError, match="'perhaps', which is none of the classes"):
        model.partial_fit(X, np.where(ones, "perhaps", "no"))


def test_a_fit_that_fails_leaves_nothing_fitted() -> None:
    X, y = data("FMClassifier")
    model = make("FMClassifier", epochs=1).fit(X, y)
    with pytest.raises(InputError, match="one class only"):
        model.fit(X, y, eval_set=(X[:3], np.full(3, "yes")))
    with pytest.raises(NotFittedError):
        model.predict(X)


def rows_with_gaps(X: np.ndarray) -> np.ndarray:
    X = X.copy()
    X[::7, 1] = np.nan
    return X


@pytest.mark.parametrize("name", KINDS)
def test_nan_is_missing(name: str) -> None:
    X, y = data(name)
    model = make(name, epochs=5).fit(rows_with_gaps(X), y)
    assert np.isfinite(outputs(model, rows_with_gaps(X))).all()


def fit_with(name: str = "FMClassifier", rows: int = 200, parameters: Any = None, **given: Any) -> None:
    X, y = data(name, rows)
    make(name, **(parameters or {})).fit(X, y, **given)


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (lambda: make("FMClassifier").fit(*data("FMRegressor")), "Unknown label type: continuous"),
        (lambda: make("FMClassifier").fit(data("FMRegressor")[0], np.arange(200) % 3), "Only binary classification"),
        (
            lambda: make("FMClassifier").fit(data("FMRegressor")[0], np.zeros(200)),
            "needs 2 classes, there is 1 class: give",
        ),
        (lambda: fit_with(parameters={"valid_fraction": 1.0}), "valid_fraction is 1.0: give at least 0"),
        (lambda: fit_with(parameters={"dim": 0}), "dim=0: give a whole number of at least 1"),
        (lambda: fit_with(sample_weight=np.ones(3)), r"sample_weight has shape \(3,\), X has 200 rows"),
        (lambda: fit_with(sample_weight=-np.ones(200)), "sample_weight must not be negative"),
        (lambda: fit_with(eval_set=[1, 2]), r"eval_set: give \(X, y\)"),
        (lambda: fit_with("FMRegressor", rows=2, eval_set=(np.zeros((1, 4)), [0.0])), "4 features"),
        (lambda: fit_with("FMRegressor", rows=1), "n_samples=1"),
    ],
)
def test_mistakes_are_named(attempt: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        attempt()
    assert "\n" not in str(caught.value) or "features" in message


@pytest.mark.parametrize("name", KINDS)
def test_before_a_fit_nothing_is_predicted_or_saved(name: str, tmp_path: Any) -> None:
    for attempt in (lambda: make(name).predict(data(name)[0]), lambda: make(name).save(tmp_path)):
        with pytest.raises(NotFittedError):
            attempt()
    fitted = make(name, epochs=1).fit(*data(name))
    with pytest.raises(NotFittedError):
        clone(fitted).predict(data(name)[0])


def test_verbose_shows_columns_and_epochs(capsys: pytest.CaptureFixture[str]) -> None:
    X, y = data("FMClassifier")
    table = {"number": X[:, 0], "kind": np.where(X[:, 1] > 0, "a", "b")}
    make("FMClassifier", epochs=2, verbose=1).fit(table, y)
    shown = capsys.readouterr()
    assert "kind: categorical" in shown.err and "epoch   2" in shown.err and shown.out == ""
    make("FMClassifier", epochs=2).fit(table, y)
    assert capsys.readouterr() == ("", "")
