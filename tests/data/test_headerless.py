"""Files without header, headers that carry types, separators: what a delimited file is taken for."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastfm_core.data import open_table, read_table
from fastfm_core.data.readers.delimited import CRITEO
from fastfm_core.errors import InputError


def written(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


def test_criteos_shape_gets_criteos_names(tmp_path: Path) -> None:
    line = "\t".join(["0", *map(str, range(13)), *(f"{n:08x}" for n in range(26))])
    reader = open_table(written(tmp_path, "day_0", f"{line}\n{line}\n"))
    assert reader.names == list(CRITEO) and reader.names[13:15] == ["I13", "C1"]
    assert reader.notes == ["day_0 has no header: its columns are named label to C26, as in Criteo's files"]
    table = read_table(tmp_path / "day_0")
    assert table["C26"].tolist() == ["00000019"] * 2 and table["label"].tolist() == ["0", "0"]


def test_other_shapes_are_named_by_position(tmp_path: Path) -> None:
    reader = open_table(written(tmp_path, "t.csv", "1,x,\n0,y,2\n"))
    assert reader.names == ["c0", "c1", "c2"]
    assert reader.notes == ["t.csv has no header: its columns are named c0 to c2, by position"]
    assert {name: column.tolist() for name, column in read_table(tmp_path / "t.csv").items()} == {
        "c0": ["1", "0"],
        "c1": ["x", "y"],
        "c2": ["", "2"],
    }


@pytest.mark.parametrize("first", ["-1.5,x", "x,.5", "1e3,x", " 7 ,x"])
def test_a_number_in_the_first_line_means_no_header(tmp_path: Path, first: str) -> None:
    assert open_table(written(tmp_path, "t.csv", f"{first}\n1,b\n")).names == ["c0", "c1"]


@pytest.mark.parametrize("first", ["a,b", "x1,2y", "1_0,b", "a,1;2"])
def test_text_alone_in_the_first_line_is_a_header(tmp_path: Path, first: str) -> None:
    assert open_table(written(tmp_path, "t.csv", f"{first}\n1,2\n")).names == first.split(",")


TRAINING = ["label", "user", "city"]


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("1,u1,Oslo\n", TRAINING),
        ("7,Oslo\n", ["user", "city"]),
        ("u1,Oslo\nu2,Rome\n", ["user", "city"]),
        ("no,u1,Oslo\n", TRAINING),
        ("city,user\nOslo,u1\n", ["city", "user"]),
        ("user,city,extra\nu1,Oslo,x\n", ["user", "city", "extra"]),
        ("user\nu1\n", ["user"]),
    ],
    ids=["number", "no label", "no label, text alone", "text alone", "another order", "more columns", "fewer columns"],
)
def test_the_training_files_names_are_used_where_there_is_no_header(tmp_path: Path, content: str, names) -> None:
    reader = open_table(written(tmp_path, "new.csv", content), TRAINING, "label")
    assert reader.names == names
    rows = len(content.splitlines()) - reader.header  # type: ignore[attr-defined]
    assert sum(len(chunk.parse()[names[-1]]) for chunk in reader.chunks()) == rows
    noted = ["new.csv has no header: its columns are taken as the training file's"]
    assert reader.notes == ([] if reader.header else noted)  # type: ignore[attr-defined]


@pytest.mark.parametrize("content", ["1\n", "1,2,3,4\n"])
def test_a_headerless_file_of_another_width_is_refused(tmp_path: Path, content: str) -> None:
    path = written(tmp_path, "new.csv", content)
    with pytest.raises(InputError, match=r"new\.csv has no header and \d columns where the training file has 3: give"):
        open_table(path, TRAINING, "label")


def test_a_header_may_carry_types(tmp_path: Path) -> None:
    header = "user:token\tage:float\ttags:token_seq\tsizes:float_seq"
    reader = open_table(written(tmp_path, "ml.inter", f"{header}\n1\t7\ta b\t1 2\n"))
    assert reader.names == ["user", "age", "tags", "sizes"]
    assert reader.hints == {"user": "categorical", "age": "numeric", "tags": "multihot", "sizes": "multihot"}


def test_types_must_be_complete_to_count(tmp_path: Path) -> None:
    reader = open_table(written(tmp_path, "t.csv", "user:token,age\n1,2\n"))
    assert reader.names == ["user:token", "age"] and reader.hints == {}


@pytest.mark.parametrize("separator", [",", "\t", ";"])
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".txt", ".data", ""])
def test_the_separator_is_found_whatever_the_suffix(tmp_path: Path, separator: str, suffix: str) -> None:
    rows = [["a", "b", "c"], ["1", "x|y", "2.5"], ["2", "", "é"]]
    content = "".join(separator.join(row) + "\n" for row in rows)
    table = read_table(written(tmp_path, f"t{suffix}", content))
    assert {name: column.tolist() for name, column in table.items()} == {
        "a": ["1", "2"],
        "b": ["x|y", ""],
        "c": ["2.5", "é"],
    }


def test_a_separator_inside_quotes_is_text(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, "t.tsv", 'a\tb\n"x\ty"\t"1,2,3"\n'))
    assert table["a"].tolist() == ["x\ty"] and table["b"].tolist() == ["1,2,3"]
