"""Readers: the same table from every format, and one line of advice for every broken file."""

from __future__ import annotations

import csv
import gzip
import sys
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastfm_core.data import read_table
from fastfm_core.data.readers import reader
from fastfm_core.errors import InputError


def written(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def compressed(content: bytes) -> bytes:
    """Gzip without a time stamp: parametrized tests have the same names in every process."""
    return gzip.compress(content, mtime=0)


def lists(path: Path) -> dict[str, list]:
    return {name: column.tolist() for name, column in read_table(path).items()}


EXPECTED = {"a": ["1", "", "3"], "b": ["x", "é, y", 'say "hi"']}
COMMA = 'a,b\n1,x\n,"é, y"\n3,"say ""hi"""\n'


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", COMMA.encode()),
        ("t.csv", COMMA.replace("\n", "\r\n").encode()),
        ("t.csv", COMMA.encode("utf-8-sig")),
        ("t.csv", COMMA.rstrip("\n").encode()),
        ("t.csv", COMMA.encode() + b"\n\n"),
        ("t.tsv", 'a\tb\n1\tx\n\té, y\n3\t"say ""hi"""\n'.encode()),
        ("t.csv.gz", compressed(COMMA.encode("utf-8-sig"))),
        ("t.csv", b"\n\r\n" + COMMA.encode()),
        ("t.data", COMMA.encode()),
        ("t.v1.CSV", COMMA.encode()),
    ],
    ids=[
        "comma",
        "crlf",
        "bom",
        "no last newline",
        "blank lines",
        "tab",
        "gzip",
        "blank first",
        "unknown suffix",
        "two suffixes",
    ],
)
def test_csv_in_all_its_dress(tmp_path: Path, name: str, content: bytes) -> None:
    assert lists(written(tmp_path, name, content)) == EXPECTED


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(
    st.lists(
        st.tuples(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1), st.text('a,"\n\r\t'))
    )
)
def test_csv_round_trip(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    path = tmp_path / "t.csv"
    rows = [("first", "second"), *rows]
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("one", "two"), *rows])
    assert lists(path) == {"one": [row[0] for row in rows], "two": [row[1] for row in rows]}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"", r"t\.csv is empty"),
        ("t.csv", b"\n\n", r"t\.csv is empty"),
        ("t.csv", b"a,b\n", "there are no data rows"),
        ("t.csv", b"a,a\n1,2\n", "line 1: column 'a' occurs twice"),
        ("t.csv", b"a,\n1,2\n", "line 1: column 2 has no name"),
        ("t.csv", b"a,b\n1,2\n3\n", "line 3: 1 cells where the header has 2"),
        ("t.csv", b"a,b\n1,2,3\n", "line 2: 3 cells where the header has 2"),
        ("t.csv", b'a,b\n1,"x\n2,y\n', "line 2: the quote that opens cell 2 is never closed"),
        ("t.csv", b"a,b\n1,x\n2,\xff\n", "line 3: not UTF-8"),
        ("t.csv.gz", compressed(b"a,b\n1,x\n2,\xff\n"), "line 3: not UTF-8"),
        ("t.csv.gz", compressed(b"a,b\n" + b"1,x\n" * 99)[:-12], "broken gzip data"),
        ("t.csv.gz", b"a,b\n1,2\n", "broken gzip data"),
        ("t.parquet", b"a,b\n1,2\n", "not a readable Parquet file"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_table(written(tmp_path, name, content))
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_one_line_behind_blank_ones_without_an_end_is_read(tmp_path: Path) -> None:
    assert lists(written(tmp_path, "t.csv", b"\n\n1,x")) == {"c0": ["1"], "c1": ["x"]}
    assert lists(written(tmp_path, "t.csv", b'1,"x\n\ny"')) == {"c0": ["1"], "c1": ["x\n\ny"]}


def test_the_header_is_found_behind_whole_blocks_of_blank_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "BLOCK_BYTES", 1)
    assert lists(written(tmp_path, "t.csv", b"\n\r\n" + COMMA.encode())) == EXPECTED


@pytest.mark.parametrize("content", [b"a,b\r1,2\n3,4\n", b"a\rb\nc\n", b'a,b\n"x\ry",1\n2,3\r4,5\n'])
def test_a_carriage_return_that_ends_no_line_is_named(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InputError, match=r"t\.csv, line [123]: .*(carriage return|cells)"):
        read_table(written(tmp_path, "t.csv", content))


def test_absent_files_are_named(tmp_path: Path) -> None:
    for name in ("none.csv", "none.parquet", "none.csv.gz"):
        with pytest.raises(InputError, match=rf"{name}: there is no such file"):
            read_table(tmp_path / name)
    with pytest.raises(InputError, match="cannot be read"):
        read_table(tmp_path)


def test_parquet_keeps_numbers_and_makes_text_of_the_rest(tmp_path: Path) -> None:
    table = pyarrow.table(
        {
            "id": pyarrow.array([2**64 - 1, 0, 7], pyarrow.uint64()),
            "count": pyarrow.array([-1, 2, 3], pyarrow.int16()),
            "gaps": pyarrow.array([2**63 - 1, None, 1], pyarrow.int64()),
            "price": pyarrow.array([0.5, None, float("nan")], pyarrow.float32()),
            "flag": pyarrow.array([True, False, True]),
            "maybe": pyarrow.array([True, None, False]),
            "text": pyarrow.array(["x", None, "é"]),
            "large": pyarrow.array(["x", None, ""], pyarrow.large_string()),
            "kind": pyarrow.array(["u", "v", None]).dictionary_encode(),
            "nothing": pyarrow.nulls(3),
        }
    )
    path = tmp_path / "t.parquet.brotli"
    pyarrow.parquet.write_table(table, path, compression="brotli")
    found = read_table(path)
    assert {name: column.dtype.str for name, column in found.items() if isinstance(column, np.ndarray)} == {
        "id": "<u8",
        "count": "<i2",
        "price": "<f4",
        "flag": "|i1",
    }
    assert found["id"].tolist() == [2**64 - 1, 0, 7]
    assert found["count"].tolist() == [-1, 2, 3]
    assert found["flag"].tolist() == [1, 0, 1]
    np.testing.assert_array_equal(found["price"], np.array([0.5, np.nan, np.nan], np.float32))
    texts = {name: found[name].tolist() for name in ("gaps", "maybe", "text", "large", "kind", "nothing")}
    assert texts == {
        "gaps": ["9223372036854775807", "", "1"],
        "maybe": ["1", "", "0"],
        "text": ["x", "", "é"],
        "large": ["x", "", ""],
        "kind": ["u", "v", ""],
        "nothing": ["", "", ""],
    }


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pyarrow.table({"a": pyarrow.array([], pyarrow.int64())}), "there are no data rows"),
        (pyarrow.table([[1], [2]], names=["a", "a"]), "'a' occurs twice"),
        (pyarrow.table({"a": [{"b": 1}]}), "'a' is struct.*neither number nor text"),
    ],
    ids=["empty", "twice", "nested"],
)
def test_unfit_parquet_is_named(tmp_path: Path, table: pyarrow.Table, message: str) -> None:
    path = tmp_path / "t.parquet"
    pyarrow.parquet.write_table(table, path)
    with pytest.raises(InputError, match=message):
        read_table(path)


def test_parquet_without_pyarrow_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"pip install 'fastfm-core\[parquet\]'"):
        read_table(written(tmp_path, "t.parquet", b"PAR1"))
