"""docs/serving.md is true: its commands and examples run, and its names are the code's."""

from __future__ import annotations

import csv
import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from clicks import write, write_clicks

from fastfm_core import cli
from fastfm_core.data import read_table
from fastfm_core.serving import onnx_file
from fastfm_core.serving.scorer import Ranker

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "serving.md").read_text(encoding="utf-8")


def blocks(language: str, section: str) -> list[str]:
    """The code of a section, which a heading of the second level opens."""
    (text,) = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def run(command: str) -> None:
    program, *arguments = shlex.split(command)
    assert program == "fastfm-core" and cli.main(arguments) == 0, command


def test_onnx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_clicks(tmp_path / "clicks.csv")
    write_clicks(tmp_path / "new.csv", seed=1)
    (commands,), (example,) = blocks("bash", "ONNX"), blocks("python", "ONNX")
    for command in commands.splitlines():
        run(command)
    names: dict[str, Any] = {}
    exec(example, names)
    run("fastfm-core predict model new.csv --out predictions.csv")
    with open("predictions.csv", newline="") as file:
        expected = np.array([row[-1] for row in csv.reader(file)][1:], float)
    np.testing.assert_allclose(names["probabilities"], expected, rtol=5e-6)

    session = onnxruntime.InferenceSession("model.onnx")
    for each in (*session.get_inputs(), *session.get_outputs()):
        assert f"`{each.name}`" in PAGE
    about = session.get_modelmeta().custom_metadata_map
    keys = {*about, *(key for name in ("fields", "numbers") for field in json.loads(about[name]) for key in field)}
    assert all(f"`{key}`" in PAGE for key in keys)
    assert f"opset {onnx_file.OPSET}, IR version {onnx_file.IR_VERSION}" in PAGE
    assert f"more than {onnx_file.LARGEST >> 30} GiB" in PAGE


def test_the_scorer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_clicks(tmp_path / "clicks.csv")
    write_clicks(tmp_path / "new.csv", seed=1)
    run(blocks("bash", "ONNX")[0].splitlines()[0])
    names: dict[str, Any] = {}
    for example in blocks("python", "The scorer"):
        exec(example, names)
    model = names["model"]
    probabilities = 1 / (1 + np.exp(-np.concatenate(names["logits"]).astype(float)))
    np.testing.assert_allclose(probabilities, model.predict(read_table("new.csv")), rtol=1e-5)
    assert names["of_user"].any() and not names["of_user"].all() and isinstance(names["ranker"], Ranker)


def test_recommend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    users, items = [[f"u{k}", 20 + k] for k in range(6)], [[f"i{k}", f"g{k % 3}|g{k % 2}", k / 4] for k in range(12)]
    clicks = [[*users[k % 6], *items[k * k % 12], int(k % 5 < 2)] for k in range(240)]
    write(tmp_path / "users.csv", ["user", "age"], users)
    write(tmp_path / "items.csv", ["item", "genres", "price"], items)
    write(tmp_path / "clicks.csv", ["user", "age", "item", "genres", "price", "label"], clicks)
    (commands,), (example,) = blocks("bash", "Recommend"), blocks("python", "Recommend")
    for command in commands.splitlines():
        run(command)
    with open("best.csv", newline="") as file:
        header = next(csv.reader(file))
    assert all(f"`{column}`" in PAGE for column in header)
    names: dict[str, Any] = {each: read_table(f"{each}.csv") for each in ("users", "items", "clicks")}
    exec(example, names)
    assert list(names["best"]) == header and len(names["best"]["user"]) > 0
