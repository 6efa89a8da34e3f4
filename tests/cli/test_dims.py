"""Columns with a dim of their own, from a TOML file to predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clicks import write_clicks

import fastfm_core as ff
from fastfm_core import cli
from fastfm_core.data import read_table
from fastfm_core.trained import load

CONFIG = """
label = "label"
drop = "weight"
out = "model"

[columns.user]
type = "categorical"
dim = 6

[columns.tags]
type = "multihot"
weighted = true
dim = 2

[columns.seen]
type = "history"
column = "movie"
user = "user"
time = "timestamp"
share = "movie"

[columns."movie x user"]
type = "cross"
columns = ["movie", "user"]
buckets = 50
use = "first,pairs"
dim = 1

[settings]
dim = 4
hidden = [8]
epochs = 2
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_clicks(tmp_path / "clicks.csv")
    write_clicks(tmp_path / "new.csv", seed=1)
    (tmp_path / "run.toml").write_text(CONFIG)
    return tmp_path


@pytest.mark.parametrize("model", ["fm", "deepfm", "nfm"])
def test_a_model_trains_is_saved_and_predicts(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["train", "clicks.csv", "--config", "run.toml", "--model", model, "--split", "time:timestamp"]
    assert cli.main(command) == 0
    assert "user: categorical, dim 6 (by --config)" in capsys.readouterr().err
    saved = load("model")
    arenas = saved.model.embedding.arenas
    assert [arena.embedding.dim for arena in arenas] == [1, 2, 4, 6]
    assert [arena.projection is None for arena in arenas] == [False, False, True, False]
    assert sum(len(arena.embedding.table.data) for arena in arenas) == saved.encoder.rows
    assert cli.main(["evaluate", "model", "new.csv"]) == 0
    assert cli.main(["predict", "model", "new.csv", "--out", "predictions.csv"]) == 0
    predicted = np.loadtxt("predictions.csv", skiprows=1)
    np.testing.assert_allclose(saved.predict(read_table("new.csv")), predicted, rtol=1e-12)


def test_a_warm_start_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "clicks.csv", "--config", "run.toml", "--split", "random"]) == 0
    capsys.readouterr()
    assert cli.main(["train", "new.csv", "--warm-start", "model", "--out", "more"]) == 2
    assert "columns with a dim of their own get no new rows later: train anew" in capsys.readouterr().err


def test_estimators_are_continued_and_saved(folder: Path) -> None:
    columns: dict[str, Any] = {name: np.array(column, object) for name, column in read_table("clicks.csv").items()}
    y = columns.pop("label").astype(int)
    schema = ff.Schema([ff.Categorical("user", dim=8), ff.Categorical("movie")])
    kind: Any = ff.DeepFMClassifier
    model = kind(schema=schema, dim=4, hidden=(8,), epochs=2, random_state=0).fit(columns, y)
    model.partial_fit(columns, y)
    model.save(folder / "saved")
    again = kind.load(folder / "saved")
    np.testing.assert_array_equal(again.predict_proba(columns), model.predict_proba(columns))
    for each in (model, again):
        each.partial_fit(columns, y)
    np.testing.assert_array_equal(again.predict_proba(columns), model.predict_proba(columns))
