"""Adds the columns of a second table by a key, as in ``--join movies.csv:movieId``: what a database calls a left join.

The joined table is held in memory; rows whose key it does not have get missing values, and are counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastfm_core.data.columns import RowError, Table, single_of, take, text_of, texts_of
from fastfm_core.data.readers.reader import Chunk, Reader
from fastfm_core.data.text import Bags, TextIndex, Texts
from fastfm_core.errors import InputError


class JoinedReader:
    """A ``Reader`` of another reader's table with the columns of ``table`` added by its column ``key``."""

    def __init__(self, reader: Reader, table: Table, key: str, *, name: str, hints: dict[str, str]) -> None:
        if key not in reader.names:
            raise InputError(f"--join {name}:{key}: {reader.path} has no column {key!r}")
        self._reader = reader
        self._key = key
        self._index = _index(single_of(table, key), key, name)
        self._columns = {column: _with_missing(values) for column, values in table.items() if column != key}
        for column in self._columns:
            if column in reader.names:
                raise InputError(f"--join {name}: column {column!r} is in {reader.path} as well, rename one")
        self._name = name
        self.path = reader.path
        self.names = [*reader.names, *self._columns]
        self.hints = {**hints, **reader.hints}
        self.notes = reader.notes
        self.size = reader.size
        self.unmatched: list[int] = []

    def chunks(self) -> Iterator[Chunk]:
        self.unmatched = []
        for chunk in self._reader.chunks():
            yield Chunk(lambda parse=chunk.parse: self._joined(parse()), chunk.done)

    def describe(self) -> str | None:
        """A line about the rows without a match in the last pass."""
        if count := sum(self.unmatched):
            return f"{count:,} rows have a {self._key} that {self._name} does not hold: its columns are missing there"
        return None

    def _joined(self, table: Table) -> Table:
        texts, codes = texts_of(single_of(table, self._key))
        found = self._index.find(texts)
        rows = found if codes is None else found[codes]
        missing = rows < 0
        self.unmatched.append(int(missing.sum()))
        rows[missing] = len(self._index)
        return table | {name: take(column, rows) for name, column in self._columns.items()}


def _index(keys: Any, key: str, name: str) -> TextIndex:
    texts, codes = texts_of(keys)
    texts = texts if codes is None else texts[codes]
    distinct, codes = texts.factorize()
    if len(distinct) < len(texts):
        first = np.full(len(distinct), len(texts))
        np.minimum.at(first, codes, np.arange(len(texts)))
        again = int(np.argmax(first[codes] < np.arange(len(texts))))
        raise RowError(
            f"{name}: {key} {texts[again]!r} occurs again in ", again + 1, ": a key must be unique, keep one"
        )
    return TextIndex(texts)


def _with_missing(column: Any) -> Any:
    """The column with one more cell at its end, a missing one."""
    if isinstance(column, Texts):
        return Texts(column.buffer, np.append(column.starts, 0), np.append(column.ends, 0))
    if isinstance(column, Bags):
        return Bags(column.values, np.append(column.offsets, column.offsets[-1]), column.weights)
    if column.dtype.kind == "f":
        return np.append(column, np.nan)
    return Texts.of([*map(text_of, column.tolist()), ""])
