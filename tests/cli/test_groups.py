"""--group on train and evaluate: what it measures, that early stopping can judge by it, and what is refused."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from clicks import write_clicks

from fastfm_core import cli, metrics
from fastfm_core.data import cache

RANKED = ["gauc", "hr@10", "ndcg@10"]
OPTIONS = ["--model", "fm", "--categorical", "user", "--multihot", "tags:|:weighted", "--drop", "timestamp,weight"]
QUICK = ["--set", "epochs=4", "--set", "dim=4", "--set", "batch_size=64", "--set", "lr=0.02"]


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "tables"))
    (tmp_path / "tables").mkdir()
    return write_clicks(tmp_path / "clicks.csv")


def train(table, out, *options: str) -> dict:
    assert cli.main(["train", table, *OPTIONS, *QUICK, "--out", str(out), *options]) == 0
    return json.loads((out / "metrics.json").read_text())


def column(path, name: str) -> np.ndarray:
    with open(path, newline="", encoding="utf-8") as file:
        return np.array([row[name] for row in csv.DictReader(file)])


def test_a_group_adds_its_metrics_to_every_part_and_changes_no_weight(table, tmp_path, capsys):
    plain, grouped = train(table, tmp_path / "plain"), train(table, tmp_path / "grouped", "--group", "user")
    assert "GAUC" in capsys.readouterr().out
    for part in ("train", "valid", "test"):
        assert [name for name in grouped[part] if name not in plain[part]] == RANKED
        assert {name: grouped[part][name] for name in plain[part]} == plain[part]
    assert list(grouped["history"][0]["valid"])[-3:] == RANKED
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("plain", "grouped")]
    assert weights[0] == weights[1]


def test_evaluating_ranks_within_the_columns_values(table, tmp_path, capsys):
    train(table, tmp_path / "model")
    other, measured, predicted = (str(tmp_path / name) for name in ("other.csv", "m.json", "p.csv"))
    write_clicks(tmp_path / "other.csv", seed=1)
    command = ["evaluate", str(tmp_path / "model"), other, "--group", "movie", "--metrics-json", measured]
    assert cli.main(command) == 0
    assert cli.main(["predict", str(tmp_path / "model"), other, "--out", predicted]) == 0
    groups = np.unique(column(other, "movie"), return_inverse=True)[1]
    labels, scores = column(other, "label").astype(float), column(predicted, "probability").astype(float)
    found = json.loads((tmp_path / "m.json").read_text())["test"]
    expected = metrics.grouped(labels, scores, groups)
    assert {name: found[name] for name in RANKED} == pytest.approx(expected, abs=1e-12)
    assert f", GAUC {expected['gauc']:.4f}, HR@10 " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("monitor", "best"),
    [("gauc", max), ("hr@10", max), ("ndcg@10", max), ("pr_auc", max), ("logloss", min), ("normalized_entropy", min)],
)
def test_early_stopping_judges_by_any_metric(table, tmp_path, monitor, best):
    report = train(table, tmp_path / "model", "--group", "movie", "--set", f"monitor={monitor}")
    found = [record["valid"][monitor] for record in report["history"]]
    assert report["history"][found.index(best(found))]["epoch"] == report["best_epoch"]
    assert report["valid"][monitor] == best(found)


def test_a_regression_is_judged_by_either_of_its_errors(table, tmp_path):
    for monitor in ("rmse", "mae"):
        report = train(
            table, tmp_path / monitor, "--label", "year", "--task", "regression", "--join", movies(tmp_path),
            "--set", f"monitor={monitor}",
        )  # fmt: skip
        assert report["valid"][monitor] == min(record["valid"][monitor] for record in report["history"])


def movies(folder) -> str:
    rows = [f"m{number},{number / 10}" for number in range(25)]
    (folder / "movies.csv").write_text("\n".join(["movie,year", *rows]))
    return f"{folder / 'movies.csv'}:movie"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--set", "monitor=gauc"], "monitor=gauc: ranks rows within groups; name their column with --group COL"),
        (["--set", "monitor=rmse"], "monitor=rmse: a binary task has auc, pr_auc, logloss, normalized_entropy, gauc"),
        (["--task", "regression", "--set", "monitor=auc"], "monitor=auc: a regression task has rmse, mae"),
        (["--set", "monitor=accuracy"], "monitor=accuracy: give one of auc, pr_auc"),
        (["--group", "usr"], "--group: there is no column 'usr': did you mean 'user'?"),
        (["--group", "movie", "--task", "regression", "--label", "weight"], "--group movie: ranks rows of 0/1 labels"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(table, tmp_path, capsys, options, words):
    assert cli.main(["train", table, *OPTIONS, *QUICK, "--out", str(tmp_path / "model"), *options]) == 2
    assert words in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "model").exists()


def test_evaluating_refuses_an_unknown_column(table, tmp_path, capsys):
    train(table, tmp_path / "model")
    assert cli.main(["evaluate", str(tmp_path / "model"), table, "--group", "usr"]) == 2
    assert "--group: there is no column 'usr'" in capsys.readouterr().err
