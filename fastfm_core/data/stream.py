"""Passes over a reader: its pieces are worked on by all threads, and their results come back in order.

A pass sees the same pieces each time, so the row number of a piece is known from the first pass on. Memory holds a few
pieces and what the pass collects, never the table.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from fastfm_core import threads
from fastfm_core.data.columns import RowError, Table, factorize, single_of, table_length
from fastfm_core.data.readers.reader import Chunk, Reader
from fastfm_core.data.text import TextIndex, Texts
from fastfm_core.errors import InputError

Result = TypeVar("Result")
Progress = Callable[[int, int], None]


class Piece(NamedTuple):
    """What a pass tells about a piece: the row of the table it begins with, its rows, and the work's result."""

    begin: int
    rows: int
    result: Any


def each_piece(
    reader: Reader,
    work: Callable[[int, Table], Result],
    progress: Progress | None = None,
) -> Generator[Piece, None, None]:
    """One pass: ``work(number of the piece, its table)`` for every piece, on all threads; results in order.

    progress  told (done, size) after each piece, in the reader's unit

    InputError naming the file, with row numbers counted from its beginning, for whatever is wrong in a piece, and for a
    file without rows.
    """
    rows_before = [0]
    with naming(reader.path):
        for rows, done, result in _in_order(reader, work, rows_before):
            yield Piece(rows_before[0], rows, result)
            rows_before[0] += rows
            if progress:
                progress(done, reader.size)
        if not rows_before[0]:
            raise InputError("there are no data rows: add some")


def _in_order(
    reader: Reader, work: Callable[[int, Table], Result], rows_before: list[int]
) -> Iterator[tuple[int, int, Result]]:
    """(rows, ``Chunk.done``, result) of each piece; a mistake in a row is told with the rows before its piece.

    The first mistake in the file is the one that is told, however far the reader is ahead.
    """
    workers = threads.get_num_threads()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="fastfm-core-read")
    waiting: deque[tuple[int, Future[tuple[int, Result]]]] = deque()

    def run(number: int, parse: Callable[[], Table]) -> tuple[int, Result]:
        table = parse()
        return table_length(table), work(number, table)

    def finished() -> tuple[int, int, Result]:
        done, future = waiting.popleft()
        try:
            rows, result = future.result()
        except RowError as error:
            raise error.after(rows_before[0]) from None
        return rows, done, result

    damage: list[InputError] = []
    try:
        for number, chunk in enumerate(_until_damage(reader.chunks(), damage)):
            waiting.append((chunk.done, pool.submit(run, number, chunk.parse)))
            if len(waiting) > workers + 2:  # so that no worker waits while this thread writes what is finished
                yield finished()
        while waiting:
            yield finished()
        for error in damage:
            raise error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _until_damage(chunks: Iterator[Chunk], damage: list[InputError]) -> Iterator[Chunk]:
    """The chunks up to the end, or to the damage that keeps the rest from being read."""
    try:
        yield from chunks
    except InputError as error:
        damage.append(error)


class Gathered(NamedTuple):
    """A whole column: its distinct texts in the order met, and for each row the number of its text, [n] int32."""

    texts: Texts
    codes: np.ndarray

    def row_of(self, number: int) -> int:
        """The first row, counted from 1, with text ``number``, counted from 1."""
        return int(np.argmax(self.codes == number - 1)) + 1


def gather(
    reader: Reader, names: list[str], progress: Progress | None = None
) -> tuple[dict[str, Gathered], np.ndarray]:
    """One pass that keeps the named columns. Returns them, and the row each piece begins with and the end, [p+1]."""
    indexes = {name: TextIndex() for name in names}
    codes: dict[str, list[np.ndarray]] = {name: [np.empty(0, np.int32)] for name in names}
    begins = [0]

    def work(_: int, table: Table) -> list[tuple[Texts, np.ndarray]]:
        return [_factorized(single_of(table, name)) for name in names]

    for piece in each_piece(reader, work, progress):
        begins.append(piece.begin + piece.rows)
        for name, (texts, local) in zip(names, piece.result, strict=True):
            codes[name].append(indexes[name].add(texts)[local].astype(np.int32))
    whole = {name: Gathered(indexes[name].texts, np.concatenate(codes[name])) for name in names}
    return whole, np.array(begins)


def gathered(column: Any) -> Gathered:
    """A whole column that is in memory."""
    return Gathered(*_factorized(column))


def _factorized(column: Any) -> tuple[Texts, np.ndarray]:
    """Distinct texts in the order met, whatever the column's type, so that no number depends on how a file was cut."""
    if isinstance(column, Texts):
        texts, codes = column.factorize()
        return texts.packed(), codes
    texts, codes = factorize(column)
    order = np.argsort(np.unique(codes, return_index=True)[1])
    return Texts.of(texts)[order], np.argsort(order)[codes]


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Puts the file's name before the message of an InputError that does not begin with it."""
    try:
        yield
    except InputError as error:
        if str(error).startswith(str(path)):
            raise
        raise InputError(f"{path}: {error}") from None


def digest(path: Path) -> str:
    """SHA-256 of a file's content, or of a folder's files with their names."""
    total = hashlib.sha256()
    for file in _files(path):
        total.update(str(file.relative_to(path)).encode() + b"\0")
        with open(file, "rb") as content:
            total.update(_digest_of(content))
    return total.hexdigest()


def _digest_of(content: Any) -> bytes:
    total = hashlib.sha256()
    while block := content.read(1 << 20):
        total.update(block)
    return total.digest()


def stamps(paths: Iterable[Path]) -> dict[Path, list[Any]]:
    """What changes with a file, or with a folder's files: names, sizes, times of writing."""
    return {path: [_stamp(file) for file in _files(path)] for path in paths}


def _stamp(file: Path) -> tuple[str, int, int, int]:
    found = file.stat()
    return str(file), found.st_ino, found.st_size, found.st_mtime_ns


def require_unchanged(before: dict[Path, list[Any]]) -> None:
    """InputError naming the file that is not what it was when the stamps were taken."""
    for path, stamp in before.items():
        if stamps([path])[path] != stamp:
            raise InputError(f"{path}: the file changed while it was read: run again when nothing writes to it")


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file())
    return [path] if path.exists() else []
