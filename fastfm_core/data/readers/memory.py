"""A table that is in memory already, in pieces like a file's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fastfm_core.data.columns import Table, table_length, take
from fastfm_core.data.readers.reader import Chunk

PIECE_ROWS = 1 << 16


class MemoryReader:
    """A ``Reader`` of a table: columns are arrays, ``Texts`` or ``Bags`` of one length."""

    def __init__(self, table: Table, name: str = "table") -> None:
        self.path = Path(name)
        self.names = list(table)
        self.hints: dict[str, str] = {}
        self.notes: list[str] = []
        self.size = table_length(table)
        self._table = table

    def chunks(self) -> Iterator[Chunk]:
        for begin in range(0, self.size, PIECE_ROWS):
            rows = np.arange(begin, min(begin + PIECE_ROWS, self.size))
            yield Chunk(
                lambda rows=rows: {name: take(column, rows) for name, column in self._table.items()}, rows[-1] + 1
            )
