"""Every model's estimator: fitted, predicting, saved and loaded, with the options of its model and no others."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

import fastfm_core as ff
from fastfm_core import estimators, models

from .cases import quality

NAMES = {
    "lr": "LR", "mf": "MF", "fm": "FM", "fwfm": "FwFM", "nfm": "NFM", "mlp": "EmbeddingMLP", "wide_deep": "WideDeep",
    "gmf": "GMF", "ncf_mlp": "NCFMLP", "neumf": "NeuMF", "two_tower": "TwoTower", "deepfm": "DeepFM",
    "deepfm_v1": "DeepFMv1", "deepfm_v2": "DeepFMv2", "fusion": "Fusion",
}  # fmt: skip
SCHEMA = ff.Schema([ff.Categorical("user"), ff.Categorical("item")])
FAST: dict[str, Any] = {"epochs": 40, "lr": 0.05, "batch_size": 64, "random_state": 0, "min_count": 1, "schema": SCHEMA}
SMALL: dict[str, Any] = {"dim": 4, "hidden": (8,), "dropout": 0.0, "init_std": 0.1, "projection": 4}


def ratings() -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Users and items of two kinds each; alike ones like each other, some users like everything."""
    random = np.random.default_rng(0)
    user, item = random.integers(0, 20, 900), random.integers(0, 12, 900)
    score = np.where(user % 2 == item % 2, 1.0, -1.0) + 0.5 * (user % 5 == 0)
    return {"user": user, "item": item}, score


def make(model: str, task: str) -> Any:
    kind = getattr(ff, f"{NAMES[model]}{task}")
    known = inspect.signature(models.MODELS[model]).parameters
    return kind(**FAST, **{name: value for name, value in SMALL.items() if name in known})


def test_every_model_has_both() -> None:
    assert NAMES.keys() == models.MODELS.keys()
    expected = {f"{name}{task}" for name in NAMES.values() for task in ("Classifier", "Regressor")}
    assert set(estimators.__all__) == expected


@pytest.mark.parametrize("task", ["Classifier", "Regressor"])
@pytest.mark.parametrize("model", NAMES)
def test_it_learns_and_survives_its_file(model: str, task: str, tmp_path: Path) -> None:
    X, score = ratings()
    y = np.where(score > 0, "yes", "no") if task == "Classifier" else score
    estimator = clone(make(model, task)).fit(X, y)
    found = quality(estimator, X, y)
    least = {"Classifier": 0.9, "Regressor": 0.6}[task]
    assert found > least if model != "lr" else found < least  # kinds that like each other are no first order
    estimator.save(tmp_path / "saved")
    loaded = type(estimator).load(tmp_path / "saved")
    np.testing.assert_array_equal(loaded.predict(X), estimator.predict(X))
    assert loaded.get_params()["batch_size"] == 64


def test_parameters_are_those_of_the_model() -> None:
    assert "hidden" not in ff.FMClassifier().get_params()
    assert "branches" in ff.FusionClassifier().get_params()
    assert "branches" not in ff.DeepFMClassifier().get_params()
    assert ff.DeepFMClassifier().get_params()["dim"] == 16
    with pytest.raises(TypeError, match=r"FMClassifier has no parameter 'hiden'; it has dim, init_std, pairs, "):
        ff.FMClassifier(hiden=(8,))
