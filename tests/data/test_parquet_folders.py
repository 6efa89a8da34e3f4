"""Parquet: folders of files, lists, integers with gaps, types that differ between the files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from fastfm_core.data import open_table, read_table
from fastfm_core.data.readers import parquet
from fastfm_core.data.text import Bags, Texts
from fastfm_core.errors import InputError

BIG = [2**64 - 1, 2**64 - 2, 2**63]


def folder_of(path: Path, *tables: dict[str, Any]) -> Path:
    """A folder with a file for each table, each in row groups of two rows."""
    path.mkdir()
    for number, columns in enumerate(tables):
        pyarrow.parquet.write_table(pyarrow.table(columns), path / f"part-{number}.parquet", row_group_size=2)
    return path


def test_a_folder_is_one_table_in_the_order_of_its_file_names(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "t", {"a": [1, 2, 3]}, {"a": [4]}, {"a": [5, 6]})
    (folder / "_SUCCESS").write_text("")
    (folder / "_metadata.parquet").write_text("not a table")
    (folder / ".part.parquet").write_text("not a table")
    (folder / "sub").mkdir()
    (folder / "part-1.parquet").rename(folder / "sub" / "part-1.parquet")
    reader = open_table(folder)
    assert (reader.names, reader.size) == (["a"], 6)
    assert read_table(folder)["a"].tolist() == [1, 2, 3, 5, 6, 4]
    assert [chunk.done for chunk in reader.chunks()] == [3, 5, 6]


def test_batches_of_any_size_give_the_same_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of(tmp_path / "t", {"a": list(range(50)), "b": [None, "x"] * 25}, {"a": [7], "b": ["y"]})
    monkeypatch.setattr(parquet, "BATCH_ROWS", 3)
    table = read_table(folder)
    assert table["a"].tolist() == [*range(50), 7] and table["b"].tolist() == ["", "x"] * 25 + ["y"]


def test_unsigned_64_bit_integers_keep_every_digit(tmp_path: Path) -> None:
    whole = {"id": pyarrow.array(BIG, pyarrow.uint64())}
    gaps = {"id": pyarrow.array([*BIG, None], pyarrow.uint64())}
    table = read_table(folder_of(tmp_path / "whole", whole))
    assert table["id"].dtype == np.uint64 and table["id"].tolist() == BIG
    assert read_table(folder_of(tmp_path / "gaps", gaps))["id"].tolist() == [*map(str, BIG), ""]
    both = read_table(folder_of(tmp_path / "both", whole, gaps))["id"]
    assert isinstance(both, Texts) and both.tolist() == [*map(str, BIG), *map(str, BIG), ""]


def test_lists_are_bags(tmp_path: Path) -> None:
    columns = {
        "words": pyarrow.array([["a", "b"], [], None, ["a"]]),
        "codes": pyarrow.array([[1, 2], [2**63 - 1], None, []], pyarrow.list_(pyarrow.int64())),
        "large": pyarrow.array([["x"], None, ["y", "z"], []], pyarrow.large_list(pyarrow.string())),
    }
    table = read_table(folder_of(tmp_path / "t", columns, columns))
    expected = {
        "words": (["a", "b", "a"], [2, 0, 0, 1]),
        "codes": (["1", "2", "9223372036854775807"], [2, 1, 0, 0]),
        "large": (["x", "y", "z"], [1, 0, 2, 0]),
    }
    for name, (values, lengths) in expected.items():
        column = table[name]
        assert isinstance(column, Bags) and column.weights is None
        assert column.values.tolist() == values * 2 and np.diff(column.offsets).tolist() == lengths * 2


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (pyarrow.array([1, 2], pyarrow.int32()), pyarrow.array([2**63 - 1]), ["1", "2", "9223372036854775807"]),
        (pyarrow.array([5]), pyarrow.array(["x", None]), ["5", "x", ""]),
        (pyarrow.array(["x"]), pyarrow.array([5.0, 0.5, 123456789012.0, None]), ["x", "5", "0.5", "123456789012", ""]),
        (pyarrow.array([0.5]), pyarrow.nulls(2), ["0.5", "", ""]),
        (pyarrow.array([True]), pyarrow.array([7]), ["1", "7"]),
        (pyarrow.array(["x", None]).dictionary_encode(), pyarrow.array(["y"]), ["x", "", "y"]),
    ],
    ids=["widths", "integer and text", "text and float", "float and nothing", "boolean and integer", "dictionary"],
)
def test_a_column_whose_type_differs_is_text(tmp_path: Path, first, second, expected: list[str]) -> None:
    column = read_table(folder_of(tmp_path / "t", {"a": first}, {"a": second}))["a"]
    assert isinstance(column, Texts) and column.tolist() == expected


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"a": [1], "b": [2]}, r"part-1\.parquet: its columns differ from those of part-0\.parquet"),
        ({"b": [1]}, "its columns differ"),
        ({"a": [[1]]}, "column 'a' holds lists, in .* single values"),
    ],
)
def test_files_that_do_not_fit_together_are_named(tmp_path: Path, second, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_table(folder_of(tmp_path / "t", {"a": [1]}, second))


def test_a_broken_file_of_a_folder_is_named(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "t", {"a": [1]})
    (folder / "part-9.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(InputError, match=r"part-9\.parquet is not a readable Parquet file"):
        open_table(folder)


def test_a_file_cut_after_it_was_opened_is_named(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "t", {"a": list(range(1000))})
    reader = open_table(folder)
    (folder / "part-0.parquet").write_bytes((folder / "part-0.parquet").read_bytes()[:500])
    with pytest.raises(InputError, match=r"part-0\.parquet is not a readable Parquet file"):
        list(reader.chunks())
