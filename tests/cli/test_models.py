"""Every model trained by its name from the command line, scored, and loaded again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fastfm_core import cli
from fastfm_core.models import MODELS

TRAIN = [
    "train", "views.csv", "--label", "liked", "--user", "reader,age", "--item", "book", "--cross", "age*book:50",
    "--numeric", "pages:raw", "--categorical", "*", "--set", "epochs=2", "--set", "dim=4", "--set", "hidden=8",
    "--set", "projection=4", "--out", "model", "--metrics-json", "metrics.json",
]  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    columns = random.integers(0, [12, 4, 9, 500], (300, 4))
    liked = (columns[:, 0] + columns[:, 2]) % 2
    rows = ["reader,age,book,pages,liked", *(",".join(map(str, row)) for row in np.column_stack([columns, liked]))]
    Path("views.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


@pytest.mark.parametrize("model", MODELS)
def test_a_model_is_trained_scored_and_loaded(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*TRAIN, "--model", model]) == 0
    assert "age x book: cross, hashed to 50 rows, first (by --cross)" in capsys.readouterr().err
    trained = json.loads(Path("metrics.json").read_text())
    assert cli.main(["evaluate", "model", "views.csv", "--metrics-json", "again.json"]) == 0
    again = json.loads(Path("again.json").read_text())
    assert trained["model"] == again["model"] == model
    assert 0 < again["test"]["logloss"] < 1
    assert cli.main(["predict", "model", "views.csv", "--out", "predictions.csv"]) == 0
    assert len(Path("predictions.csv").read_text().splitlines()) == 301
    assert cli.main(["train", "views.csv", "--warm-start", "model", "--out", "next"]) == 0


@pytest.mark.parametrize("pairs", ["user*item", "reader*book,age*book"])
def test_pairs_are_picked(pairs: str) -> None:
    assert cli.main([*TRAIN, "--model", "fwfm", "--set", f"pairs={pairs}"]) == 0
    assert json.loads(Path("metrics.json").read_text())["config"]["pairs"] == pairs


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--model", "fm", "--set", "pairs=reader*bok"], "pairs: no column 'bok' takes part in pairs; did you mean"),
        (["--model", "fm", "--set", "pairs=reader"], "pairs=reader: write all, or pairs with commas between: a*b,c*d"),
        (["--model", "fusion", "--set", "branches=wide,dnn"], "fusion: branches are wide, dnn, choose of wide, fm"),
        (["--model", "fm", "--user", "rader"], "no column 'rader': did you mean 'reader'"),
    ],
)
def test_mistakes_cost_one_line(given: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*TRAIN, *given]) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not Path("model").exists()


def test_a_model_of_two_sides_asks_for_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "views.csv", "--label", "liked", "--model", "gmf", "--out", "model"]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert "gmf: which columns are the user's, which the item's? Name them: --user COL --item COL" in last
