"""Files that are there whole or not at all: written beside their place, flushed to the disk, then renamed into it."""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastfm_core.errors import InputError


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Yields a path to write to. It becomes ``path`` when the block ends well; when it fails, nothing is left behind.

    A link is followed, so that the file it points at is replaced. What is no regular file (a pipe, /dev/stdout) is
    written to directly. Raises InputError naming the file when the disk is full or cannot be written to; the file that
    was there before is untouched.
    """
    target = Path(os.path.realpath(path))
    require_place(path)
    if target.exists() and not target.is_file():
        yield target
        return
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with naming_full(path):
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, target)
            _flush_folder(target.parent)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}; name another") from None
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def naming_full(path: str | Path) -> Iterator[None]:
    """Turns a write that fails for lack of room into an InputError that names the file."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
            raise
        raise InputError(
            f"{error.filename or path}: cannot be written ({os.strerror(error.errno)}): make room, then run again"
        ) from None


def remove_matching(folder: str | Path, patterns: Iterable[str]) -> None:
    """Removes the files of a folder whose names match one of the patterns."""
    for pattern in patterns:
        for path in Path(folder).glob(pattern):
            path.unlink(missing_ok=True)


def _flush_folder(folder: Path) -> None:
    """Makes a rename in the folder outlast a power cut, where folders can be opened (not on Windows)."""
    if hasattr(os, "O_DIRECTORY"):
        number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def require_place(path: str | Path) -> None:
    """Raises InputError when no file of that name can be made: its folder is missing, or the name is a folder's."""
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise InputError(f"{path}: is a folder; name a file")
    if not target.parent.is_dir():
        raise InputError(f"{path}: there is no folder {target.parent}; make it first or name another file")


def write_json(path: str | Path, content: dict[str, Any]) -> None:
    """Writes strict JSON, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(json_text(content), encoding="utf-8")


def json_text(content: Mapping[str, Any]) -> str:
    """Strict JSON: a number that is undefined (NaN) or infinite becomes null."""
    return json.dumps(_plain(dict(content)), indent=2, allow_nan=False) + "\n"


def write_json_lines(path: str | Path, records: Iterable[dict[str, Any]]) -> None:
    """Writes strict JSON, a record a line."""
    text = "".join(json.dumps(_plain(record), allow_nan=False) + "\n" for record in records)
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _plain(value: Any) -> Any:
    """The value in JSON's own types: NumPy scalars and arrays unpacked, paths as text, non-finite numbers as None."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value
