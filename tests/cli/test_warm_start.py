"""``train NEW --warm-start DIR``: training goes on with new rows and new values."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from fastfm_core import cli, commands

OLD = [
    "train", "old.csv", "--label", "clicked", "--id", "user", "--set", "epochs=6", "--set", "dim=3",
    "--set", "hidden=4", "--set", "batch_size=32", "--set", "lr=0.02", "--out", "old",
]  # fmt: skip
NEW = ["train", "new.csv", "--warm-start", "old", "--out", "new"]


def write(path: Path, cities: list[str], seed: int) -> None:
    random = np.random.default_rng(seed)
    places, size = random.integers(0, len(cities), 400), random.normal(size=400)
    clicked = (np.array([ord(city) % 2 for city in cities])[places] + size > 0.5).astype(int)
    rows = (f"u{n},{cities[c]},{s:.3f},{y}\n" for n, (c, s, y) in enumerate(zip(places, size, clicked, strict=True)))
    path.write_text("user,city,size,clicked\n" + "".join(rows))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "old.csv", ["a", "b", "c", "d"], 0)
    write(tmp_path / "new.csv", ["c", "x", "a", "y", "z"], 1)
    assert cli.main(OLD) == 0
    return tmp_path


def description(folder: Path) -> dict:
    return json.loads((folder / "model.json").read_text())


def losses(folder: Path) -> list[float]:
    return [record["train_loss"] for record in json.loads((folder / "metrics.json").read_text())["history"]]


def test_training_goes_on_with_new_values(folder, capsys):
    assert cli.main(NEW) == 0
    printed = capsys.readouterr()
    assert "city: 3 new values" in printed.err.splitlines()
    old, new = description(folder / "old"), description(folder / "new")
    vocabularies = [model["encoder"]["codecs"][0]["vocabulary"] for model in (old, new)]
    assert vocabularies[1][:4] == vocabularies[0] and sorted(vocabularies[1][4:]) == ["x", "y", "z"]
    assert {name: new[name] for name in ("name", "label", "task", "id", "config")} == {
        name: old[name] for name in ("name", "label", "task", "id", "config")
    }
    assert cli.main([*OLD[:1], "new.csv", *OLD[2:-1], "fresh"]) == 0
    assert losses(folder / "new")[0] < losses(folder / "fresh")[0] - 0.1
    assert cli.main(["predict", "new", "new.csv"]) == 0
    assert capsys.readouterr().out.splitlines()[-400].startswith("u0,")


def test_a_warm_start_is_resumed_like_any_training(folder, monkeypatch):
    assert cli.main([*NEW[:-1], "whole"]) == 0
    train_step, left = commands.training.train_step, [5]

    def step(*arguments, **options):
        left[0] -= 1
        if left[0] == 0:
            signal.raise_signal(signal.SIGINT)
        return train_step(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(commands.training, "train_step", step)
        assert cli.main(NEW) == 130
    assert cli.main(["train", "--resume", "--out", "new"]) == 0
    for name in ("model.safetensors", "model.json", "optimizer.safetensors"):
        assert (folder / "new" / name).read_bytes() == (folder / "whole" / name).read_bytes()


def test_settings_that_keep_the_shape_may_change(folder):
    assert cli.main([*NEW, "--set", "lr=0.001", "--set", "epochs=2"]) == 0
    config = description(folder / "new")["config"]
    assert (config["lr"], config["epochs"], config["batch_size"], config["dim"]) == (0.001, 2, 32, 3)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--model", "fm"], "--model fm: but the model in old has deepfm"),
        (["--label", "size"], "--label size: but the model in old has clicked"),
        (["--task", "regression"], "--task regression: but the model in old has binary"),
        (["--drop", "size"], "--drop: the columns are those of the model in old"),
        (["--set", "dim=8"], "dim=8: the model to start from has 3"),
        (["--out", "old", "--overwrite"], "--out old: holds the model to start from"),
        (["--warm-start", "nowhere"], "nowhere: no such folder"),
    ],
)
def test_what_contradicts_the_model_is_named(folder, capsys, more, message):
    assert cli.main([*NEW, *more]) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not (folder / "new").exists()


def test_without_the_optimizers_state_it_says_so(folder, capsys):
    (folder / "old" / "optimizer.safetensors").unlink()
    assert cli.main(NEW) == 2
    assert "optimizer.safetensors: missing" in capsys.readouterr().err.splitlines()[-1]
    assert "new" not in os.listdir(folder)
