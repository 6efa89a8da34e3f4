"""Opens a file or a folder as a ``Reader``: columns by name, in pieces. One module per format.

Text formats give ``Texts``, typed formats keep numbers as numbers. Missing is "" in text, NaN in floats.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path

from fastfm_core.data.columns import Table, join_rows, table_length
from fastfm_core.data.readers.delimited import DelimitedReader
from fastfm_core.data.readers.entries import EntriesReader
from fastfm_core.data.readers.parquet import ParquetReader
from fastfm_core.data.readers.reader import Chunk, Reader, first_lines, naming_damage, require_file
from fastfm_core.errors import InputError

Opener = Callable[[Path, Sequence[str], "str | None"], Reader]

READERS: dict[str, Opener] = {
    **dict.fromkeys((".csv", ".tsv", ".txt"), DelimitedReader),
    **dict.fromkeys((".parquet", ".pq"), lambda path, expected, label: ParquetReader(path)),
    **dict.fromkeys((".libsvm", ".svm", ".svmlight"), lambda path, expected, label: EntriesReader(path, 2, expected)),
    **dict.fromkeys((".libffm", ".ffm"), lambda path, expected, label: EntriesReader(path, 3, expected)),
}
ENTRIES = re.compile(rb"\s*\S*(\s+[^\s:]+(:[^\s:]+)?:[-+0-9.eE]+)+\s*")


def open_table(path: str | PathLike[str], expected: Sequence[str] = (), label: str | None = None) -> Reader:
    """Opens a file; the last suffix that is known (data.csv.gz: .csv) names the format, an unknown one is looked into.

    expected, label  the training file's columns and its label's, for files that lack a header or a label

    InputError, naming file, line and mend, for a file that is absent, empty or broken.
    """
    path = Path(path)
    require_file(path)
    if path.is_dir():
        return ParquetReader(path)
    known = [suffix for suffix in path.suffixes if suffix.lower() in READERS]
    with naming_damage(path):
        opener = READERS[known[-1].lower()] if known else _by_content(path)
        return opener(path, expected, label)


def read_table(path: str | PathLike[str]) -> Table:
    """A whole file as one table."""
    return read_whole(open_table(path))


def read_whole(reader: Reader) -> Table:
    """All pieces of a reader as one table."""
    tables = [chunk.parse() for chunk in reader.chunks()]
    return join_rows(require_rows(reader, tables))


def require_rows(reader: Reader, tables: list[Table]) -> list[Table]:
    """The tables, if one of them has rows; else InputError."""
    if not any(map(table_length, tables)):
        raise InputError(f"{reader.path}: there are no data rows: add some")
    return tables


def _by_content(path: Path) -> Opener:
    """libsvm or libffm when the first line looks like it, else delimited text."""
    match = ENTRIES.fullmatch(bytes(first_lines(path)).split(b"\n", 1)[0])
    if match is None:
        return DelimitedReader
    return READERS[".libsvm" if match[1].count(b":") == 1 else ".libffm"]


__all__ = ["Chunk", "Reader", "open_table", "read_table", "read_whole", "require_file", "require_rows"]
