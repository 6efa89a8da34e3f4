"""--config: every key reaches what it names, the command line wins, and what is wrong is one line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from clicks import write_clicks, write_movies

from fastfm_core import checkpoint, cli
from fastfm_core.config_file import OPTIONS, read_config
from fastfm_core.data import Categorical, Cross, MultiHot, Numeric
from fastfm_core.errors import InputError

WHOLE = """
valid = "valid.csv"
test = "test.csv"
label = "label==1"
task = "binary"
model = "fm"
categorical = "genre"
numeric = "year:log1p"
drop = "timestamp"
id = "user"
group = "movie"
weight = "weight"
split = "order"
seed = 3
threads = 1
backend = "numba"
out = "model"

[columns.movie]
type = "categorical"
min_count = 4

[columns.tags]
type = "multihot"
separator = "|"
weighted = true
pooling = "sqrtn"
use = "first,pairs"

[columns.size]
type = "numeric"
transform = "sqrt"
use = ["first", "pairs", "raw"]

[columns."size in bins"]
type = "numeric"
source = "size"
transform = "quantile"
bins = 3

[columns."movie x genre"]
type = "cross"
columns = ["movie", "genre"]
buckets = 40

[settings]
dim = 5
hidden = [6, 4]
lr = 0.01
batch_norm = false
epochs = 2
optimizer = "adagrad"
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """Clicks and movies, and the working folder."""
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("clicks", "valid", "test")):
        write_clicks(tmp_path / f"{name}.csv", rows=300, seed=seed)
    write_movies(tmp_path / "movies.csv")
    return tmp_path


def train(folder: Path, text: str, *arguments: str) -> int:
    (folder / "run.toml").write_text(text, encoding="utf-8")
    return cli.main(["train", "clicks.csv", "--join", "movies.csv:movie", "--config", "run.toml", *arguments])


def test_every_key_reaches_what_it_names(folder, threads_restored, capsys):
    assert train(folder, WHOLE) == 0
    description = checkpoint.load(folder / "model").description
    expected = {"name": "fm", "label": "label==1", "task": "binary", "id": "user", "seed": 3}
    assert {key: description[key] for key in expected} == expected
    settings = {"dim": 5, "hidden": [6, 4], "lr": 0.01, "batch_norm": False, "epochs": 2, "optimizer": "adagrad"}
    assert {key: description["config"][key] for key in settings} == settings
    fields = {field.pop("name"): field for field in description["encoder"]["schema"]["fields"]}
    assert list(fields) == ["movie", "size", "tags", "genre", "year", "size in bins", "movie x genre"]
    assert fields["movie"]["min_count"] == 4 and fields["year"]["transform"] == "log1p"
    assert (fields["tags"]["pooling"], fields["tags"]["use"]) == ("sqrtn", ["first", "pairs"])
    assert (fields["size in bins"]["source"], fields["size in bins"]["bins"]) == ("size", 3)
    metrics = json.loads((folder / "model" / "metrics.json").read_text())
    assert [metrics[part]["rows"] for part in ("train", "valid", "test")] == [300, 300, 300]
    assert metrics["backend"] == "numba"
    shown = capsys.readouterr().err
    assert "movie x genre: cross, hashed to 40 rows, first (by --config)" in shown
    assert "weight: dropped (by --weight)" in shown and "user: dropped (by --id)" in shown


def test_the_example_names_every_option():
    named = {line.partition(" =")[0] for line in WHOLE.split("[columns")[0].splitlines() if line}
    assert named == OPTIONS - {"multihot", "cross", "user", "item", "sample_negatives"}


def test_the_command_line_wins(folder):
    arguments = ["--model", "lr", "--seed", "9", "--out", "other", "--set", "dim=7", "--label", "label"]
    arguments += ["--drop", "size"]
    text = WHOLE.replace("[columns.size]", "[columns.unused]").replace('transform = "sqrt"', 'source = "year"')
    assert train(folder, text, *arguments) == 0
    description = checkpoint.load(folder / "other").description
    assert (description["name"], description["seed"], description["label"]) == ("lr", 9, "label")
    assert (description["config"]["dim"], description["config"]["epochs"]) == (7, 2)
    assert not (folder / "model").exists()


def test_fields_are_those_of_the_schema(folder):
    (folder / "run.toml").write_text(WHOLE)
    assert read_config(folder / "run.toml").fields == [
        Categorical("movie", min_count=4),
        MultiHot("tags", weighted=True, pooling="sqrtn", use="first,pairs"),
        Numeric("size", transform="sqrt", use="first,pairs,raw"),
        Numeric("size in bins", source="size", transform="quantile", bins=3),
        Cross(("movie", "genre"), buckets=40),
    ]


def test_a_declared_field_may_share_the_rows_of_one_that_is_guessed(folder):
    text = "out = 'shared'\nmodel = 'lr'\n[columns.genre]\ntype = 'categorical'\nshare = 'movie'\n"
    assert train(folder, text, "--set", "epochs=1") == 0
    encoder = checkpoint.load(folder / "shared").description["encoder"]
    assert [field["share"] for field in encoder["schema"]["fields"] if field["name"] == "genre"] == ["movie"]


def test_without_a_file_nothing_is_declared():
    assert read_config(None) == ([], {}, [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("labl = 'label'", "there is no option 'labl'; besides [columns] and [settings] there are backend"),
        ("join = 'movies.csv:movie'", "there is no option 'join'"),
        ("label = 5", "label is 5: give a text, in quotes"),
        ("drop = ['size']", "drop is ['size']: give a text, in quotes"),
        ("seed = 'x'", "seed is 'x': give a whole number"),
        ("seed = 1.5", "seed is 1.5: give a whole number"),
        ("threads = true", "threads is True: give a whole number"),
        ("task = 'ranking'", "task is 'ranking': choose one of binary, regression"),
        ("split = 'time'", "run.toml: argument --split: time is none of random, time:COL"),
        ("columns = 5", "columns is 5: write it as a table"),
        ("[columns]\nsize = 5", "size is 5: write it as a table"),
        ("settings = 'dim=3'", "settings is 'dim=3': write it as a table"),
        ("[columns.size]\nmin_count = 5", "column 'size' has type ''"),
        ("[columns.size]\ntype = 'number'", "column 'size' has type 'number': known are categorical"),
        ("[columns.size]\ntype = 'numeric'\nbuckets = 5", "type numeric has no 'buckets', only use, transform, bins"),
        ("[columns.size]\ntype = 'numeric'\nname = 'x'", "named by [columns.size] already"),
        ("[columns.c]\ntype = 'cross'\ncolumns = 'ab'", "columns is 'ab', give a list of column names"),
        ("label = ", "not TOML"),
        ("label = 'a'\nlabel = 'b'", "not TOML"),
    ],
)
def test_a_mistake_in_the_file_is_one_line_that_names_it(folder, capsys, text, message):
    assert train(folder, text) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("fastfm-core: run.toml: ") and message in line
    assert not (folder / "runs").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[columns.sise]\ntype = 'numeric'", "clicks.csv: there is no column 'sise': did you mean 'size'"),
        ("[columns.x]\ntype = 'cross'\ncolumns = ['user', 'move']", "there is no column 'move': did you mean 'movie'"),
        ("[columns.label]\ntype = 'categorical'", "column 'label' is the label, and --config declares it as well"),
        ("drop = 'size'\n[columns.size]\ntype = 'numeric'", "'size' is named by --config and again by --drop"),
        ("[columns.user]\ntype = 'categorical'\nshare = 'b'", "share='b' is no such column"),
        ("model = 'deep'", "--model deep: choose one of"),
        ("[settings]\ndims = 4", "there is no setting dims; did you mean dim"),
        ("[settings]\ndim = 'x'", "dim=x: give a whole number"),
    ],
)
def test_a_mistake_that_needs_the_data_is_one_line_too(folder, capsys, text, message):
    assert train(folder, text) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("fastfm-core: ") and message in line
    assert not (folder / "runs").exists()


def test_a_file_that_is_not_there_is_named(capsys):
    assert cli.main(["train", "clicks.csv", "--config", "none.toml"]) == 2
    assert capsys.readouterr().err == "fastfm-core: none.toml: there is no such file\n"


def test_a_file_in_another_encoding_is_named(folder):
    (folder / "run.toml").write_bytes(b"label = '\xff'")
    with pytest.raises(InputError, match=r"run\.toml: not TOML"):
        read_config(os.fspath(folder / "run.toml"))
