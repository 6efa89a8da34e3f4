"""What the estimators are given, checked by scikit-learn's rules: features, targets, weights, validation rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import _get_feature_names, assert_all_finite, check_array, column_or_1d, validate_data

from fastfm_core.data import Encoded, Encoder
from fastfm_core.data.columns import Table, table_length
from fastfm_core.data.infer import guess
from fastfm_core.data.schema import Numeric, Schema
from fastfm_core.data.sparse import SparseColumns
from fastfm_core.data.tables import as_table, is_table
from fastfm_core.errors import InputError
from fastfm_core.random import generator

VALIDATION_STREAM = 4
Features = Any  # a Table, a 2-D array, or a SciPy CSR matrix: X as it was checked


def features_of(estimator: Any, X: Any, *, reset: bool) -> Features:
    """X, checked. ``reset``: the estimator remembers its columns, else they must be those of fit."""
    if _has_unseen_names(X):
        X = as_table(X)
    if isinstance(X, Mapping):
        if reset:
            estimator.feature_names_in_ = np.array([str(name) for name in X], object)
            estimator.n_features_in_ = len(X)
        return _with_rows(as_table(X))
    if is_table(X):
        validate_data(estimator, X, reset=reset, skip_check_array=True)
        table = _with_rows(as_table(X))
        named = hasattr(estimator, "feature_names_in_")
        return table if named else {f"x{position}": column for position, column in enumerate(table.values())}
    accepted: Any = "csr" if estimator.__sklearn_tags__().input_tags.sparse else False
    X = validate_data(estimator, X, reset=reset, accept_sparse=accepted, ensure_all_finite="allow-nan")
    if _is_sparse(X):
        assert_all_finite(X.data, input_name="X")
    return X


def _has_unseen_names(X: Any) -> bool:
    """True for a DataFrame whose column names this scikit-learn cannot read, such as polars 2 with scikit-learn 1.7."""
    if isinstance(X, Mapping) or not is_table(X) or _get_feature_names(X) is not None:
        return False
    return all(isinstance(name, str) for name in X.columns)


def rows_of(features: Features) -> int:
    """n, the number of samples."""
    return table_length(features) if isinstance(features, dict) else features.shape[0]


def fitted_encoder(
    features: Features, rows: np.ndarray, schema: Schema | None, min_count: int | None
) -> tuple[Any, list[str]]:
    """An encoder fitted on the rows ``rows`` [k] alone, and a line about what each column was guessed to be.

    Without a schema an array's columns are numbers and a table's are guessed; a sparse matrix has no columns to type.
    """
    if _is_sparse(features):
        return SparseColumns.fit(features, rows), []
    table, notes = _table(features), []
    if schema is None and isinstance(features, dict):
        typed = guess({name: column[rows] for name, column in table.items()})
        schema, notes = typed.schema, typed.describe()
    schema = schema or Schema(Numeric(name) for name in table)
    return Encoder.fit(table, schema, rows, min_count=min_count), notes


def encode(
    encoder: Any, features: Features, labels: np.ndarray | None = None, weights: np.ndarray | None = None
) -> Encoded:
    """Encodes features held in whatever container, dense or sparse, by an encoder that was fitted on either."""
    if isinstance(encoder, SparseColumns):
        if isinstance(features, np.ndarray):
            assert_all_finite(features, input_name="X")
    else:
        features = _table(features.toarray() if _is_sparse(features) else features)
    return encoder.transform(features, labels, weights)


def numbers_of(y: Any, rows: int) -> np.ndarray:
    """A regression's targets, [n] float64."""
    y = _target(y, rows)
    return check_array(y, ensure_2d=False, dtype="float64", input_name="y")


def classes_of(y: Any, rows: int, known: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(classes, position [n] of each label in them); the classes are y's own, sorted, unless they are known."""
    y = _target(y, rows)
    check_classification_targets(y)
    kind = type_of_target(y, input_name="y", raise_unknown=True)
    if kind != "binary":
        raise InputError(f"Only binary classification is supported. The type of the target is {kind}.")
    if known is None:
        return np.unique(y, return_inverse=True)
    strangers = np.setdiff1d(y, known).tolist()
    if strangers:
        raise InputError(f"y holds {strangers[0]!r}, which is none of the classes {known.tolist()}")
    return known, np.searchsorted(known, y)


def named_classes(classes: Any, known: np.ndarray | None) -> np.ndarray:
    """The classes given to ``partial_fit``, sorted; InputError where they are not those of the first call."""
    named = np.unique(np.asarray(classes))
    if known is not None and not np.array_equal(named, known):
        raise InputError(f"classes are {named.tolist()}, the first call's were {known.tolist()}: keep them")
    return named


def require_two(classes: np.ndarray) -> None:
    """InputError unless there are two classes to tell apart."""
    if len(classes) != 2:
        found = "1 class" if len(classes) == 1 else f"{len(classes)} classes"
        raise InputError(f"a classifier needs 2 classes, there is {found}: give rows of both, with weight")


def weights_of(sample_weight: Any, rows: int) -> np.ndarray | None:
    """Sample weights [n] float64, not negative and not all zero; None where none are given."""
    if sample_weight is None:
        return None
    weights = check_array(sample_weight, ensure_2d=False, dtype="float64", input_name="sample_weight")
    if weights.shape != (rows,):
        raise InputError(f"sample_weight has shape {weights.shape}, X has {rows} rows: give one weight a row")
    if weights.min() < 0 or not weights.any():
        raise InputError("sample_weight must not be negative, nor zero for all samples")
    return weights


def pair_of(eval_set: Any) -> tuple[Any, Any]:
    """(X, y) of an eval_set: that pair itself, or a list that holds it alone."""
    pair = eval_set[0] if isinstance(eval_set, list) and len(eval_set) == 1 else eval_set
    if not isinstance(pair, tuple) or len(pair) != 2:
        raise InputError("eval_set: give (X, y), or a list of one such pair")
    return pair


def held_out(groups: list[np.ndarray], fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(training rows, validation rows), ascending: of each group its share, at least one row on either side.

    A fraction of 0 holds nothing out: the training rows are the validation rows, too.
    """
    if not 0 <= fraction < 1:
        raise InputError(f"valid_fraction is {fraction}: give at least 0 and less than 1")
    if fraction == 0:
        rows = np.sort(np.concatenate(groups))
        return rows, rows
    draw, parts = generator(seed, VALIDATION_STREAM), []
    for group in groups:
        if len(group) < 2:
            raise InputError(
                "n_samples=1, of a class or of all, cannot be shared out: give eval_set or valid_fraction=0"
            )
        count = int(np.clip(round(fraction * len(group)), 1, len(group) - 1))
        parts.append(np.split(draw.permutation(group), [count]))
    valid, train = (np.sort(np.concatenate(part)) for part in zip(*parts, strict=True))
    return train, valid


def _target(y: Any, rows: int) -> np.ndarray:
    if y is None:
        raise InputError("this estimator requires y to be passed, but the target y is None")
    y = column_or_1d(y, warn=True)
    assert_all_finite(y, input_name="y")
    if len(y) != rows:
        raise InputError(f"X has {rows} rows and y has {len(y)}: give one target a row")
    return y


def _with_rows(table: Table) -> Table:
    if not table_length(table):
        raise InputError("X holds no rows: give at least one")
    return table


def _table(features: Features) -> Table:
    return features if isinstance(features, dict) else as_table(features)


def _is_sparse(features: Features) -> bool:
    return hasattr(features, "indptr")
