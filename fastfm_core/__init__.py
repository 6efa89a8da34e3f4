"""fastfm_core: sparse embedding lookup and factorization-machine kernels, and a small autograd that trains on them.

    import fastfm_core as ff
    ff.kernels.embedding_fm(table, linear, entries, None, deep=False)     # raw kernels on arrays
    ff.models, ff.nn, ff.optim, ff.ops, ff.Tensor, ff.no_grad             # the trainer
    ff.data                                                               # tables of clicks to batches
    ff.DeepFMClassifier, ff.FMRegressor, ...                              # estimators that follow scikit-learn

Submodules are imported when they are first used, so importing the package costs little more than NumPy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_SUBMODULES = (
    "autograd", "backends", "contract", "data", "kernels", "models", "nn", "ops", "optim", "random", "threads",
)  # fmt: skip
_NAMES = {
    "Batch": "contract", "Entries": "contract", "RowPlan": "contract", "RowSource": "contract",
    "Function": "autograd", "RowGradient": "autograd", "Tensor": "autograd",
    "gradcheck": "autograd", "no_grad": "autograd",
    "Schema": "data", "Categorical": "data", "Numeric": "data", "MultiHot": "data",
    "Cross": "data", "History": "data",
    "get_num_threads": "threads", "set_num_threads": "threads",
}  # fmt: skip
_NAMES |= {
    f"{model}{task}": "estimators"
    for task in ("Classifier", "Regressor")
    for model in (
        "LR", "MF", "FM", "FwFM", "NFM", "EmbeddingMLP", "WideDeep", "GMF", "NCFMLP", "NeuMF", "TwoTower", "DeepFM",
        "DeepFMv1", "DeepFMv2", "Fusion",
    )
}  # fmt: skip

if TYPE_CHECKING:
    from fastfm_core import autograd, backends, contract, data, kernels, models, nn, ops, optim, random, threads
    from fastfm_core.autograd import Function, RowGradient, Tensor, gradcheck, no_grad
    from fastfm_core.contract import Batch, Entries, RowPlan, RowSource
    from fastfm_core.data import Categorical, Cross, History, MultiHot, Numeric, Schema
    from fastfm_core.estimators import (  # noqa: F401  (not in __all__: a star import would need scikit-learn)
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
    from fastfm_core.threads import get_num_threads, set_num_threads


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"fastfm_core.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(f"fastfm_core.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'fastfm_core' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_SUBMODULES, *_NAMES])


__all__ = [
    "Batch", "Categorical", "Cross", "Entries", "Function", "History", "MultiHot", "Numeric", "RowGradient",
    "RowPlan", "RowSource", "Schema", "Tensor", "autograd", "backends", "contract", "data", "get_num_threads",
    "gradcheck", "kernels", "models", "nn", "no_grad", "ops", "optim", "random", "set_num_threads", "threads",
]  # fmt: skip
