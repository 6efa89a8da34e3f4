"""Bad input around the table itself: folders of Parquet, joined tables, configuration files, checkpoints, places."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fastfm_core import cli

from .conftest import COLUMNS, CSV, QUICK, TRAIN, Room, delimited, save_parquet

GOOD = ["train", "good.csv", *TRAIN["csv"].split(), *QUICK, "--out", "out"]


@pytest.mark.parametrize(
    ("second", "words"),
    [
        ({**COLUMNS, "size": [[1]] * 200}, ("b.parquet", "'size'", "a.parquet", "equal")),
        ({name: COLUMNS[name] for name in ("user", "clicked")}, ("b.parquet", "columns differ", "a.parquet", "equal")),
        (b"PAR1", ("b.parquet", "not a readable Parquet file")),
        (None, ("data", "without .parquet files")),
    ],
    ids=["another type", "other columns", "broken", "empty folder"],
)
@pytest.mark.parametrize("place", ["train", "evaluate", "predict"])
def test_parquet_folders(room: Room, second: dict | bytes | None, words: tuple[str, ...], place: str) -> None:
    (room.folder / "data").mkdir()
    if second is not None:
        save_parquet(room.folder / "data" / "a.parquet", COLUMNS)
    if isinstance(second, dict):
        save_parquet(room.folder / "data" / "b.parquet", second)
    if isinstance(second, bytes):
        (room.folder / "data" / "b.parquet").write_bytes(second)
    options = [*TRAIN["parquet"].split(), *QUICK] if place == "train" else []
    said = room.mistake(place, *([] if place == "train" else [str(room.models / "parquet")]), "data", *options)
    assert all(word in said for word in words), said


def test_files_of_a_parquet_folder_may_differ_in_how_they_hold_numbers(room: Room) -> None:
    """What pandas writes: integers become floats in a file with gaps, a column of gaps alone has no type."""
    for name, size in (("a", list(range(200))), ("b", [1.5, None] * 100), ("c", [None] * 200)):
        save_parquet(room.folder / "data" / f"{name}.parquet", {**COLUMNS, "size": size})
    assert cli.main(["train", "data", *TRAIN["parquet"].split(), *QUICK]) == 0


JOIN = [["user", "age"], *([f"u{i}", str(20 + i)] for i in range(40))]


@pytest.mark.parametrize(
    ("content", "option", "words"),
    [
        (JOIN, "users.csv", ("--join users.csv", "FILE:KEY")),
        (JOIN, ":user", ("--join :user", "FILE:KEY")),
        (JOIN, "none.csv:user", ("none.csv", "no such file")),
        (JOIN, "users.csv:usr", ("users.csv", "'usr'", "did you mean 'user'")),
        ([["name", "age"], *JOIN[1:]], "users.csv:name", ("users.csv", "good.csv has no column 'name'")),
        ([*JOIN, ["u3", "1"]], "users.csv:user", ("users.csv", "'u3'", "data row 41", "keep one")),
        ([["user", "size"], *JOIN[1:]], "users.csv:user", ("users.csv", "'size'", "rename one")),
        ([*JOIN, ["u99"]], "users.csv:user", ("users.csv, line 42", "1 cells")),
        ([JOIN[0]], "users.csv:user", ("users.csv", "no data", "add")),
        ([], "users.csv:user", ("users.csv", "empty")),
        (["user,age\nu1,\xff\n".encode("latin-1")], "users.csv:user", ("users.csv, line 2", "not UTF-8")),
    ],
)
@pytest.mark.parametrize("place", ["train", "evaluate", "predict"])
def test_joined_tables(room: Room, content: list, option: str, words: tuple[str, ...], place: str) -> None:
    raw = content and isinstance(content[0], bytes)
    (room.folder / "users.csv").write_bytes(content[0] if raw else delimited(content))
    command = GOOD if place == "train" else [place, str(room.models / "csv"), "good.csv"]
    said = room.mistake(*command, "--join", option)
    assert all(word in said for word in words), said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"label = \n", ("not TOML", "line 1")),
        (b"label = '\xff'\n", ("not TOML",)),
        (b"a = " + b"[" * 5000, ("not TOML",)),
        (b"colour = 1", ("'colour'", "there are")),
        (b"label = 1", ("label is 1", "a text")),
        (b"label = true", ("label is True", "a text")),
        (b"seed = 'one'", ("seed is 'one'", "a whole number")),
        (b"threads = 1.5", ("threads is 1.5", "a whole number")),
        (b"task = 'ranking'", ("'ranking'", "binary, regression")),
        (b"split = 'randomly'", ("randomly", "time:COL")),
        (b"columns = 1", ("columns is 1", "table")),
        (b"settings = []", ("settings is []", "table")),
        (b"[settings]\ndims = 3", ("dims", "did you mean dim")),
        (b"[settings]\ndim = [1, 2]", ("dim=1,2", "a whole number")),
        (b"[columns.city]", ("'city'", "type ''", "known are")),
        (b"[columns.city]\ntype = 'text'", ("'city'", "'text'", "known are")),
        (b"[columns.town]\ntype = 'categorical'", ("'town'", "columns are")),
        (b"[columns.city]\ntype = 'categorical'\nsize = 3", ("'city'", "size")),
        (b"[columns.city]\ntype = 'categorical'\nbuckets = 1.5", ("'city'", "buckets is 1.5", "whole number")),
        (b"[columns.city]\ntype = 'categorical'\nbuckets = 99999999999", ("'city'", "buckets", "below")),
        (b"[columns.city]\ntype = 'categorical'\nshare = 'town'", ("'city'", "'town'", "name a")),
        (b"[columns.city]\ntype = 'categorical'\nuse = [1]", ("'city'", "use is", "text")),
        (b"[columns.city]\ntype = 'categorical'\nuse = 'second'", ("'city'", "'second'", "choose")),
        (b"[columns.tags]\ntype = 'multihot'\nseparator = 5", ("'tags'", "separator is 5", "text")),
        (b"[columns.tags]\ntype = 'multihot'\nweighted = 'no'", ("'tags'", "weighted is 'no'", "true or false")),
        (b"[columns.size]\ntype = 'numeric'\ntransform = 'sinus'", ("'size'", "'sinus'", "choose")),
        (b"[columns.x]\ntype = 'cross'\ncolumns = 'city'", ("'x'", "columns is 'city'", "a list")),
        (b"[columns.x]\ntype = 'cross'\ncolumns = ['city', 'town']", ("'town'", "columns are")),
    ],
)
def test_configuration_files(room: Room, text: bytes, words: tuple[str, ...]) -> None:
    (room.folder / "c.toml").write_bytes(text)
    said = room.mistake("train", "good.csv", "--label", "clicked", *QUICK, "--config", "c.toml")
    assert all(word in said for word in words), said
    if "columns are" not in words and "dims" not in words and "dim=1,2" not in words:
        assert "c.toml" in said or "split" in said or "share" in said, said


@pytest.mark.parametrize("place", ["evaluate", "predict"])
def test_checkpoints(room: Room, place: str) -> None:
    def damaged(name: str, change: bytes | None) -> str:
        whole = {file.name: file.read_bytes() for file in (room.models / "csv").iterdir()}
        copy = room.folder / "copy"
        copy.mkdir(exist_ok=True)
        for file, content in whole.items():
            (copy / file).write_bytes(content)
        (copy / name).unlink() if change is None else (copy / name).write_bytes(change)
        return room.mistake(place, "copy", "good.csv")

    weights, description = ((room.models / "csv" / name).read_bytes() for name in ("model.safetensors", "model.json"))
    assert "copy/model.safetensors: cut, damaged" in damaged("model.safetensors", weights[:-1])
    assert "copy/model.safetensors: cut, damaged" in damaged("model.safetensors", b"\0" + weights[1:])
    assert "copy/model.safetensors: missing" in damaged("model.safetensors", None)
    assert "copy/model.json: cut" in damaged("model.json", description[:-9])
    assert "copy/model.json: cut" in damaged("model.json", b"[" * 100_000)
    assert "copy/model.json: damaged or edited" in damaged("model.json", description.replace(b"c3", b"c9"))
    assert "copy: holds no model" in damaged("model.json", None)


def test_places(room: Room) -> None:
    (room.folder / "taken").write_text("")
    os.mkfifo(room.folder / "pipe.csv")
    predict = ["predict", str(room.models / "csv"), "good.csv"]
    for out in ("taken", "taken/deeper"):
        assert "taken: is a file; name another folder" in room.mistake(*GOOD[:-1], out)
    assert "already holds a model" in room.mistake(*GOOD[:-1], str(room.models / "csv"))
    assert "good.csv: would replace the table" in room.mistake(*predict, "--out", "./good.csv")
    assert "is a folder" in room.mistake(*predict, "--out", ".")
    assert "there is no folder" in room.mistake(*predict, "--out", "nowhere/p.csv")
    assert "there is no folder" in room.mistake(*GOOD, "--metrics-json", "nowhere/m.json")
    assert "pipe.csv: a pipe or device" in room.mistake("train", "pipe.csv")
    assert "pipe.csv: a pipe or device" in room.mistake("predict", str(room.models / "csv"), "pipe.csv")
    assert "'features' has several values" in room.mistake(
        "predict", str(room.models / "libsvm"), "good.libsvm", "--id", "features"
    )


@pytest.mark.parametrize("form", ["csv", "tsv"])
def test_marks_line_ends_and_gzip_are_no_mistake(room: Room, form: str) -> None:
    """A byte order mark, CRLF, CR and blank lines change no prediction."""
    import gzip

    plain = delimited(list(CSV), "\t" if form == "tsv" else ",")
    variants = {
        f"plain.{form}": plain,
        f"mark.{form}": b"\xef\xbb\xbf" + plain,
        f"crlf.{form}": plain.replace(b"\n", b"\r\n"),
        f"both.{form}": b"\xef\xbb\xbf" + plain.replace(b"\n", b"\r\n"),
        f"cr.{form}": plain.replace(b"\n", b"\r"),
        f"open.{form}": plain[:-1],
        f"blank.{form}": b"\n" + plain.replace(b"\n", b"\r\n\n") + b"\n\n",
        f"both.{form}.gz": gzip.compress(b"\xef\xbb\xbf" + plain.replace(b"\n", b"\r\n")),
    }
    predictions = set()
    for name, content in variants.items():
        (room.folder / name).write_bytes(content)
        assert cli.main(["predict", str(room.models / "csv"), name, "--id", "user", "--out", "p.csv"]) == 0
        predictions.add(Path("p.csv").read_bytes())
    assert len(predictions) == 1


def test_nothing_is_printed_when_a_later_piece_is_wrong(room: Room) -> None:
    (room.folder / "bad.csv").write_bytes(delimited([*CSV, ["u1"]]))
    assert "bad.csv, line 202: 1 cells" in room.mistake("predict", str(room.models / "csv"), "bad.csv")


def test_a_time_that_is_no_time(room: Room) -> None:
    """One odd cell must not turn an order of numbers into an order of texts: that would train on the future."""
    rows = [["when", "city", "clicked"], *([str(9 + i), f"c{i % 5}", str(i % 2)] for i in range(200))]
    for wrong in ("soon", "", "nan", "2026-11-24"):
        rows[150][0] = wrong
        (room.folder / "bad.csv").write_bytes(delimited(rows))
        said = room.mistake("train", "bad.csv", "--label", "clicked", "--split", "time:when", *QUICK)
        assert "bad.csv: --split time: data row 150" in said and repr(wrong) in said
