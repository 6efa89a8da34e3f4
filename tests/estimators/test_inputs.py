"""Containers for X: arrays, pandas, polars, dicts, sparse matrices; and scikit-learn's tools around the estimators."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import fastfm_core as ff
from fastfm_core.errors import InputError

from .cases import CLASSIFIERS, KINDS, WITHOUT_DEEP, data, make, outputs, quality

BIG = 2**64 - 1


def table(name: str, rows: int = 200) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Columns of text, ids beyond 2^63 and numbers, and a target that text and id decide."""
    random = np.random.default_rng(1)
    color = random.choice(["red", "green", "blue"], rows)
    user = np.uint64(BIG) - random.integers(0, 2, rows).astype(np.uint64)
    score = (color == "red") + 1.0 * (user == BIG) - 0.8
    columns = {"color": color.astype(object), "user_id": user, "price": random.standard_normal(rows)}
    return columns, (score > 0).astype(int) if name in CLASSIFIERS else score


@pytest.mark.parametrize("name", KINDS)
def test_pandas_polars_and_dicts_are_one(name: str) -> None:
    columns, y = table(name)
    frames = columns, pd.DataFrame(columns), pl.DataFrame({key: column.tolist() for key, column in columns.items()})
    fitted = [make(name).fit(frame, y) for frame in frames]
    assert quality(fitted[0], columns, y) > 0.9
    assert sorted(fitted[0].model_.encoder._codecs[1].vocabulary) == [str(BIG - 1), str(BIG)]
    expected = outputs(fitted[0], frames[0])
    for model, frame in zip(fitted[1:], frames[1:], strict=True):
        np.testing.assert_array_equal(outputs(model, frame), expected)
        assert model.feature_names_in_.tolist() == ["color", "user_id", "price"]


def test_a_frame_of_other_columns_is_refused() -> None:
    columns, y = table("FMClassifier")
    frame = pd.DataFrame(columns)
    model = make("FMClassifier", epochs=1).fit(frame, y)
    with pytest.raises(ValueError, match="The feature names should match"):
        model.predict(frame.rename(columns={"color": "colour"}))
    with pytest.raises(InputError, match="there is no column 'color': did you mean 'colour'"):
        model.predict({"colour": columns["color"], "user_id": columns["user_id"], "price": columns["price"]})
    with pytest.raises(InputError, match="no rows"):
        model.predict(frame[:0])


def test_a_schema_says_what_columns_are() -> None:
    columns, y = table("FMClassifier")
    schema = ff.Schema([ff.Categorical("color"), ff.Numeric("price")])
    model = make("FMClassifier", schema=schema, epochs=1).fit(pd.DataFrame(columns), y)
    assert model.model_.encoder.field_names == ["color", "price"]
    codes = np.random.default_rng(0).integers(0, 3, (200, 2))
    array = make("FMClassifier", schema=ff.Schema([ff.Categorical("x1")]), epochs=1).fit(codes, y)
    assert array.model_.encoder.rows == 2 + 3


def test_columns_without_names_go_by_position() -> None:
    X, y = data("FMClassifier")
    frame = pd.DataFrame(X)
    for first, second in ((X, frame), (frame, X)):
        model = make("FMClassifier", epochs=1).fit(first, y)
        np.testing.assert_array_equal(outputs(model, first), outputs(model, second))


def test_values_unseen_in_training_share_the_unknown_row() -> None:
    columns, y = table("DeepFMClassifier")
    model = make("DeepFMClassifier").fit(columns, y)
    rows = model.model_.encoder.rows
    for _ in range(2):
        unseen = [outputs(model, {**columns, "color": np.full(200, color, object)}) for color in ("pink", "grey")]
        np.testing.assert_array_equal(*unseen)
        assert (unseen[0] != outputs(model, columns)).any()
        model.partial_fit({**columns, "color": np.full(200, "pink", object)}, y)
    assert model.model_.encoder.rows == rows


def sparse(rows: int = 200, columns: int = 30) -> sp.csr_array:
    return sp.random_array((rows, columns), density=0.3, rng=np.random.default_rng(0), format="csr")


def sparse_target(name: str, X: Any) -> np.ndarray:
    score = np.asarray(X.sum(axis=1)).reshape(-1) - X.sum() / X.shape[0]
    return (score > 0).astype(int) if name in CLASSIFIERS else score


@pytest.mark.parametrize("container", [sp.csr_array, sp.csc_matrix, sp.coo_array])
@pytest.mark.parametrize("name", WITHOUT_DEEP)
def test_sparse_matrices_train(name: str, container: Any) -> None:
    X = sparse()
    y = sparse_target(name, X)
    model = make(name, epochs=60, patience=60).fit(container(X), y)
    assert quality(model, X, y) > 0.9
    np.testing.assert_array_equal(outputs(model, container(X)), outputs(model, X))
    np.testing.assert_array_equal(outputs(model, X.toarray()), outputs(model, X))
    assert len(model.model_.model.embedding.table.data) == 30
    before = outputs(model, X)
    assert (outputs(model.partial_fit(container(X), y), X) != before).any()
    assert np.isfinite(outputs(make(name).partial_fit(container(X), y), X)).all()


@pytest.mark.parametrize("name", WITHOUT_DEEP)
def test_a_sparse_row_means_what_the_dense_row_of_numbers_means(name: str) -> None:
    """Columns of mean 0 and scale 1 without a zero: both ways every number is a term of its own."""
    X, y = data(name)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    dense = make(name, epochs=1).fit(X, y, eval_set=(X, y))
    rows = make(name, epochs=1).fit(sp.csr_array(X), y)
    of_rows, of_dense = (m.model_.model.embedding.table for m in (rows, dense))
    of_rows.data[...] = of_dense.data[::2]  # the dense model has a row for missing behind each number's
    of_rows.version += 1
    rows.model_.model.bias.data[...] = dense.model_.model.bias.data
    np.testing.assert_allclose(outputs(rows, sp.csr_array(X)), outputs(dense, X), rtol=1e-5, atol=1e-6)


def test_a_dense_model_reads_sparse_rows_and_the_other_way_round() -> None:
    X, y = data("FMRegressor")
    model = make("FMRegressor", epochs=1).fit(X, y)
    np.testing.assert_array_equal(outputs(model, sp.csr_array(X)), outputs(model, X))
    rows = make("FMRegressor", epochs=1).fit(sp.csr_array(X), y)
    np.testing.assert_array_equal(outputs(rows, X), outputs(rows, sp.csr_array(X)))
    with pytest.raises(InputError, match="trained on a sparse matrix"):
        rows.predict({f"x{n}": X[:, n] for n in range(3)})
    with pytest.raises(ValueError, match="contains NaN"):
        rows.predict(np.full((1, 3), np.nan))


@pytest.mark.parametrize("name", ["DeepFMClassifier", "DeepFMRegressor"])
def test_deepfm_refuses_sparse_rows(name: str) -> None:
    with pytest.raises(TypeError, match="dense data is required"):
        make(name).fit(sparse(), np.arange(200) % 2)


def test_a_broken_sparse_matrix_is_named() -> None:
    X = sparse()
    X.data[3] = np.nan
    with pytest.raises(ValueError, match="contains NaN"):
        make("LRClassifier").fit(X, np.arange(200) % 2)


@pytest.mark.parametrize("name", KINDS)
def test_pipelines_and_cross_validation(name: str) -> None:
    X, y = data(name)
    model = make_pipeline(StandardScaler(), make(name))
    scoring = "roc_auc" if name in CLASSIFIERS else "r2"
    assert cross_val_score(model, X * 50 + 7, y, cv=3, scoring=scoring).min() > 0.8


@pytest.mark.parametrize("name", WITHOUT_DEEP)
def test_a_one_hot_encoder_in_front_gives_sparse_rows(name: str) -> None:
    columns, y = table(name)
    frame = pd.DataFrame({key: columns[key].astype(str) for key in ("color", "user_id")})
    model = make_pipeline(OneHotEncoder(), make(name)).fit(frame, y)
    assert quality(model, frame, y) > 0.9


def test_grid_search() -> None:
    X, y = data("FMClassifier")
    schema = ff.Schema([ff.Numeric("x0"), ff.Numeric("x1")])
    search = GridSearchCV(
        make("FMClassifier", schema=schema), {"dim": [1, 2], "lr": [1e-6, 0.05]}, cv=2, scoring="roc_auc"
    )
    search.fit(X, y)
    assert search.best_params_["lr"] == 0.05 and search.best_score_ > 0.9
