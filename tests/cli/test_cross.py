"""--cross from end to end: a product of two columns that neither tells alone, learned by Wide & Deep's wide part."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fastfm_core import cli
from fastfm_core.trained import load

QUICK = [
    "--categorical", "a,b", "--set", "epochs=10", "--set", "min_count=1", "--set", "lr=0.03", "--set", "batch_size=64",
]  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The label is the parity of a + b."""
    monkeypatch.chdir(tmp_path)
    values = np.random.default_rng(0).integers(0, 4, (1000, 2)).tolist()
    (tmp_path / "t.csv").write_text("a,b,label\n" + "".join(f"a{a},b{b},{(a + b) % 2}\n" for a, b in values))
    return tmp_path


def auc(*arguments: str) -> float:
    assert cli.main(["train", "t.csv", *QUICK, *arguments, "--out", "model"]) == 0
    return json.loads(Path("model", "metrics.json").read_text())["test"]["auc"]


@pytest.mark.parametrize("model", ["lr", "wide_deep"])
def test_a_cross_is_learned(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    shallow = ["--model", model, "--set", "hidden=1", "--set", "init_std=0"]
    assert auc(*shallow) < 0.7
    Path("without").mkdir()
    for file in Path("model").iterdir():
        file.rename(Path("without") / file.name)
    assert auc(*shallow, "--cross", "a*b:1000") > 0.95
    assert "a x b: cross, hashed to 1,000 rows, first (by --cross)" in capsys.readouterr().err
    encoder = load("model").encoder
    assert encoder.field_names == ["a", "b", "a x b"] and encoder.sizes.tolist() == [6, 6, 1001]
    assert encoder.uses is not None
    assert [part.tolist() for part in encoder.uses] == [[True] * 3, [True, True, False], [True, True, False]]
    assert cli.main(["predict", "model", "t.csv", "--out", "predictions.csv"]) == 0
    predicted = np.loadtxt("predictions.csv", skiprows=1)
    assert np.mean((predicted > 0.5) == np.loadtxt("t.csv", delimiter=",", skiprows=1, usecols=2)) > 0.9
