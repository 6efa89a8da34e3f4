"""scikit-learn models on one-hot columns, tuned by nothing: what a table of categories gives without embeddings.

Logistic regression stands for "no crosses", boosted and randomized trees for "crosses of any order".
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score


def one_hot(ids: np.ndarray, rows: int) -> csr_matrix:
    """ids [n, F] rows of one table -> [n, rows] with F ones a row."""
    samples, fields = ids.shape
    starts = np.arange(samples + 1) * fields
    return csr_matrix((np.ones(ids.size, np.float32), ids.reshape(-1), starts), shape=(samples, rows))


def baseline_auc(
    name: str, ids: np.ndarray, rows: int, labels: np.ndarray, parts: tuple[np.ndarray, ...], seed: int
) -> float:
    """Test AUC of the model trained on the first of three parts of row numbers; the second is not used."""
    train, _, test = parts
    features = one_hot(ids, rows)
    if name == "logistic regression":
        model = LogisticRegression(max_iter=2000)
    elif name == "boosted trees":
        features = ids - ids.min(axis=0)
        small = [int(column.max()) < 255 for column in features.T]
        model = HistGradientBoostingClassifier(
            max_iter=400, learning_rate=0.05, categorical_features=small, early_stopping=False, random_state=seed
        )
    elif name == "extra trees":
        model = ExtraTreesClassifier(n_estimators=300, min_samples_leaf=2, n_jobs=2, random_state=seed)
    else:
        raise ValueError(f"no baseline named {name}")
    model.fit(features[train], labels[train])
    return float(roc_auc_score(labels[test], model.predict_proba(features[test])[:, 1]))


BASELINES = ("logistic regression", "boosted trees", "extra trees")
