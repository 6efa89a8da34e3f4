"""Histories from end to end: a TOML file, training, scoring; and that no row sees itself or its future."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastfm_core as ff
from fastfm_core import cli
from fastfm_core.trained import load

CONFIG = """
label = "label"
drop = "user,item,time"
split = "time:time"
model = "{model}"
out = "model"

[columns.seen]
type = "history"
column = "item"
user = "user"
time = "time"
length = 1

[settings]
dim = 4
hidden = [8]
epochs = 4
min_count = 1
lr = 0.05
batch_size = 64
"""
ROWS, USERS, ITEMS = 1200, 10, 20


def visits(leak: str, seed: int = 0, start: int = 0) -> dict[str, list[Any]]:
    """Random visits; the label tells whether an item is even: the user's ``last`` one, the ``own``, the ``next``, or
    that of a visit at the ``same`` time, of which the table then holds two each."""
    random = np.random.default_rng(seed)
    user, item = random.integers(0, USERS, ROWS), random.integers(0, ITEMS, ROWS)
    time = start + np.arange(ROWS)
    if leak == "same":
        time, user = time // 2, np.repeat(user[::2], 2)
    shown = np.zeros(ROWS, np.int64)
    for row in range(ROWS):
        others = np.flatnonzero(user == user[row])
        place = int(np.searchsorted(others, row))
        shown[row] = {
            "own": row,
            "last": others[place - 1] if place else row,
            "next": others[(place + 1) % len(others)],
            "same": row ^ 1,
        }[leak]
    columns = {"user": [f"u{k}" for k in user], "item": [f"i{k}" for k in item], "time": time.tolist()}
    return {**columns, "label": (item[shown] % 2 == 0).astype(int).tolist(), "n": ["1"] * ROWS}


def write(path: Path, columns: dict[str, list[Any]]) -> Path:
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def train(folder: Path, columns: dict[str, list[Any]], *arguments: str, model: str = "lr") -> dict[str, Any]:
    write(folder / "visits.csv", columns)
    (folder / "run.toml").write_text(CONFIG.format(model=model))
    assert cli.main(["train", "visits.csv", "--config", "run.toml", *arguments]) == 0
    return json.loads((folder / "model" / "metrics.json").read_text())


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_the_user_saw_last_is_learned(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = train(folder, visits("last"), model="deepfm")
    assert metrics["test"]["auc"] > 0.95
    said = capsys.readouterr().err
    assert "seen: history, the last 1 of the same user before time, mean (by --config)" in said


@pytest.mark.parametrize("leak", ["own", "next", "same"])
def test_a_planted_leak_cannot_be_seen(folder: Path, leak: str) -> None:
    """The label is told by the row's own item, a later one, or one of the same time: the model does not beat chance."""
    metrics = train(folder, visits(leak))
    assert abs(metrics["test"]["auc"] - 0.5) < 0.1 and abs(metrics["train"]["auc"] - 0.5) < 0.15


def test_files_of_their_own_see_what_the_model_remembers(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    late = visits("last", seed=1, start=ROWS)
    write(folder / "late.csv", late)
    metrics = train(folder, visits("last"), "--test", "late.csv")
    assert metrics["test"]["auc"] > 0.95
    capsys.readouterr()
    assert cli.main(["evaluate", "model", "late.csv"]) == 0
    assert f"{metrics['test']['auc']:.4f}" in capsys.readouterr().out
    assert cli.main(["predict", "model", "late.csv", "--out", "predictions.csv"]) == 0
    with open(folder / "predictions.csv") as file:
        predicted = [float(row["probability"]) for row in csv.DictReader(file)]
    tables: dict[str, Any] = {name: np.array(column) for name, column in late.items()}
    np.testing.assert_allclose(load(folder / "model").predict(tables), predicted, rtol=1e-12)
    first = {name: column[:1] for name, column in tables.items()}
    np.testing.assert_allclose(load(folder / "model").predict(first), predicted[:1], rtol=1e-12)
    nobody = {**first, "user": np.array(["nobody"])}
    assert load(folder / "model").predict(nobody)[0] != predicted[0]


def test_a_warm_start_goes_on_from_what_is_remembered(folder: Path) -> None:
    train(folder, visits("last"))
    write(folder / "late.csv", visits("last", seed=1, start=ROWS))
    arguments = ["--warm-start", "model", "--split", "time:time", "--out", "more"]
    assert cli.main(["train", "late.csv", *arguments]) == 0
    before, after = load(folder / "model").encoder.visits["seen"], load(folder / "more").encoder.visits["seen"]
    assert len(before.time) == len(after.time) == USERS and before.time.max() < after.time.min()


def test_a_history_is_one_of_the_users_columns(folder: Path) -> None:
    """Two towers: the label is told by the item seen last and the item itself, so it takes the history to know it."""
    columns = visits("last")
    parity = [int(item[1:]) % 2 for item in columns["item"]]
    columns["label"] = [int(label == even) for label, even in zip(columns["label"], parity, strict=True)]
    write(folder / "visits.csv", columns)
    text = CONFIG.format(model="two_tower").replace("user,item,time", "time").replace("epochs = 4", "epochs = 8")
    (folder / "run.toml").write_text(text)
    arguments = ["--config", "run.toml", "--user", "user,seen", "--item", "item", "--set", "dropout=0"]
    assert cli.main(["train", "visits.csv", *arguments]) == 0
    assert json.loads((folder / "model" / "metrics.json").read_text())["test"]["auc"] > 0.9
    assert load(folder / "model").encoder.sides == ["user", "item", "", "user"]


def test_what_a_file_lacks_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(folder, visits("last"))
    write(folder / "late.csv", {name: column for name, column in visits("last").items() if name != "time"})
    capsys.readouterr()
    assert cli.main(["predict", "model", "late.csv"]) == 2
    expected = "fastfm-core: late.csv: there is no column 'time': the columns are user, item, label, n\n"
    assert capsys.readouterr().err == expected
    write(folder / "late.csv", visits("last") | {"time": ["soon"] * ROWS})
    assert cli.main(["predict", "model", "late.csv"]) == 2
    assert "late.csv: column 'time', data row 1: 'soon' is neither a number" in capsys.readouterr().err


def test_estimators_take_histories(folder: Path) -> None:
    columns: dict[str, Any] = {name: np.array(column) for name, column in visits("last").items()}
    late: dict[str, Any] = {name: np.array(column) for name, column in visits("last", seed=1, start=ROWS).items()}
    y, late_y = columns.pop("label"), late.pop("label")
    schema = ff.Schema([ff.History("item", "user", "time", length=1), ff.Categorical("n")])
    kind: Any = ff.FMClassifier
    model = kind(schema=schema, epochs=4, lr=0.05, batch_size=64, min_count=1, random_state=0)
    model.fit(columns, y)
    assert model.score(late, late_y) > 0.95
    model.save(folder / "saved")
    again = kind.load(folder / "saved")
    np.testing.assert_array_equal(again.predict_proba(late), model.predict_proba(late))
