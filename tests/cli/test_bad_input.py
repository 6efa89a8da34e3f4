"""Every kind of bad input, in every format and place: one line that names file, row, column and mend, and status 2."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any, NamedTuple

import pyarrow
import pytest

from .conftest import COLUMNS, CSV, LIBFFM, LIBSVM, QUICK, ROWS, TRAIN, Room, delimited, lines, save_parquet

WRONG = 150  # the data row with the mistake: far behind the first piece
LABELLED, ALL = ("data", "valid", "test", "evaluate"), ("data", "valid", "test", "evaluate", "predict")


class Case(NamedTuple):
    """What is wrong: the file's content, the words of the line, and the places where it is wrong."""

    make: Callable[[str], bytes]
    words: tuple[str, ...]
    places: tuple[str, ...] = ALL


def command(place: str, form: str, name: str, room: Room) -> list[str]:
    """The command line that reads the file ``name`` in a place."""
    if place in ("evaluate", "predict"):
        return [place, str(room.models / form), name, *(["--out", "out.csv"] if place == "predict" else [])]
    given = [name] if place == "data" else [f"good.{form}", f"--{place}", name]
    return ["train", *given, *TRAIN[form].split(), *QUICK, "--out", "out"]


def cell(column: int, text: str) -> Callable[[str], bytes]:
    """The table with one other cell in data row WRONG."""

    def make(separator: str) -> bytes:
        rows = [list(row) for row in CSV]
        rows[WRONG][column] = text
        return delimited(rows, separator)

    return make


def row(text: str) -> Callable[[str], bytes]:
    """The table with another line in place of data row WRONG; '|' stands for the separator."""

    def make(separator: str) -> bytes:
        whole = delimited(list(CSV), separator).splitlines(keepends=True)
        return b"".join([*whole[:WRONG], text.replace("|", separator).encode("latin-1") + b"\n", *whole[WRONG + 1 :]])

    return make


def header(*names: str) -> Callable[[str], bytes]:
    return lambda separator: delimited([list(names), *map(list, CSV[1:])], separator)


def one_class(separator: str) -> bytes:
    return delimited([list(CSV[0]), *([*row[:-1], "1"] for row in CSV[1:])], separator)


HERE, LINE = f"data row {WRONG}", f"line {WRONG + 1}:"
DELIMITED = {
    "label missing": Case(cell(4, ""), ("'clicked'", HERE, "fill it"), LABELLED),
    "label NaN": Case(cell(4, "NaN"), ("'clicked'", HERE, "fill it"), LABELLED),
    "label text": Case(cell(4, "maybe"), ("'clicked'", HERE, "'maybe'", "correct"), LABELLED),
    "label infinite": Case(cell(4, "inf"), ("'clicked'", HERE, "'inf'", "correct"), LABELLED),
    "number is text": Case(cell(2, "big"), ("'size'", HERE, "'big'", "correct")),
    "number is infinite": Case(cell(2, "1e999"), ("'size'", HERE, "'1e999'", "correct")),
    "short line": Case(row("u1|c1|1|t1"), (LINE, "4 cells", "add")),
    "long line": Case(row("u1|c1|1|t1|1|1"), (LINE, "6 cells", "remove")),
    "another separator": Case(row("u1;c1;1;t1;1"), (LINE, "1 cells", "separator", "quote")),
    "lone quote": Case(row('u1|"c"1|1|t1|1'), (LINE, "cell 2", "quote")),
    "open quote": Case(row('u1|c1|1|t1|"1'), (LINE, "cell 5", "never closed", "close it")),
    "broken UTF-8": Case(row("u1|\xe9|1|t1|1"), (LINE, "not UTF-8", "save")),
    "duplicate column": Case(
        header("user", "city", "size", "city", "clicked"), ("line 1", "'city'", "twice", "rename")
    ),
    "unnamed column": Case(header("user", "city", "", "tags", "clicked"), ("line 1", "column 3", "name")),
    "missing column": Case(header("user", "town", "size", "tags", "clicked"), ("'city'", "columns are"), ALL[1:]),
    "misspelt column": Case(header("user", "city", "sizes", "tags", "clicked"), ("'size'", "did you mean"), ALL[1:]),
    "missing label": Case(header("user", "city", "size", "tags", "click"), ("'clicked'", "did you mean"), LABELLED),
    "empty": Case(lambda separator: b"", ("empty", "header")),
    "blank": Case(lambda separator: b"\n\r\n\n", ("empty", "header")),
    "header only": Case(lambda separator: delimited([list(CSV[0])], separator), ("no data rows", "add")),
    "one class": Case(one_class, ("all labels", "1", "rows"), ("data", "valid")),
    "too few rows": Case(lambda separator: delimited(list(CSV[:3]), separator), ("2 rows", "few"), ("data",)),
}


@pytest.mark.parametrize("form", ["csv", "tsv", "csv.gz"])
@pytest.mark.parametrize(
    ("name", "place"), [(name, place) for name, case in DELIMITED.items() for place in case.places]
)
def test_delimited_text(room: Room, form: str, name: str, place: str) -> None:
    case = DELIMITED[name]
    content = case.make("\t" if form == "tsv" else ",")
    (room.folder / f"bad.{form}").write_bytes(gzip.compress(content) if form == "csv.gz" else content)
    said = room.mistake(*command(place, "csv", f"bad.{form}", room))
    assert all(word in said for word in (f"bad.{form}", *case.words)), said


def entries(rows: list[str], text: str) -> bytes:
    return "".join(f"{text if number == WRONG else row}\n" for number, row in enumerate(rows, 1)).encode("latin-1")


ENTRY_LINE = f"line {WRONG}:"
ENTRIES: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "parts missing": ("1 2", (ENTRY_LINE, "word 2", "correct"), ALL),
    "parts too many": ("1 1:1:1:1", (ENTRY_LINE, "word 2", "correct"), ALL),
    "empty part": ("1 :1", (ENTRY_LINE, "word 2", "correct"), ALL),
    "control character": ("1 \x011:1", (ENTRY_LINE, "word 2", "correct"), ALL),
    "broken UTF-8": ("1 \xe9:1", (ENTRY_LINE, "not UTF-8"), ALL),
    "label NaN": ("nan", ("'label'", HERE, "fill"), LABELLED),
    "label text": ("yes", ("'label'", HERE, "'yes'"), LABELLED),
}


@pytest.mark.parametrize("form", ["libsvm", "libffm"])
@pytest.mark.parametrize(("name", "place"), [(name, place) for name, case in ENTRIES.items() for place in case[2]])
def test_libsvm_and_libffm(room: Room, form: str, name: str, place: str) -> None:
    text, words, _ = ENTRIES[name]
    (room.folder / f"bad.{form}").write_bytes(entries(LIBSVM if form == "libsvm" else LIBFFM, text))
    said = room.mistake(*command(place, form, f"bad.{form}", room))
    assert all(word in said for word in (f"bad.{form}", *words)), said


@pytest.mark.parametrize("place", ALL)
@pytest.mark.parametrize("value", ["x", "", "nan", "1e999"])
@pytest.mark.parametrize("form", ["libsvm", "libffm"])
def test_a_value_that_is_no_number(room: Room, form: str, value: str, place: str) -> None:
    good, entry = (LIBSVM, f"1 3:{value}") if form == "libsvm" else (LIBFFM, f"1 2:3:{value}")
    (room.folder / f"bad.{form}").write_bytes(entries(good, entry))
    said = room.mistake(*command(place, form, f"bad.{form}", room))
    assert f"bad.{form}, {ENTRY_LINE}" in said and repr(value) in said and "correct" in said


@pytest.mark.parametrize("place", ALL)
@pytest.mark.parametrize("form", ["libsvm", "libffm"])
def test_entries_without_rows_or_with_one_class(room: Room, form: str, place: str) -> None:
    bad = room.folder / f"bad.{form}"
    bad.write_bytes(b"# nothing\n\n")
    assert f"bad.{form}: there are no data rows: add" in room.mistake(*command(place, form, bad.name, room))
    if place in ("data", "valid"):
        bad.write_bytes(lines(["1" + line[1:] for line in (LIBSVM if form == "libsvm" else LIBFFM)]))
        assert f"bad.{form}: all labels" in room.mistake(*command(place, form, bad.name, room))


@pytest.mark.parametrize("place", ALL)
@pytest.mark.parametrize("form", ["csv", "libsvm", "libffm", "parquet"])
def test_truncated_and_absent_files(room: Room, form: str, place: str) -> None:
    whole = (room.folder / f"good.{form}").read_bytes()
    name = "bad.parquet" if form == "parquet" else f"bad.{form}.gz"
    whole = whole if form == "parquet" else gzip.compress(whole)
    for length in (len(whole) - 1, len(whole) // 2, 1):
        (room.folder / name).write_bytes(whole[:length])
        said = room.mistake(*command(place, form, name, room))
        assert name in said and ("Parquet" in said or "compress the file anew" in said), said
    assert "there is no such file" in room.mistake(*command(place, form, "none." + form, room))


def changed(name: str, values: Any) -> dict[str, Any]:
    return {column: values if column == name else old for column, old in COLUMNS.items()}


def one(wrong: Any, name: str, kind: Any = lambda value: value) -> list[Any]:
    """The column, as another type, with one other cell in data row WRONG."""
    return [wrong if number == WRONG else kind(value) for number, value in enumerate(COLUMNS[name], 1)]


BINARY = pyarrow.array([b"\xff" if number == WRONG else b"x" for number in range(1, ROWS + 1)])
PARQUET: dict[str, tuple[dict[str, Any], tuple[str, ...], tuple[str, ...]]] = {
    "label missing": (changed("clicked", one(None, "clicked")), ("'clicked'", HERE, "fill it"), LABELLED),
    "label NaN": (changed("clicked", one(float("nan"), "clicked", float)), (HERE, "fill it"), LABELLED),
    "label text": (changed("clicked", one("maybe", "clicked", str)), ("'clicked'", HERE, "'maybe'"), LABELLED),
    "number became text": (changed("size", one("big", "size", str)), ("'size'", HERE, "'big'", "correct"), ALL),
    "number became a date": (
        changed("size", [pyarrow.scalar(0, pyarrow.date32())] * ROWS),
        ("'size'", "data row", "1970-01-01"),
        ALL,
    ),
    "number became a list": (changed("size", [[1, 2]] * ROWS), ("'size'", "several values"), ALL),
    "text became a list": (changed("city", [["a", "b"]] * ROWS), ("'city'", "several values"), ALL),
    "text became bytes": (changed("city", BINARY), ("'city'", "not UTF-8", "write"), ALL),
    "text is broken": (changed("city", BINARY.view(pyarrow.string())), ("'city'", "not UTF-8", "write"), ALL),
    "nested": (changed("city", [{"a": 1}] * ROWS), ("'city'", "neither number nor text"), ALL),
    "infinite": (changed("size", one(float("inf"), "size", float)), ("'size'", HERE, "'inf'"), ALL),
    "no rows": ({name: values[:0] for name, values in COLUMNS.items()}, ("no data rows", "add"), ALL),
    "missing column": ({name: COLUMNS[name] for name in ("user", "city", "clicked")}, ("'size'", "columns"), ALL[1:]),
}


@pytest.mark.parametrize(("name", "place"), [(name, place) for name, case in PARQUET.items() for place in case[2]])
def test_parquet(room: Room, name: str, place: str) -> None:
    columns, words, _ = PARQUET[name]
    save_parquet(room.folder / "bad.parquet", columns)
    said = room.mistake(*command(place, "parquet", "bad.parquet", room))
    assert all(word in said for word in ("bad.parquet", *words)), said
