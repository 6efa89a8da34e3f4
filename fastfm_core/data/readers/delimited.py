"""CSV, TSV and their like: plain or gzipped, UTF-8 with or without BOM, any line ends, with a header or without.

The separator is the most frequent of comma, tab and semicolon in the first line. A first line in which some cell is a
number is data, not a header; its columns are then named like the training file's, like Criteo's, or c0, c1, ...
A header cell "name:token" (RecBole's atomic files: token, token_seq, float, float_seq) also says what the column is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from fastfm_core.data.columns import Table
from fastfm_core.data.readers.reader import Block, Chunk, blocks, first_lines, line_of, require_utf8
from fastfm_core.data.text import Texts, engine, marks
from fastfm_core.errors import InputError

SEPARATORS = b",\t;"
CRITEO = ("label", *(f"I{n}" for n in range(1, 14)), *(f"C{n}" for n in range(1, 27)))
BLANK_LINES, QUOTED = re.compile(rb"(\r?\n)*"), re.compile(rb'"[^"]*"')
NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*")
TYPED_NAME = re.compile(r"(.+):(token|token_seq|float|float_seq)")
HINTS = {"token": "categorical", "float": "numeric", "token_seq": "multihot", "float_seq": "multihot"}


class DelimitedReader:
    """A delimited text file as a ``Reader`` of ``Texts``.

    expected  the training file's columns: they name a file without header, which may lack the column ``label``
    """

    def __init__(self, path: Path, expected: Sequence[str] = (), label: str | None = None) -> None:
        self.path = path
        self.hints: dict[str, str] = {}
        self.notes: list[str] = []
        self.size = max(path.stat().st_size, 1)
        first = self._without_types(self._first_record(first_lines(path)))
        strange = not set(first) & set(expected) and len(expected) - len(first) in (0, 1)
        self.header = not (strange if expected else False) and not any(map(NUMBER.fullmatch, first))
        self.names = self._named(first) if self.header else self._unnamed(first, list(expected), label)

    def chunks(self) -> Iterator[Chunk]:
        skip = int(self.header)  # of the rows in the first block that is not blank
        for block in blocks(self.path, self._records_end):
            yield Chunk(lambda block=block, skip=skip: self._parse(block, skip), block.done)
            skip &= BLANK_LINES.fullmatch(block.content) is not None

    def _records_end(self, content: bytearray) -> int:
        if b'"' not in content:
            return content.rfind(b"\n") + 1
        return engine.kernels.records_end(np.frombuffer(content, np.uint8), len(content), ord(self.separator))

    def _first_record(self, content: bytearray) -> list[str]:
        """The cells of the first record; finds the separator."""
        match = BLANK_LINES.match(content)
        assert match is not None
        blank, record = match[0], content[match.end() :]
        if not record:
            raise InputError(f"{self.path} is empty: it needs a header line and data rows")
        line = QUOTED.sub(b"", record.split(b"\n", 1)[0])
        self.separator = chr(max(SEPARATORS, key=lambda char: line.count(char)))
        end = record.find(b"\n") + 1
        while end and not self._records_end(record[:end]):
            end = record.find(b"\n", end) + 1
        record = record[: end or None]
        buffer, mistake = np.frombuffer(record, np.uint8), marks.no_mistake()
        starts, ends = np.empty((2, record.count(self.separator.encode()) + 1, 1), np.int64)
        engine.kernels.scan_cells(buffer, len(buffer), ord(self.separator), starts, ends, mistake)
        if mistake[0] not in (0, marks.WRONG_WIDTH):
            raise line_of(self.path, len(blank.splitlines()) + 1, self._describe(*mistake.tolist()))
        cells = int(mistake[2]) or len(starts)
        return Texts(buffer, starts[:cells, 0], ends[:cells, 0]).tolist()

    def _parse(self, block: Block, skip: int) -> Table:
        require_utf8(block, self.path)
        lone = b"\r" in block.content and block.content.count(b"\r") > block.content.count(b"\r\n")
        before = bytes(block.content) if lone else b""  # the scanner closes up doubled quotes in place
        buffer = np.frombuffer(block.content, np.uint8)
        starts, ends = np.empty((2, len(self.names), block.lines), np.int64)
        mistake = marks.no_mistake()
        rows = engine.kernels.scan_cells(buffer, len(buffer), ord(self.separator), starts, ends, mistake)
        if mistake[0]:
            raise line_of(self.path, block.line + int(mistake[1]) + 1, self._describe(*mistake.tolist()))
        if lone and rows:
            self._refuse_returns(before, starts[:, :rows].T.reshape(-1), ends[:, :rows].T.reshape(-1), block.line)
        columns = zip(self.names, starts, ends, strict=True)
        return {name: Texts(buffer, first[skip:rows], last[skip:rows]) for name, first, last in columns}

    def _refuse_returns(self, content: bytes, starts: np.ndarray, ends: np.ndarray, line: int) -> None:
        """InputError for a carriage return inside an unquoted cell: a line end of another kind, which joins rows."""
        buffer = np.frombuffer(content, np.uint8)
        returns = np.flatnonzero(buffer == marks.RETURN)
        cell = np.maximum(np.searchsorted(starts, returns, side="right") - 1, 0)
        wrong = returns[(returns >= starts[cell]) & (returns < ends[cell]) & (buffer[starts[cell] - 1] != marks.QUOTE)]
        if len(wrong):
            line += content.count(b"\n", 0, int(wrong[0])) + 1
            what = "a carriage return inside a cell: end all lines with the same characters, or quote the cell"
            raise line_of(self.path, line, what)

    def _describe(self, kind: int, _: int, cells: int) -> str:
        if kind == marks.OPEN_QUOTE:
            return f"the quote that opens cell {cells} is never closed: close it, and write a quote inside as two"
        if kind == marks.AFTER_QUOTE:
            return f"text follows the closing quote of cell {cells}; write a quote inside a quoted cell as two"
        of = "header" if self.header else "first line"
        mend = "add or remove cells, or quote a cell that holds the separator"
        return f"{cells} cells where the {of} has {len(self.names)} (separator {self.separator!r}), {mend}"

    def _without_types(self, header: list[str]) -> list[str]:
        """The names alone where all of them carry a type, which becomes a hint."""
        typed = [match for name in header if (match := TYPED_NAME.fullmatch(name))]
        if len(typed) < len(header):
            return header
        self.hints = {match[1]: HINTS[match[2]] for match in typed}
        return [match[1] for match in typed]

    def _named(self, header: list[str]) -> list[str]:
        for position, name in enumerate(header, 1):
            if not name.strip():
                raise InputError(f"{self.path}, line 1: column {position} has no name, give it one")
            if header.count(name) > 1:
                raise InputError(f"{self.path}, line 1: column {name!r} occurs twice, rename one")
        return header

    def _unnamed(self, first: list[str], expected: list[str], label: str | None) -> list[str]:
        without_label = [name for name in expected if name != label]
        for names in (expected, without_label):
            if expected and len(first) == len(names):
                self.notes = [f"{self.path.name} has no header: its columns are taken as the training file's"]
                return names
        if expected:
            has = f"has no header and {len(first)} columns where the training file has {len(expected)}"
            raise InputError(f"{self.path} {has}: give it the same columns, or a header")
        criteo = self.separator == "\t" and len(first) == len(CRITEO)
        names = list(CRITEO) if criteo else [f"c{n}" for n in range(len(first))]
        form = "as in Criteo's files" if criteo else "by position"
        self.notes = [f"{self.path.name} has no header: its columns are named {names[0]} to {names[-1]}, {form}"]
        return names
