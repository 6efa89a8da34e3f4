"""Estimators that follow scikit-learn: fit, predict, predict_proba, partial_fit, in pipelines and searches.

X is a 2-D array of numbers, a pandas or polars DataFrame, a dict of columns, or for LR and FM a SciPy sparse matrix.
"""

from __future__ import annotations

from fastfm_core.errors import InputError

try:
    import sklearn  # noqa: F401
except ModuleNotFoundError:
    raise InputError("the estimators need scikit-learn: pip install 'fastfm-core[sklearn]'") from None

from fastfm_core.estimators.models import (
    DeepFMClassifier,
    DeepFMRegressor,
    DeepFMv1Classifier,
    DeepFMv1Regressor,
    DeepFMv2Classifier,
    DeepFMv2Regressor,
    EmbeddingMLPClassifier,
    EmbeddingMLPRegressor,
    FMClassifier,
    FMRegressor,
    FusionClassifier,
    FusionRegressor,
    FwFMClassifier,
    FwFMRegressor,
    GMFClassifier,
    GMFRegressor,
    LRClassifier,
    LRRegressor,
    MFClassifier,
    MFRegressor,
    NCFMLPClassifier,
    NCFMLPRegressor,
    NeuMFClassifier,
    NeuMFRegressor,
    NFMClassifier,
    NFMRegressor,
    TwoTowerClassifier,
    TwoTowerRegressor,
    WideDeepClassifier,
    WideDeepRegressor,
)

__all__ = [
    "DeepFMClassifier",
    "DeepFMRegressor",
    "DeepFMv1Classifier",
    "DeepFMv1Regressor",
    "DeepFMv2Classifier",
    "DeepFMv2Regressor",
    "EmbeddingMLPClassifier",
    "EmbeddingMLPRegressor",
    "FMClassifier",
    "FMRegressor",
    "FusionClassifier",
    "FusionRegressor",
    "FwFMClassifier",
    "FwFMRegressor",
    "GMFClassifier",
    "GMFRegressor",
    "LRClassifier",
    "LRRegressor",
    "MFClassifier",
    "MFRegressor",
    "NCFMLPClassifier",
    "NCFMLPRegressor",
    "NFMClassifier",
    "NFMRegressor",
    "NeuMFClassifier",
    "NeuMFRegressor",
    "TwoTowerClassifier",
    "TwoTowerRegressor",
    "WideDeepClassifier",
    "WideDeepRegressor",
]
