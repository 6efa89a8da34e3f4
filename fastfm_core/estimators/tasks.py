"""Classifier and Regressor: what scikit-learn calls, on top of ``Base``."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin

from fastfm_core.estimators import inputs
from fastfm_core.estimators.base import Base
from fastfm_core.metrics import sigmoid


class Classifier(ClassifierMixin, Base):
    """Tells two classes apart; ``classes_`` [2] holds them sorted, the second is the positive one."""

    _task = "binary"
    classes_: np.ndarray

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    def fit(self, X: Any, y: Any, eval_set: Any = None, sample_weight: Any = None) -> Any:
        """Trains from scratch; the epoch with the best AUC on the validation rows is kept.

        y              [n] labels of two classes
        eval_set       (X, y) to validate on; None: ``valid_fraction`` of each class's rows is held out
        sample_weight  [n] weights of the loss, validation is not weighted; rows of weight 0 take no part
        """
        return self._train(X, y, eval_set, sample_weight)

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Any:
        """One epoch over these rows, with the optimizer as it was left, without validation.

        The first call fits the encoder on its rows (later values unknown to it share their column's unknown row) and
        needs ``classes`` when its y does not hold both.
        """
        first = not hasattr(self, "model_")
        if classes is not None:
            self.classes_ = inputs.named_classes(classes, None if first else self.classes_)
        return self._train_on(X, y, sample_weight, new_labels=first and classes is None)

    def decision_function(self, X: Any) -> np.ndarray:
        """Logits [n] float64; above 0 the second class is the likelier one."""
        return self._outputs(X)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the two classes, [n, 2] float64."""
        positive = sigmoid(self._outputs(X))
        return np.column_stack([1 - positive, positive])

    def predict(self, X: Any) -> np.ndarray:
        """The likelier class of each row, [n]."""
        above = self._outputs(X) > 0
        return self.classes_[above.astype(int)]

    def _labels(self, y: Any, rows: int, *, reset: bool) -> np.ndarray:
        """y as 0 and 1, [n]; ``reset``: its classes become this estimator's."""
        classes, codes = inputs.classes_of(y, rows, None if reset else self.classes_)
        inputs.require_two(classes)
        self.classes_ = classes
        return codes

    def _groups(self, labels: np.ndarray, rows: np.ndarray) -> list[np.ndarray]:
        """The rows [k] of each class."""
        inputs.require_two(np.unique(labels[rows]))
        return [rows[labels[rows] == label] for label in (0, 1)]


class Regressor(RegressorMixin, Base):
    """Predicts a number by least squares. Scale y to about unit variance (``TransformedTargetRegressor`` can)."""

    _task = "regression"

    def fit(self, X: Any, y: Any, eval_set: Any = None, sample_weight: Any = None) -> Any:
        """Trains from scratch; the epoch with the lowest RMSE on the validation rows is kept.

        y              [n] numbers
        eval_set       (X, y) to validate on; None: ``valid_fraction`` of the rows is held out
        sample_weight  [n] weights of the loss, validation is not weighted; rows of weight 0 take no part
        """
        return self._train(X, y, eval_set, sample_weight)

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """One epoch over these rows, with the optimizer as it was left, without validation.

        The first call fits the encoder on its rows; later values unknown to it share their column's unknown row.
        """
        return self._train_on(X, y, sample_weight, new_labels=True)

    def predict(self, X: Any) -> np.ndarray:
        """[n] float64, in y's unit."""
        return self._outputs(X)

    def _labels(self, y: Any, rows: int, *, reset: bool) -> np.ndarray:
        return inputs.numbers_of(y, rows)

    def _groups(self, labels: np.ndarray, rows: np.ndarray) -> list[np.ndarray]:
        return [rows]
