"""Saved, pickled and copied estimators predict the same bits; broken folders are named."""

from __future__ import annotations

import copy
import json
import pickle
import tempfile
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import scipy.sparse as sp

import fastfm_core as ff
from fastfm_core import trained
from fastfm_core.errors import InputError

from .cases import CLASSIFIERS, KINDS, WITHOUT_DEEP, data, make, outputs


def through_joblib(model: Any) -> Any:
    """By a file whose arrays are mapped, read-only."""
    with tempfile.TemporaryDirectory() as folder:
        joblib.dump(model, f"{folder}/model")
        return joblib.load(f"{folder}/model", mmap_mode="r")


COPIES = {"pickle": lambda model: pickle.loads(pickle.dumps(model)), "joblib": through_joblib, "copy": copy.deepcopy}


@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize("name", KINDS)
def test_a_copy_predicts_and_goes_on_with_the_same_bits(name: str, way: str) -> None:
    X, y = data(name)
    model = make(name, epochs=2).fit(X, y)
    other = COPIES[way](model)
    np.testing.assert_array_equal(outputs(other, X), outputs(model, X))
    for each in (model, other):
        each.partial_fit(X, y)
    np.testing.assert_array_equal(outputs(other, X), outputs(model, X))
    assert other.model_.model.backend is model.model_.model.backend
    assert other.model_.model.embedding.table.data.ctypes.data % 64 == 0


@pytest.mark.parametrize("name", KINDS)
def test_a_saved_estimator_comes_back(name: str, tmp_path: Path) -> None:
    X, y = data(name)
    model = make(name, epochs=3).fit(X, y)
    model.save(tmp_path / "model")
    loaded = type(model).load(tmp_path / "model")
    np.testing.assert_array_equal(outputs(loaded, X), outputs(model, X))
    assert loaded.get_params() == model.get_params()
    assert (loaded.n_iter_, loaded.best_iteration_, loaded.n_features_in_) == (3, model.best_iteration_, 3)
    assert loaded.history_ == model.history_
    if name in CLASSIFIERS:
        assert loaded.classes_.tolist() == ["no", "yes"] and loaded.predict(X).tolist() == model.predict(X).tolist()
    np.testing.assert_array_equal(outputs(loaded.partial_fit(X, y), X), outputs(model.partial_fit(X, y), X))
    assert loaded.n_iter_ == model.n_iter_ == 4
    assert {path.suffix for path in (tmp_path / "model").iterdir()} == {".json", ".safetensors"}


@pytest.mark.parametrize(
    "classes",
    [
        np.array([3, 2**63 + 5], np.uint64),
        np.array([False, True]),
        np.array([0.0, 1.0]),
        np.array(["n", "yes"]),
        np.array(["n", "yes"], object),
    ],
    ids=lambda classes: str(classes.dtype),
)
def test_classes_keep_type_and_digits(classes: np.ndarray, tmp_path: Path) -> None:
    X, _ = data("LRClassifier")
    y = classes[(X[:, 0] > 0).astype(int)]
    model = make("LRClassifier", epochs=1).fit(X, y)
    model.save(tmp_path)
    loaded = ff.LRClassifier.load(tmp_path)
    assert loaded.classes_.tolist() == classes.tolist() and loaded.classes_.dtype == model.classes_.dtype


def test_a_table_with_a_schema_comes_back_and_the_command_lines_loader_reads_it(tmp_path: Path) -> None:
    X, y = data("FMClassifier")
    table = {"a": X[:, 0], "b": np.where(X[:, 1] > 0, "p", "q")}
    schema = ff.Schema([ff.Numeric("a"), ff.Categorical("b")])
    model = make("FMClassifier", schema=schema, random_state=np.random.RandomState(3), epochs=2).fit(table, y)
    model.save(tmp_path)
    loaded = ff.FMClassifier.load(tmp_path, backend="reference")
    assert loaded.schema == schema and loaded.random_state is None
    assert loaded.feature_names_in_.tolist() == ["a", "b"] and loaded.feature_names_in_.dtype == object
    np.testing.assert_allclose(outputs(loaded, table), outputs(model, table), rtol=1e-5)
    np.testing.assert_array_equal(trained.load(tmp_path).predict(table), outputs(model, table))


@pytest.mark.parametrize("name", WITHOUT_DEEP)
def test_a_model_of_sparse_rows_comes_back(name: str, tmp_path: Path) -> None:
    X, y = data(name)
    model = make(name, epochs=2).fit(sp.csr_array(X), y)
    model.save(tmp_path)
    np.testing.assert_array_equal(outputs(type(model).load(tmp_path), sp.csr_array(X)), outputs(model, X))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make("FMClassifier", epochs=1).fit(*data("FMClassifier")).save(tmp_path)
    return tmp_path


def test_broken_folders_are_named(folder: Path) -> None:
    file = folder / "estimator.json"
    with pytest.raises(InputError, match=r"is a FMClassifier, not a FMRegressor; load it with FMClassifier\.load"):
        ff.FMRegressor.load(folder)
    whole = file.read_text()
    file.write_text(whole[:40])
    with pytest.raises(InputError, match=r"estimator\.json: cut or damaged"):
        ff.FMClassifier.load(folder)
    file.write_text(json.dumps(json.loads(whole) | {"weights_sha256": "0"}))
    with pytest.raises(InputError, match="belongs to other weights"):
        ff.FMClassifier.load(folder)
    file.unlink()
    with pytest.raises(InputError, match="holds a model but no estimator"):
        ff.FMClassifier.load(folder)
    with pytest.raises(InputError, match="no such folder"):
        ff.FMClassifier.load(folder / "absent")


def test_classes_that_json_cannot_hold_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    X, _ = data("LRClassifier")
    y = np.where(X[:, 0] > 0, np.datetime64("2020-01-01"), np.datetime64("2021-01-01"))
    model = make("LRClassifier", epochs=1).fit(X, y)
    with pytest.raises(InputError, match=r"classes_ holds .*: save keeps text, numbers and booleans"):
        model.save(tmp_path / "model")
    assert not (tmp_path / "model").exists()
