"""The five estimators: a model's parameters joined to a task."""

from __future__ import annotations

from fastfm_core.estimators.parameters import DeepFMParameters, FMParameters, LRParameters
from fastfm_core.estimators.tasks import Classifier, Regressor


class LRClassifier(Classifier, LRParameters):
    """Logistic regression on one-hot features and numbers."""

    _model = "lr"


class FMClassifier(Classifier, FMParameters):
    """Factorization machine of two classes."""

    _model = "fm"


class FMRegressor(Regressor, FMParameters):
    """Factorization machine of a number."""

    _model = "fm"


class DeepFMClassifier(Classifier, DeepFMParameters):
    """DeepFM of two classes."""

    _model = "deepfm"


class DeepFMRegressor(Regressor, DeepFMParameters):
    """DeepFM of a number."""

    _model = "deepfm"
