"""Reads a file into a table: a dict of column name -> [n] array. One module per format, chosen by the suffix.

Text formats give object arrays of str, typed formats keep numbers as numbers. Missing is "" in text, NaN in floats.
"""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from pathlib import Path

from fastfm_core.data.columns import Table
from fastfm_core.data.readers.csv import read_csv
from fastfm_core.data.readers.parquet import read_parquet
from fastfm_core.errors import InputError

READERS: dict[str, Callable[[Path], Table]] = {
    ".csv": read_csv,
    ".tsv": read_csv,
    ".txt": read_csv,
    ".parquet": read_parquet,
    ".pq": read_parquet,
}


def read_table(path: str | PathLike[str]) -> Table:
    """Reads a file; the last suffix that is known (data.csv.gz: .csv) names the format, an unknown one is tried as CSV.

    InputError, naming file, line and mend, for a file that is absent, empty or broken.
    """
    path = Path(path)
    known = [suffix for suffix in path.suffixes if suffix.lower() in READERS]
    reader = READERS[known[-1].lower()] if known else read_csv
    try:
        return reader(path)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
