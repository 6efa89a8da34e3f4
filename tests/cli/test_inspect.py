"""inspect: contributions against the formulas, planted columns and pairs in their places, every model, mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clicks import write, write_clicks

from fastfm_core import cli, models, trained
from fastfm_core.data import read_table
from fastfm_core.data.readers import reader
from fastfm_core.inspection import PERMUTATION_STREAM, Inspection, inspect_file
from fastfm_core.random import generator

ROWS = 600
QUICK = ["--set", "epochs=1", "--set", "hidden=4", "--set", "dim=3", "--set", "projection=2", "--set", "min_count=1"]
WITH_PAIRS = {"mf", "fm", "fwfm", "deepfm", "deepfm_v1", "fusion"}
WITHOUT_FIRST_ORDER = {"mlp", "gmf", "ncf_mlp", "neumf", "two_tower"}


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A table whose label is decided by columns a and b together, by neither alone; c and d say nothing."""
    random = np.random.default_rng(0)
    a, c, b, d = random.integers(0, 8, (4, 4000))
    rows = [[f"a{i}", f"c{j}", f"b{k}", f"d{m}", int(i % 2 == k % 2)] for i, j, k, m in zip(a, c, b, d, strict=True)]
    return write(tmp_path_factory.mktemp("planted") / "planted.csv", ["a", "c", "b", "d", "label"], rows)


@pytest.fixture(scope="module")
def clicks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with clicks.csv, whose tags are weighted bags, and models trained on it."""
    folder = tmp_path_factory.mktemp("clicks")
    data = write_clicks(folder / "clicks.csv", rows=ROWS)
    columns = ["--multihot", "tags:|:weighted", "--id", "timestamp"]
    for model in ("fm", "fwfm", "deepfm_v1"):
        train(data, folder / model, "--model", model, *columns, "--set", "init_std=0.5", *QUICK)
    return folder


def train(data: str | Path, out: Path, *options: str) -> Path:
    assert cli.main(["train", str(data), "--out", str(out), *options]) == 0
    return out


def inspected(folder: Path, data: str | Path, out: Path, *options: str) -> dict[str, Any]:
    assert cli.main(["inspect", str(folder), str(data), "--json", str(out), *options]) == 0
    return json.loads(out.read_text())


@pytest.mark.parametrize("model", ["fm", "fwfm"])
def test_a_planted_pair_is_first_and_columns_that_say_nothing_are_last(
    planted: str, tmp_path: Path, model: str
) -> None:
    learn = [
        "--model",
        model,
        "--set",
        "monitor=logloss",
        "--set",
        "epochs=8",
        "--set",
        "init_std=0.1",
        "--set",
        "lr=0.03",
    ]
    found = inspected(train(planted, tmp_path / "m", *learn), planted, tmp_path / "i.json")
    assert found["pairs"][0]["name"] == "a*b" and len(found["pairs"]) == 6
    assert {column["name"] for column in found["columns"][2:]} == {"c", "d"}
    assert found["columns"][1]["effect"] > 4 * found["columns"][2]["effect"]
    assert found["pairs"][0]["contribution"] > 4 * found["pairs"][1]["contribution"]
    assert {pair["weight"] == 1 for pair in found["pairs"]} == {model == "fm"}


def test_chosen_pairs_alone_are_listed(planted: str, tmp_path: Path) -> None:
    learn = ["--model", "fwfm", "--set", "pairs=d*a,b*c", *QUICK]
    found = inspected(train(planted, tmp_path / "m", *learn), planted, tmp_path / "i.json")
    assert {pair["name"] for pair in found["pairs"]} == {"a*d", "c*b"}


@pytest.mark.parametrize("name", ["fm", "fwfm", "deepfm_v1"])
def test_contributions_are_those_of_the_formulas(clicks: Path, name: str) -> None:
    """Terms of each row written out; the effect by predicting a table whose column was permuted."""
    model = trained.load(clicks / name)
    found = inspect_file(model, clicks / "clicks.csv", rows=ROWS)
    table, names = model.model.embedding.table.data, model.encoder.field_names
    encoded = model.encoder.transform(read_table(clicks / "clicks.csv"))
    slots = np.zeros((ROWS * len(names), table.shape[1]))
    for s, (start, end) in enumerate(zip(encoded.offsets, encoded.offsets[1:], strict=False)):
        slots[s] = encoded.values[start:end] @ table[encoded.ids[start:end]]
    slots = slots.reshape(ROWS, len(names), -1)
    for column in found.columns:
        expected = np.abs(slots[:, names.index(column.name), -1]).mean()
        assert column.first_order == pytest.approx(expected, rel=1e-5)
    assert found.pairs is not None and len(found.pairs) == len(names) * (len(names) - 1) / 2
    for pair in found.pairs:
        left, right = (slots[:, names.index(end), :-1] for end in pair.name.split("*"))
        expected = np.abs(pair.weight * (left * right).sum(axis=1)).mean()
        assert pair.contribution == pytest.approx(expected, rel=1e-5)
    assert [column.effect for column in found.columns] == sorted((c.effect for c in found.columns), reverse=True)


@pytest.mark.parametrize("name", ["fm", "deepfm_v1"])
def test_an_effect_is_the_change_of_the_logit_by_a_column_permuted_in_the_table(clicks: Path, name: str) -> None:
    model, table = trained.load(clicks / name), read_table(clicks / "clicks.csv")
    order = generator(model.seed, 0, 0, PERMUTATION_STREAM).permutation(ROWS)
    assert (order != np.arange(ROWS)).mean() > 0.9

    def logits(table: Any) -> np.ndarray:
        return model.model.predict(model.encoder.transform(table).take(np.arange(ROWS)))

    for column in inspect_file(model, clicks / "clicks.csv", rows=ROWS).columns:
        changed = logits({**table, column.name: table[column.name][order]})
        assert column.effect == pytest.approx(np.abs(changed - logits(table)).mean(), rel=1e-4)


@pytest.mark.parametrize("model", models.MODELS)
def test_every_model_is_ranked_and_says_what_it_lacks(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(0)
    rows = zip(*random.integers(0, 9, (2, 300)).tolist(), random.integers(0, 2, 300).tolist(), strict=True)
    data = write(tmp_path / "ratings.csv", ["user", "item", "label"], rows)
    train(data, tmp_path / "m", "--model", model, "--categorical", "*", *QUICK)
    capsys.readouterr()
    found = inspected(tmp_path / "m", data, tmp_path / "i.json")
    shown = capsys.readouterr()
    assert "first 300 rows of ratings.csv" in shown.err and "change of the logit" in shown.err
    assert {column["name"] for column in found["columns"]} == {"user", "item"}
    assert all(column["effect"] > 0 for column in found["columns"])
    assert (found["pairs"] is not None) == (model in WITH_PAIRS) == ("contribution" in shown.out)
    assert ("no terms of single pairs" in shown.out) == (model not in WITH_PAIRS)
    lacks, header = model in WITHOUT_FIRST_ORDER, shown.out.splitlines()[0]
    assert (f"{model} has no first order" in shown.out) == lacks == header.endswith("effect")
    assert all((column["first_order"] is None) == lacks for column in found["columns"])
    assert (found["branches"] is not None) == (model == "fusion") == ("branches: wide " in shown.out)


def test_raw_numbers_count_and_so_do_the_parts_a_column_takes(tmp_path: Path) -> None:
    data = write_clicks(tmp_path / "clicks.csv", rows=ROWS)
    (tmp_path / "c.toml").write_text(
        '[columns.size]\ntype = "numeric"\nuse = "first,raw"\n[columns.movie]\ntype = "categorical"\nuse = "deep"\n'
        '[columns.user]\ntype = "categorical"\nuse = "pairs"\n'
        '[columns.tags]\ntype = "multihot"\nseparator = "|"\nweighted = true\n'
    )
    train(data, tmp_path / "m", "--config", str(tmp_path / "c.toml"), *QUICK)
    found = {column["name"]: column for column in inspected(tmp_path / "m", data, tmp_path / "i.json")["columns"]}
    assert {name for name, column in found.items() if column["first_order"] is None} == {"movie", "user"}
    assert found["size"]["effect"] > 0 and found["movie"]["effect"] > 0


def test_rows_and_top_cut_and_pieces_change_nothing(
    clicks: Path, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    model, data = trained.load(clicks / "fm"), clicks / "clicks.csv"
    whole = inspect_file(model, data, rows=250)
    monkeypatch.setattr(reader, "BLOCK_BYTES", 1000)
    assert inspect_file(model, data, rows=250) == whole and whole.rows == 250
    header, *rows = (data).read_text().splitlines(keepends=True)
    (tmp_path / "head.csv").write_text(header + "".join(rows[:250]))
    assert inspect_file(model, tmp_path / "head.csv", rows=20_000) == whole
    assert inspect_file(model, data, rows=300) != whole
    capsys.readouterr()
    found = inspected(clicks / "fm", data, tmp_path / "i.json", "--top", "1")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 7 and lines[2] == "... 4 of 5 columns left out: raise --top"
    assert len(found["columns"]) == 5 and len(found["pairs"]) == 10


def test_labels_are_not_needed_and_a_regression_is_ranked_by_its_predictions(tmp_path: Path, capsys: Any) -> None:
    data = write_clicks(tmp_path / "clicks.csv", rows=ROWS)
    train(data, tmp_path / "m", "--model", "fm", "--task", "regression", "--label", "weight", *QUICK)
    lines = Path(data).read_text().splitlines()
    names = lines[0].split(",")
    kept = [k for k, name in enumerate(names) if name != "weight"]
    without = write(
        tmp_path / "new.csv", [names[k] for k in kept], [[row.split(",")[k] for k in kept] for row in lines[1:]]
    )
    found: list[Inspection] = [inspect_file(trained.load(tmp_path / "m"), path, rows=ROWS) for path in (data, without)]
    assert found[0] == found[1]
    capsys.readouterr()
    assert cli.main(["inspect", str(tmp_path / "m"), without]) == 0
    assert "change of the prediction" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.csv"], "missing.csv: there is no such file"),
        ([], "the following arguments are required: DATA"),
        (["DATA", "--top", "0"], "0 is no whole number of at least 1"),
        (["DATA", "--rows", "many"], "many is no whole number of at least 1"),
        (["DATA", "--rows", "1"], "one row cannot be permuted; give at least 2"),
        (["DATA", "--json", "nowhere/i.json"], "nowhere"),
        (["OTHER"], "other.csv"),
    ],
)
def test_a_mistake_is_one_line(clicks: Path, tmp_path: Path, monkeypatch: Any, capsys: Any, arguments, message) -> None:
    monkeypatch.chdir(tmp_path)
    files = {"DATA": str(clicks / "clicks.csv"), "OTHER": write(tmp_path / "other.csv", ["x"], [["1"], ["2"]])}
    capsys.readouterr()
    assert cli.main(["inspect", str(clicks / "fm"), *(files.get(argument, argument) for argument in arguments)]) == 2
    printed = capsys.readouterr()
    assert message in printed.err.splitlines()[-1] and printed.out == ""
    assert [file.name for file in tmp_path.iterdir()] == ["other.csv"]


def test_rows_without_fields_have_no_columns(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "rows.libsvm").write_text("".join(f"{i % 2} 1:{i % 7} {2 + i % 9}:0.5\n" for i in range(200)))
    folder = train(tmp_path / "rows.libsvm", tmp_path / "m", "--model", "fm", *QUICK)
    assert cli.main(["inspect", str(folder), str(tmp_path / "rows.libsvm")]) == 2
    assert "rows without fields (pooling none) have no columns to rank" in capsys.readouterr().err
