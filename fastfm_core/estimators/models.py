"""The estimators: a model joined to a task, two classes or a number. Each model's page is in ``fastfm_core.models``."""

from __future__ import annotations

from fastfm_core.estimators.tasks import Classifier, Regressor


class LRClassifier(Classifier):
    """Logistic regression on one-hot features and numbers."""

    _model = "lr"


class LRRegressor(Regressor):
    """Linear regression on one-hot features and numbers."""

    _model = "lr"


class MFClassifier(Classifier):
    """Biased matrix factorization of two classes."""

    _model = "mf"


class MFRegressor(Regressor):
    """Biased matrix factorization of a number."""

    _model = "mf"


class FMClassifier(Classifier):
    """Factorization machine of two classes."""

    _model = "fm"


class FMRegressor(Regressor):
    """Factorization machine of a number."""

    _model = "fm"


class FwFMClassifier(Classifier):
    """Field-weighted factorization machine of two classes."""

    _model = "fwfm"


class FwFMRegressor(Regressor):
    """Field-weighted factorization machine of a number."""

    _model = "fwfm"


class NFMClassifier(Classifier):
    """Neural factorization machine of two classes."""

    _model = "nfm"


class NFMRegressor(Regressor):
    """Neural factorization machine of a number."""

    _model = "nfm"


class EmbeddingMLPClassifier(Classifier):
    """Embeddings and an MLP of two classes."""

    _model = "mlp"


class EmbeddingMLPRegressor(Regressor):
    """Embeddings and an MLP of a number."""

    _model = "mlp"


class WideDeepClassifier(Classifier):
    """Wide & Deep of two classes."""

    _model = "wide_deep"


class WideDeepRegressor(Regressor):
    """Wide & Deep of a number."""

    _model = "wide_deep"


class GMFClassifier(Classifier):
    """Generalized matrix factorization of two classes."""

    _model = "gmf"


class GMFRegressor(Regressor):
    """Generalized matrix factorization of a number."""

    _model = "gmf"


class NCFMLPClassifier(Classifier):
    """The MLP of neural collaborative filtering of two classes."""

    _model = "ncf_mlp"


class NCFMLPRegressor(Regressor):
    """The MLP of neural collaborative filtering of a number."""

    _model = "ncf_mlp"


class NeuMFClassifier(Classifier):
    """Neural matrix factorization of two classes."""

    _model = "neumf"


class NeuMFRegressor(Regressor):
    """Neural matrix factorization of a number."""

    _model = "neumf"


class TwoTowerClassifier(Classifier):
    """Two towers of two classes."""

    _model = "two_tower"


class TwoTowerRegressor(Regressor):
    """Two towers of a number."""

    _model = "two_tower"


class DeepFMClassifier(Classifier):
    """DeepFM of two classes."""

    _model = "deepfm"


class DeepFMRegressor(Regressor):
    """DeepFM of a number."""

    _model = "deepfm"


class DeepFMv1Classifier(Classifier):
    """The lesson's first DeepFM of two classes."""

    _model = "deepfm_v1"


class DeepFMv1Regressor(Regressor):
    """The lesson's first DeepFM of a number."""

    _model = "deepfm_v1"


class DeepFMv2Classifier(Classifier):
    """The lesson's second DeepFM of two classes."""

    _model = "deepfm_v2"


class DeepFMv2Regressor(Regressor):
    """The lesson's second DeepFM of a number."""

    _model = "deepfm_v2"


class FusionClassifier(Classifier):
    """Several models on one embedding of two classes."""

    _model = "fusion"


class FusionRegressor(Regressor):
    """Several models on one embedding of a number."""

    _model = "fusion"
