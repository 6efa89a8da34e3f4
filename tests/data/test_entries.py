"""libsvm and libffm: bags of features with weights, whatever else a line holds."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from fastfm_core.data import open_table, read_table
from fastfm_core.data.columns import Table
from fastfm_core.data.readers import reader as text_reader
from fastfm_core.data.text import Bags
from fastfm_core.errors import InputError

LIBSVM = "# a comment\n1 3:0.5 7:1\n\n-1 3:2 # 9:9\n0\n1\t10:1e-2\t\r\n"
LIBFFM = "1 0:3:0.5 2:7:1 0:4:1\n0 10:1:1\n1 2:7:-3 # 2:8:1\n"


def written(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(content.encode()) if name.endswith(".gz") else content.encode())
    return path


def pairs(bags: Bags) -> list[list[tuple[str, float]]]:
    """(value, weight) of each cell."""
    assert bags.weights is not None
    flat = list(zip(bags.values.tolist(), bags.weights.tolist(), strict=True))
    return [flat[begin:end] for begin, end in zip(bags.offsets[:-1], bags.offsets[1:], strict=True)]


def shown(table: Table) -> dict[str, list]:
    return {name: pairs(column) if isinstance(column, Bags) else column.tolist() for name, column in table.items()}


@pytest.mark.parametrize("name", ["t.libsvm", "t.svm", "t.svmlight", "t.libsvm.gz", "t.LIBSVM"])
def test_libsvm(tmp_path: Path, name: str) -> None:
    assert shown(read_table(written(tmp_path, name, LIBSVM))) == {
        "label": ["1", "-1", "0", "1"],
        "features": [[("3", 0.5), ("7", 1)], [("3", 2)], [], [("10", 0.01)]],
    }


@pytest.mark.parametrize("name", ["t.libffm", "t.ffm", "t.ffm.gz"])
def test_libffm_has_a_column_for_each_field(tmp_path: Path, name: str) -> None:
    assert shown(read_table(written(tmp_path, name, LIBFFM))) == {
        "label": ["1", "0", "1"],
        "field0": [[("3", 0.5), ("4", 1)], [], []],
        "field2": [[("7", 1)], [], [("7", -3)]],
        "field10": [[], [("1", 1)], []],
    }


def test_fields_unknown_to_training_are_left_out(tmp_path: Path) -> None:
    reader = open_table(written(tmp_path, "t.libffm", LIBFFM), ["label", "field2", "field5"])
    assert reader.names == ["label", "field2", "field5"]
    (chunk,) = reader.chunks()
    assert shown(chunk.parse()) == {
        "label": ["1", "0", "1"],
        "field2": [[("7", 1)], [], [("7", -3)]],
        "field5": [[], [], []],
    }


def test_the_label_may_be_absent(tmp_path: Path) -> None:
    table = shown(read_table(written(tmp_path, "t.libsvm", "3:1 4:1\n1 3:2\n 5:1\n")))
    assert table == {"label": ["", "1", ""], "features": [[("3", 1), ("4", 1)], [("3", 2)], [("5", 1)]]}


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ("1 3:0.5 7:1\n", ["label", "features"]),
        ("3:0.5 7:1\n", ["label", "features"]),
        ("1 0:3:0.5 2:7:1\n", ["label", "field0", "field2"]),
        ("a b\n1 2\n", ["a b"]),
    ],
)
def test_an_unknown_suffix_is_looked_into(tmp_path: Path, content: str, kind: list[str]) -> None:
    assert open_table(written(tmp_path, "train.dat", content)).names == kind


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.libsvm", "1 3:1\n0 4\n", "line 2: word 2 is not feature:value"),
        ("t.libsvm", "1 3:1\n\n0 4:1 3:1:1\n", "line 3: word 3 is not feature:value"),
        ("t.libffm", "1 0:3:1 4:1\n", "line 1: word 3 is not field:feature:value"),
        ("t.libsvm", "1 3:1\n0 4:x\n", "line 2: the value 'x' is not a finite number"),
        ("t.libsvm", "# none\n1 3:inf\n", "line 2: the value 'inf' is not a finite number"),
        ("t.libsvm", "1 3:\n", "line 1: the value '' is not a finite number"),
        ("t.libsvm", "# nothing\n", "no data rows"),
        ("t.libffm", "", "no data rows"),
    ],
)
def test_broken_lines_are_named(tmp_path: Path, name: str, content: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_table(written(tmp_path, name, content))
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_lines_are_counted_through_all_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_reader, "BLOCK_BYTES", 16)
    path = written(tmp_path, "t.libsvm", "1 3:1\n" * 20 + "0 4:x\n")
    with pytest.raises(InputError, match="line 21: the value 'x'"):
        read_table(path)


@pytest.mark.parametrize("name", ["t.libsvm", "t.libffm"])
def test_blocks_of_any_size_give_the_same_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    path = written(tmp_path, name, LIBSVM if name == "t.libsvm" else LIBFFM)
    whole = shown(read_table(path))
    for size in (1, 7, 30):
        monkeypatch.setattr(text_reader, "BLOCK_BYTES", size)
        assert shown(read_table(path)) == whole
