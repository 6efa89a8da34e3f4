"""`fastfm-core export` writes the model that `fastfm-core predict` uses, and tells a server how to feed it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import scipy.sparse
from clicks import write_clicks

import fastfm_core
from fastfm_core import cli, trained
from fastfm_core.data import read_table
from fastfm_core.data.bundled import coupon_path
from fastfm_core.estimators import FMClassifier
from fastfm_core.serving.onnx_trained import inputs_of

QUICK = ["--set", "epochs=1", "--set", "hidden=8", "--set", "min_count=1", "--out", "model"]
BAGS = ["--multihot", "tags:|:weighted", "--numeric", "size:raw", "--categorical", "*"]
CONFIG = """
[columns.size]
type = "numeric"
use = "first,pairs,raw"
[columns.movie]
type = "categorical"
dim = 2
[columns."time in bins"]
type = "numeric"
source = "timestamp"
transform = "quantile"
bins = 3
[columns.liked]
type = "history"
column = "movie"
user = "user"
time = "timestamp"
share = "movie"
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> None:
    assert cli.main(list(arguments)) == 0


def predictions(data: str) -> np.ndarray:
    """By `fastfm-core predict`."""
    run("predict", "model", data, "--out", "predictions.csv")
    with open("predictions.csv", newline="") as file:
        return np.array([row[-1] for row in csv.reader(file)][1:], float)


def outputs(columns: Any) -> dict[str, np.ndarray]:
    """By `fastfm-core export` and ONNX Runtime."""
    run("export", "model", "--onnx", "model.onnx")
    session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
    inputs = inputs_of(trained.load("model").encoder.transform(columns), [each.name for each in session.get_inputs()])
    return dict(zip([each.name for each in session.get_outputs()], session.run(None, inputs), strict=True))


def about() -> dict[str, Any]:
    """The file's metadata, its lists read."""
    known = onnxruntime.InferenceSession("model.onnx").get_modelmeta().custom_metadata_map
    return known | {name: json.loads(known[name]) for name in ("fields", "numbers")}


def test_the_bundled_data(capsys: pytest.CaptureFixture[str]) -> None:
    run("train", *QUICK)
    found = outputs(read_table(coupon_path()))
    assert capsys.readouterr().out.endswith("model written to model.onnx\n")
    assert list(found) == ["logit", "probability"]
    np.testing.assert_allclose(found["probability"], predictions(str(coupon_path())), rtol=2e-6)
    encoder, known = trained.load("model").encoder, about()
    expected = {"model": "deepfm", "task": "binary", "label": "Y", "fastfm_core": fastfm_core.__version__}
    assert {name: known[name] for name in expected} == expected and known["numbers"] == []
    assert [field["name"] for field in known["fields"]] == encoder.field_names
    assert [field["first"] for field in known["fields"]] == encoder.bases.tolist()
    assert [field["rows"] for field in known["fields"]] == encoder.sizes.tolist()
    assert [field["unknown"] for field in known["fields"]] == encoder.unknown_rows.tolist()


@pytest.mark.parametrize(
    "options",
    [
        BAGS,
        ["--config", "columns.toml", "--multihot", "tags:|", "--categorical", "user,weight"],
        ["--task", "regression", "--label", "weight", "--categorical", "user", "--numeric", "timestamp:raw"],
        ["--model", "fm", *BAGS],
        ["--model", "lr", "--numeric", "size", "--categorical", "*"],
    ],
)
def test_tables_of_all_kinds_of_columns(options: list[str]) -> None:
    write_clicks(Path("clicks.csv"))
    Path("columns.toml").write_text(CONFIG)
    run("train", "clicks.csv", *options, *QUICK)
    found = outputs(read_table("clicks.csv"))
    output = "prediction" if "regression" in options else "probability"
    np.testing.assert_allclose(found[output], predictions("clicks.csv"), rtol=5e-6, atol=1e-6)


@pytest.mark.parametrize("model", ["lr", "fm"])
def test_libsvm_rows(model: str) -> None:
    lines = [f"{i % 2} 1:{i % 7} {2 + i % 30}:0.5" for i in range(200)]
    Path("rows.libsvm").write_text("\n".join(lines) + "\n")
    run("train", "rows.libsvm", "--model", model, *QUICK)
    found = outputs(read_table("rows.libsvm"))
    assert about()["pooling"] == "none"
    np.testing.assert_allclose(found["probability"], predictions("rows.libsvm"), rtol=5e-6)


def test_a_sparse_matrix() -> None:
    random = np.random.default_rng(0)
    matrix, labels = (
        scipy.sparse.csr_matrix(random.random((200, 12)) * (random.random((200, 12)) < 0.3)),
        np.arange(200) % 2,
    )
    FMClassifier(epochs=1, dim=4).fit(matrix, labels).save("model")
    found = outputs(matrix)
    assert about()["fields"] == [{"name": "", "first": 0, "rows": 12, "unknown": None}]
    np.testing.assert_allclose(found["probability"], trained.load("model").predict(matrix), rtol=5e-6)


def test_rows_and_values_follow_from_what_the_file_and_the_folder_say() -> None:
    """As docs/serving.md has it, without the encoder."""
    write_clicks(Path("clicks.csv"))
    run("train", "clicks.csv", "--numeric", "size", "--categorical", "user,movie", "--drop", "tags,timestamp", *QUICK)
    table = read_table("clicks.csv")
    expected = outputs(table)["logit"]
    fields, codecs = about()["fields"], json.loads(Path("model/model.json").read_text())["encoder"]["codecs"]
    ids, values = np.empty((600, len(fields)), np.int64), np.ones((600, len(fields)), np.float32)
    for place, (field, codec) in enumerate(zip(fields, codecs, strict=True)):
        for row, cell in enumerate(map(str, table[field["name"]].tolist())):
            if "mean" not in field:
                ids[row, place] = field["first"] + 2 + codec["vocabulary"].index(cell)
            elif cell == "":
                ids[row, place] = field["first"] + 1
            else:
                ids[row, place] = field["first"]
                values[row, place] = (float(cell) - field["mean"]) / field["scale"]
                assert field["transform"] == "standardize"
    session = onnxruntime.InferenceSession("model.onnx")
    np.testing.assert_allclose(
        session.run(["logit"], {"ids": ids, "values": values})[0], expected, rtol=1e-5, atol=1e-6
    )


def test_mistakes_cost_a_line(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    assert cli.main(["export", "model", "--onnx", "model.onnx"]) == 2
    assert capsys.readouterr().err == (
        "fastfm-core: model: no such folder; give the folder that `fastfm-core train` named at its end\n"
    )
    assert cli.main(["export", "model", "--onnx", "absent/model.onnx"]) == 2
    assert "there is no folder" in capsys.readouterr().err
    for target in ([], ["--onnx", "model.onnx", "--scorer", "scorer"]):
        assert cli.main(["export", "model", *target]) == 2
        assert "--scorer" in capsys.readouterr().err
    assert not list(folder.iterdir())
