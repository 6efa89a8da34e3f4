"""Small, quick estimators and a data set they can learn."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

import fastfm_core as ff

FAST: dict[str, Any] = {"epochs": 20, "lr": 0.05, "batch_size": 64, "random_state": 0}
SMALL: dict[str, Any] = {"dim": 2}
DEEP: dict[str, Any] = {**SMALL, "hidden": (8,), "dropout": 0.0}
KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "LRClassifier": (ff.LRClassifier, {}),
    "FMClassifier": (ff.FMClassifier, SMALL),
    "FMRegressor": (ff.FMRegressor, SMALL),
    "DeepFMClassifier": (ff.DeepFMClassifier, DEEP),
    "DeepFMRegressor": (ff.DeepFMRegressor, DEEP),
}
CLASSIFIERS = [name for name in KINDS if name.endswith("Classifier")]
WITHOUT_DEEP = [name for name in KINDS if not name.startswith("Deep")]


def make(name: str, **parameters: Any) -> Any:
    """A quick estimator of that class."""
    kind, small = KINDS[name]
    return kind(**(small | FAST | parameters))


def data(name: str, rows: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """X [n, 3] and a y that its first two columns decide: classes "no" and "yes", or numbers."""
    X = np.random.default_rng(0).standard_normal((rows, 3))
    score = X[:, 0] - 0.5 * X[:, 1]
    return X, np.where(score > 0, "yes", "no") if name in CLASSIFIERS else score


def quality(model: Any, X: Any, y: np.ndarray) -> float:
    """AUC of a classifier, R2 of a regressor."""
    return roc_auc_score(y, outputs(model, X)) if hasattr(model, "predict_proba") else model.score(X, y)


def outputs(estimator: Any, X: Any) -> np.ndarray:
    """Probabilities of the positive class, or predicted numbers."""
    return estimator.predict_proba(X)[:, 1] if hasattr(estimator, "predict_proba") else estimator.predict(X)
