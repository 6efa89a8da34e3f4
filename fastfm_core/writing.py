"""Writes a table in pieces, as CSV or Parquet: to a file or to stdout, whole or not at all."""

from __future__ import annotations

import csv
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastfm_core.data.columns import text_of
from fastfm_core.data.text import Texts
from fastfm_core.errors import InputError
from fastfm_core.files import whole_file

SPOOLED_BYTES = 64 << 20  # more than that waits in a temporary file
Write = Callable[..., None]


def form_of(out: str | Path | None) -> str:
    """ "parquet" or "csv", by the suffix; stdout (None) is CSV."""
    return "parquet" if out and Path(out).suffix in (".parquet", ".pq") else "csv"


@contextmanager
def table_writer(out: str | Path | None, form: str, ids: Sequence[str], values: Sequence[str]) -> Iterator[Write]:
    """``write(*columns)`` for each piece, arrays or ``Texts`` [n]: first the ids, then the values.

    out   the file to write; None: stdout, as CSV;  form  "parquet", anything else is CSV
    ids   their columns' names; in CSV they are what they would be as text, 5 for 5.0;  values  those of numbers
    """
    if out is None:
        if form == "parquet":
            raise InputError("--format parquet needs a file to write: name it with --out FILE")
        with tempfile.SpooledTemporaryFile(SPOOLED_BYTES, "w+", encoding="utf-8", newline="") as spool:
            yield _csv_writer(spool, ids, values)
            spool.seek(0)
            shutil.copyfileobj(spool, sys.stdout)
        return
    with whole_file(out) as path:
        if form == "parquet":
            with _parquet_writer(path, [*ids, *values]) as write:
                yield write
        else:
            with open(path, "w", encoding="utf-8", newline="") as file:
                yield _csv_writer(file, ids, values)


def _csv_writer(file: Any, ids: Sequence[str], values: Sequence[str]) -> Write:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*ids, *values])

    def write(*columns: Any) -> None:
        cells = [column.tolist() for column in columns]
        writer.writerows(zip(*(map(text_of, column) for column in cells[: len(ids)]), *cells[len(ids) :], strict=True))

    return write


@contextmanager
def _parquet_writer(path: Path, names: list[str]) -> Iterator[Write]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise InputError("--format parquet needs pyarrow: pip install 'fastfm-core[parquet]'") from None
    opened: list[Any] = []

    def write(*columns: Any) -> None:
        arrays = [
            pyarrow.array(column.tolist(), pyarrow.string()) if isinstance(column, Texts) else pyarrow.array(column)
            for column in columns
        ]
        table = pyarrow.table(arrays, names)
        if not opened:
            opened.append(pyarrow.parquet.ParquetWriter(path, table.schema))
        opened[0].write_table(table)

    try:
        yield write
    finally:
        for writer in opened:
            writer.close()
