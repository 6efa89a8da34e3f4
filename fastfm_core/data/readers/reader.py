"""What every reader offers, and what a text reader is built from: a file cut into blocks of whole records."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple, Protocol, cast

import numpy as np

from fastfm_core.data.columns import Table
from fastfm_core.data.text.marks import LINE_FEED
from fastfm_core.errors import InputError

BLOCK_BYTES = 1 << 20
BEGINNING_BYTES = 1 << 18
LONGEST_RECORD = 256 << 20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Chunk(NamedTuple):
    """A piece of a table, in file order.

    parse   makes the piece's table, in any thread; call it once, it may work in place
    done    how much of the reader's ``size`` has been read with this chunk
    """

    parse: Callable[[], Table]
    done: int


class Reader(Protocol):
    """A table that is read in pieces, as often as needed.

    path    of the file or folder
    names   the columns, in order
    hints   column -> what the file itself says it is, a key of ``infer.HINTED``
    notes   lines for the reader: what was assumed about the file
    size    of the whole, in the unit of ``Chunk.done``
    """

    path: Path
    names: list[str]
    hints: dict[str, str]
    notes: list[str]
    size: int

    def chunks(self) -> Iterator[Chunk]: ...


class Block(NamedTuple):
    """Whole records of a text file, each with its line feed.

    line   lines before them in the file;  lines  their own
    done   how much of the file has been read with them, as in ``Chunk``
    """

    content: bytearray
    line: int
    lines: int
    done: int


def require_file(path: Path) -> None:
    """InputError when there is none of that name, or when it can be read only once (a pipe)."""
    if not path.exists():
        raise InputError(f"{path}: there is no such file")
    if not path.is_file() and not path.is_dir():
        raise InputError(f"{path}: a pipe or device, but a table is read more than once; write it to a file first")


@contextmanager
def naming_damage(path: Path) -> Iterator[None]:
    """Turns what a damaged or absent file raises while it is read into one line."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: broken gzip data ({error}), compress the file anew") from None
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None


def blocks(path: Path, records_end: Callable[[bytearray], int], block_bytes: int | None = None) -> Iterator[Block]:
    """Cuts a text file, plain or gzipped, into blocks of whole records.

    records_end  says where the last whole record of a block ends, 0 for nowhere
    """
    with naming_damage(path), open(path, "rb") as raw:
        file = cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if path.suffix.lower() == ".gz" else raw
        pending, line, only_returns = bytearray(), 0, _skip_mark(file)
        while fresh := file.read(block_bytes or BLOCK_BYTES):
            pending += fresh.replace(b"\r", b"\n") if only_returns else fresh
            end = records_end(pending)
            if not end and len(pending) > LONGEST_RECORD:
                raise InputError(f"{path}, line {line + 1}: a record of over 256 MiB, is a quote not closed?")
            if end:
                content, pending = pending, pending[end:]
                del content[end:]
                lines = _line_feeds(content)
                yield Block(content, line, lines, raw.tell())
                line += lines
        if pending:
            pending += b"" if pending.endswith(b"\n") else b"\n"
            yield Block(pending, line, _line_feeds(pending), raw.tell())


def _skip_mark(file: IO[bytes]) -> bool:
    """Moves behind a byte order mark; returns whether the lines end in CR alone, by the file's beginning."""
    beginning = file.read(BEGINNING_BYTES)
    file.seek(len(BYTE_ORDER_MARK) if beginning.startswith(BYTE_ORDER_MARK) else 0)
    return b"\r" in beginning[:-1] and b"\n" not in beginning


def first_lines(path: Path) -> bytearray:
    """The lines at the beginning of a text file, UTF-8: all, or BEGINNING_BYTES and as far as one that is not blank."""
    content = bytearray()
    for block in blocks(path, lambda pending: pending.rfind(b"\n") + 1, BEGINNING_BYTES):
        require_utf8(block, path)
        content += block.content
        if len(content) >= BEGINNING_BYTES and content.strip(b"\r\n"):
            break
    return content


def _line_feeds(content: bytearray) -> int:
    return int(np.count_nonzero(np.frombuffer(content, np.uint8) == LINE_FEED))


def require_utf8(block: Block, path: Path) -> None:
    """InputError naming the line that is not UTF-8."""
    if block.content.isascii():
        return
    try:
        block.content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = block.line + block.content.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}, line {line}: not UTF-8, save the file as UTF-8 (iconv -t UTF-8)") from None


def line_of(path: Path, line: int, what: str) -> InputError:
    """The error that names file and line, counted from 1."""
    return InputError(f"{path}, line {line}: {what}")
