"""evaluate and predict: files without label or header, ids digit for digit, pieces, formats."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.csv
import pyarrow.parquet
import pytest
from clicks import write, write_clicks, write_movies

from fastfm_core import cli, trained
from fastfm_core.data import Encoder, read_table
from fastfm_core.data.readers import parquet, reader
from fastfm_core.score import predict_file

TRAIN = ["--multihot", "tags:|:weighted", "--id", "user", "--set", "epochs=2", "--set", "hidden=8", "--seed", "2"]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A folder with clicks, movies, a test file and a DeepFM trained on them, joined by movie."""
    folder = tmp_path_factory.mktemp("scoring")
    files = [write_clicks(folder / f"{name}.csv", seed=seed) for seed, name in enumerate(("clicks", "test"))]
    command = ["train", files[0], "--test", files[1], "--join", f"{write_movies(folder / 'movies.csv')}:movie", *TRAIN]
    assert cli.main([*command, "--out", str(folder / "model")]) == 0
    return folder


def rows_of(path) -> list[list[str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def predicted(run: Path, data, out: Path, *arguments: str) -> list[list[str]]:
    assert cli.main(["predict", str(run / "model"), str(data), "--out", str(out), *arguments]) == 0
    return rows_of(out)


@pytest.fixture(scope="module")
def expected(run, tmp_path_factory) -> list[list[str]]:
    """The predictions of the test file, header included."""
    return predicted(run, run / "test.csv", tmp_path_factory.mktemp("expected") / "p.csv")


def test_evaluating_the_test_file_gives_the_trainings_own_metrics(run, tmp_path):
    command = ["evaluate", str(run / "model"), str(run / "test.csv"), "--metrics-json", str(tmp_path / "m.json")]
    assert cli.main(command) == 0
    own = json.loads((run / "model" / "metrics.json").read_text())["test"]
    assert json.loads((tmp_path / "m.json").read_text())["test"] == own


def test_evaluating_in_pieces_changes_no_share_and_no_metric(run, tmp_path, monkeypatch):
    header, *rows = rows_of(run / "test.csv")
    for row in rows[:100]:
        row[1] = "never met"
    rows[0][3] = "new|t1|t2"
    path = write(tmp_path / "new.csv", header, rows)
    found = []
    for size in (4 << 20, 1_000):
        monkeypatch.setattr(reader, "BLOCK_BYTES", size)
        command = ["evaluate", str(run / "model"), path, "--metrics-json", str(tmp_path / "m.json")]
        assert cli.main(command) == 0
        found.append(json.loads((tmp_path / "m.json").read_text())["test"])
    whole, pieces = found
    tags = sum(len(row[3].split("|")) for row in rows)
    assert whole["unseen_id_share"]["movie"] == 100 / 600 and whole["unseen_id_share"]["tags"] == 1 / tags
    exact = ("rows", "positives", "unseen_id_share")
    assert {key: pieces[key] for key in exact} == {key: whole[key] for key in exact}
    assert pieces["logloss"] == pytest.approx(whole["logloss"], rel=1e-6)
    assert pieces["auc"] == pytest.approx(whole["auc"])


@pytest.mark.parametrize("size", [300, 5_000])
def test_pieces_of_any_size_give_the_same_predictions(run, expected, tmp_path, monkeypatch, size):
    monkeypatch.setattr(reader, "BLOCK_BYTES", size)
    found = predicted(run, run / "test.csv", tmp_path / "p.csv")
    assert [row[0] for row in found] == [row[0] for row in expected] and found[0] == ["user", "probability"]
    np.testing.assert_allclose(*([float(row[1]) for row in rows[1:]] for rows in (found, expected)), rtol=1e-5)


@pytest.mark.parametrize(
    ("header", "label"), [(True, False), (False, True), (False, False)], ids=["no label", "no header", "neither"]
)
def test_a_file_may_lack_header_and_label(run, expected, tmp_path, header, label):
    first, *rest = (row if label else row[:-1] for row in rows_of(run / "test.csv")[0 if header else 1 :])
    path = write(tmp_path / "new.csv", first, rest)
    assert predicted(run, path, tmp_path / "p.csv") == expected


def test_columns_may_come_in_another_order_and_with_others(run, expected, tmp_path):
    header, *rows = [["extra", *row[::-1]] for row in rows_of(run / "test.csv")]
    assert predicted(run, write(tmp_path / "new.csv", header, rows), tmp_path / "p.csv") == expected


def test_ids_beyond_63_bits_survive_in_every_format(run, expected, tmp_path):
    ids = [row[0] for row in expected[1:]]
    assert min(map(int, ids)) > 2**63
    kaggle = predicted(run, run / "test.csv", tmp_path / "k.csv", "--format", "kaggle")
    assert kaggle == [["Id", "Predicted"], *expected[1:]]
    predict_file(trained.load(run / "model"), run / "test.csv", out=tmp_path / "p.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "p.parquet")
    assert table.column_names == ["user", "probability"] and table["user"].to_pylist() == ids
    assert [repr(value) for value in table["probability"].to_pylist()] == [row[1] for row in expected[1:]]


@pytest.mark.parametrize("gaps", [False, True])
def test_typed_ids_survive_from_parquet(run, expected, tmp_path, monkeypatch, gaps):
    monkeypatch.setattr(parquet, "BATCH_ROWS", 100)
    types = pyarrow.csv.ConvertOptions(column_types={"user": pyarrow.uint64()})
    table = pyarrow.csv.read_csv(run / "test.csv", convert_options=types)
    ids = table["user"].to_pylist()
    if gaps:
        ids[-1] = None
        table = table.set_column(0, "user", pyarrow.array(ids, pyarrow.uint64()))
    pyarrow.parquet.write_table(table, tmp_path / "test.parquet")
    as_text = ["" if number is None else str(number) for number in ids]
    found = predicted(run, tmp_path / "test.parquet", tmp_path / "p.csv")
    assert found[1:] == [[text, row[1]] for text, row in zip(as_text, expected[1:], strict=True)]
    command = ["predict", str(run / "model"), str(tmp_path / "test.parquet"), "--out", str(tmp_path / "p.parquet")]
    assert cli.main(command) == 0
    written = pyarrow.parquet.read_table(tmp_path / "p.parquet")["user"]
    assert written.to_pylist() == (as_text if gaps else ids)
    assert written.type == (pyarrow.string() if gaps else pyarrow.uint64())


def test_an_id_of_a_joined_table_or_another_column_may_be_named(run, tmp_path):
    found = predicted(run, run / "test.csv", tmp_path / "p.csv", "--id", "movie")
    assert [row[0] for row in found] == [row[1] for row in rows_of(run / "test.csv")]
    assert predicted(run, run / "test.csv", tmp_path / "p.csv", "--id", "genre")[0] == ["genre", "probability"]


def test_another_file_may_be_joined(run, expected, tmp_path):
    movies = write(tmp_path / "films.csv", ["movie", "genre", "year"], [["m0", "g0", 1990]])
    found = predicted(run, run / "test.csv", tmp_path / "p.csv", "--join", f"{movies}:movie")
    assert [row[0] for row in found] == [row[0] for row in expected] and found != expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "kaggle", "--id", "usr"], "test.csv: there is no column 'usr': did you mean 'user'"),
        (["--format", "parquet"], "--format parquet needs a file to write"),
        (["--format", "excel"], "--format"),
        (["--join", "movies.csv"], "--join movies.csv: write FILE:KEY"),
    ],
)
def test_a_mistake_is_one_line(run, capsys, arguments, message):
    assert cli.main(["predict", str(run / "model"), str(run / "test.csv"), *arguments]) == 2
    printed = capsys.readouterr()
    assert message in printed.err.splitlines()[-1] and printed.out == ""


def test_a_list_is_no_id(run, tmp_path, capsys):
    table = pyarrow.csv.read_csv(run / "test.csv")
    table = table.set_column(0, "user", pyarrow.array([["a", "b"]] * len(table)))
    pyarrow.parquet.write_table(table, tmp_path / "lists.parquet")
    command = ["predict", str(run / "model"), str(tmp_path / "lists.parquet"), "--out", str(tmp_path / "p.csv")]
    assert cli.main(command) == 2
    assert "lists.parquet: column 'user' has several values a cell" in capsys.readouterr().err
    assert not (tmp_path / "p.csv").exists()


def test_a_mistake_far_into_the_file_leaves_no_predictions(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(reader, "BLOCK_BYTES", 2_000)
    header, *rows = rows_of(run / "test.csv")
    rows[500][2] = "wide"
    path = write(tmp_path / "new.csv", header, rows)
    for name in ("p.csv", "p.parquet"):
        assert cli.main(["predict", str(run / "model"), path, "--out", str(tmp_path / name)]) == 2
        line = capsys.readouterr().err.splitlines()[-1]
        assert line.startswith(f"fastfm-core: {path}: column 'size', data row 501: 'wide' is not a finite number")
    assert [file.name for file in tmp_path.iterdir()] == ["new.csv"]


def test_a_large_file_is_never_held_whole(run, tmp_path, monkeypatch):
    """200,000 rows: the largest table that the encoder sees is a block's, however long the file is."""
    lines = Path(run / "test.csv").read_text().splitlines(keepends=True)
    path = tmp_path / "large.csv"
    path.write_text(lines[0] + "".join((lines[1:] * 400)[:200_000]))
    monkeypatch.setattr(reader, "BLOCK_BYTES", 1 << 18)
    seen: list[int] = []
    transform = Encoder.transform

    def counting(self, columns, *arguments):
        seen.append(len(columns["movie"]))
        return transform(self, columns, *arguments)

    monkeypatch.setattr(Encoder, "transform", counting)
    predict_file(trained.load(run / "model"), path, out=tmp_path / "p.csv")
    assert sum(seen) == 200_000 and max(seen) < 10_000
    assert (tmp_path / "p.csv").read_text().count("\n") == 200_001


def test_the_label_may_come_from_a_joined_table(run, tmp_path, capsys):
    header, *rows = rows_of(run / "clicks.csv")
    data = write(tmp_path / "rows.csv", ["row", *header[:-1]], [[f"r{k}", *row[:-1]] for k, row in enumerate(rows)])
    labels = write(tmp_path / "labels.csv", ["row", "bought"], [[f"r{k}", row[-1]] for k, row in enumerate(rows)])
    command = ["train", data, "--join", f"{labels}:row", "--label", "bought", *TRAIN, "--out", str(tmp_path / "m")]
    assert cli.main(command) == 0
    model = trained.load(tmp_path / "m")
    assert model.label == "bought" and "bought" not in model.encoder.field_names and "row" not in model.columns[1:]
    assert cli.main(["evaluate", str(tmp_path / "m"), data]) == 0
    assert "(600 rows)" in capsys.readouterr().out
    assert cli.main(["predict", str(tmp_path / "m"), data, "--out", str(tmp_path / "p.csv")]) == 0
    assert len(rows_of(tmp_path / "p.csv")) == 601
    assert len(model.predict(read_table(data))) == 600
