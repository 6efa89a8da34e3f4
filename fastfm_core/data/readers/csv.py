"""CSV and TSV with a header, plain or gzipped: UTF-8 with or without BOM, any line ends, comma or tab sniffed."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

import numpy as np

from fastfm_core.data.columns import Table
from fastfm_core.errors import InputError


def read_csv(path: Path) -> Table:
    """All columns as object arrays of str. InputError naming file, line and mend for anything malformed."""
    try:
        with _open(path) as file:
            return _read(file, path)
    except UnicodeDecodeError:
        line = _broken_line(path)
        raise InputError(f"{path}, line {line}: not UTF-8, save the file as UTF-8 (iconv -t UTF-8)") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: broken gzip data ({error}), compress the file anew") from None


def _open(path: Path) -> IO[str]:
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    return cast("IO[str]", opener(path, "rt", encoding="utf-8-sig", newline=""))


def _read(file: IO[str], path: Path) -> Table:
    first = file.readline()
    file.seek(0)
    reader = csv.reader(file, delimiter="\t" if first.count("\t") > first.count(",") else ",", strict=True)
    rows = _rows(reader, path)
    header = next(rows, None)
    if header is None:
        raise InputError(f"{path} is empty: it needs a header line and data rows")
    _check_header(header, path)
    columns = list(zip(*_equal_rows(rows, reader, len(header), path), strict=True))
    if not columns:
        raise InputError(f"{path} holds a header and no data: add data rows")
    return {name: np.array(column, dtype=object) for name, column in zip(header, columns, strict=True)}


def _rows(reader: Iterator[list[str]], path: Path) -> Iterator[list[str]]:
    """The reader's rows without blank lines."""
    try:
        yield from filter(None, reader)
    except csv.Error as error:
        line = getattr(reader, "line_num", 0)
        raise InputError(f"{path}, line {line}: {error}; write a quote inside a quoted cell as two") from None


def _check_header(header: list[str], path: Path) -> None:
    for position, name in enumerate(header, 1):
        if not name.strip():
            raise InputError(f"{path}, line 1: column {position} has no name, give it one")
        if header.count(name) > 1:
            raise InputError(f"{path}, line 1: column {name!r} occurs twice, rename one")


def _equal_rows(rows: Iterator[list[str]], reader: object, width: int, path: Path) -> Iterator[list[str]]:
    for row in rows:
        if len(row) != width:
            line = getattr(reader, "line_num", 0)
            mend = "add or remove cells, or quote a cell that holds the separator"
            raise InputError(f"{path}, line {line}: {len(row)} cells where the header has {width}, {mend}")
        yield row


def _broken_line(path: Path) -> int:
    """The first line, from 1, that is not UTF-8."""
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    with cast("IO[bytes]", opener(path, "rb")) as file:
        return next(number for number, line in enumerate(file, 1) if not _is_utf8(line))


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
