"""Parquet through pyarrow, a file or a folder: numbers stay numbers (unsigned 64-bit included), the rest is text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fastfm_core.data.columns import Table, text_of
from fastfm_core.data.readers.reader import Chunk, naming_damage
from fastfm_core.data.text import Bags, Texts
from fastfm_core.errors import InputError

BATCH_ROWS = 1 << 15


class ParquetReader:
    """A ``Reader`` of Parquet. Integers, floats and booleans (as 0/1) keep their type, text becomes ``Texts``.

    Missing is NaN in floats. A column of integers or booleans becomes text, "" where missing, when some file has gaps
    in it, so that no digit is lost; so does one whose type differs between the files. Lists of text or numbers become
    ``Bags``. InputError when pyarrow is absent, the files differ in their columns, or a file is broken or holds other
    nested columns.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.hints: dict[str, str] = {}
        self.notes: list[str] = []
        self.files = _files(path)
        opened = [_open(file) for file in self.files]
        self.names = list(opened[0].schema_arrow.names)
        for file, parquet in zip(self.files, opened, strict=True):
            if parquet.schema_arrow.names != self.names:
                raise InputError(f"{file}: its columns differ from those of {self.files[0].name}: make them equal")
        for name in self.names:
            if self.names.count(name) > 1:
                raise InputError(f"{path}: column {name!r} occurs twice, rename one")
        self.size = max(sum(parquet.metadata.num_rows for parquet in opened), 1)
        self._texts = _columns_of_text(opened, self.files)
        for parquet in opened:
            parquet.close()

    def chunks(self) -> Iterator[Chunk]:
        done = 0
        for file in self.files:
            with naming_damage(file):
                for batch in _batches(file):
                    done += batch.num_rows
                    yield Chunk(lambda batch=batch: self._parse(batch), done)

    def _parse(self, batch: Any) -> Table:
        columns = zip(self.names, batch.columns, strict=True)
        return {name: _column(column, name, self.path, name in self._texts) for name, column in columns}


def _files(path: Path) -> list[Path]:
    """The file itself, or a folder's Parquet files by name, hidden and underscored ones left out."""
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.rglob("*.parquet") if not file.name.startswith(("_", ".")))
    if not files:
        raise InputError(f"{path} cannot be read: it is a folder without .parquet files; name a file")
    return files


def _open(path: Path) -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise InputError(f"{path}: reading Parquet needs pyarrow, pip install 'fastfm-core[parquet]'") from None
    with naming_damage(path):
        try:
            return pyarrow.parquet.ParquetFile(path)
        except (pyarrow.ArrowException, UnicodeDecodeError) as error:
            raise _unreadable(path, error) from None


def _batches(path: Path) -> Iterator[Any]:
    import pyarrow

    parquet = _open(path)
    try:
        yield from parquet.iter_batches(BATCH_ROWS)
    except (pyarrow.ArrowException, OSError) as error:
        raise _unreadable(path, error) from None
    finally:
        parquet.close()


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(f"{path} is not a readable Parquet file: {(str(error).splitlines() or [''])[0]}")


def _columns_of_text(opened: list[Any], files: list[Path]) -> set[str]:
    """Names of the columns whose numbers are read as text: integers with gaps, and columns whose types differ.

    InputError for a column that holds lists in one file and single values in another.
    """
    from pyarrow import types

    gaps = set().union(*map(_columns_with_gaps, opened))
    texts = set()
    for fields in zip(*(parquet.schema_arrow for parquet in opened), strict=True):
        name, lists = fields[0].name, [_is_list(field.type) for field in fields]
        if len(set(lists)) > 1:
            one, other = files[lists.index(True)], files[lists.index(False)]
            raise InputError(f"{one}: column {name!r} holds lists, in {other.name} single values: make them equal")
        if len({field.type for field in fields}) > 1 or (name in gaps and not types.is_floating(fields[0].type)):
            texts.add(name)
    return texts


def _is_list(kind: Any) -> bool:
    from pyarrow import types

    return types.is_list(kind) or types.is_large_list(kind)


def _columns_with_gaps(parquet: Any) -> set[str]:
    """Names of the columns that may hold nulls somewhere in the file, by its statistics."""
    metadata = parquet.metadata
    gaps = set()
    for group in range(metadata.num_row_groups):
        for position in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(position)
            statistics = chunk.statistics
            if statistics is None or not statistics.has_null_count or statistics.null_count:
                gaps.add(chunk.path_in_schema.partition(".")[0])
    return gaps


def _column(column: Any, name: str, path: Path, as_text: bool) -> Any:
    """An Arrow array [n] -> column [n]; ``as_text``: numbers become text."""
    import pyarrow
    from pyarrow import types

    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if types.is_boolean(column.type):
        column = column.cast(pyarrow.int8())
    if types.is_floating(column.type) or (types.is_integer(column.type) and not as_text):
        values = column.to_numpy(zero_copy_only=False)
        return Texts.of(map(text_of, values.tolist())) if as_text else values
    if _is_list(column.type):
        lengths = np.asarray(column.value_lengths().fill_null(0), np.int64)
        return Bags(_texts(column.flatten(), name, path), np.append(0, np.cumsum(lengths)))
    return _texts(column, name, path)


def _texts(column: Any, name: str, path: Path) -> Texts:
    import pyarrow

    try:
        text = column.cast(pyarrow.large_string()).fill_null("")
        text.validate(full=True)
    except pyarrow.ArrowInvalid:
        raise InputError(f"{path}: column {name!r} holds bytes that are not UTF-8: write it as text") from None
    except pyarrow.ArrowNotImplementedError:
        raise InputError(f"{path}: column {name!r} is {column.type}, which is neither number nor text") from None
    _, offsets, data = text.buffers()
    ends = np.frombuffer(offsets, np.int64)[text.offset : text.offset + len(text) + 1]
    buffer = np.frombuffer(bytearray(data) if data is not None else bytearray(), np.uint8)
    return Texts(buffer, ends[:-1].copy(), ends[1:].copy())
