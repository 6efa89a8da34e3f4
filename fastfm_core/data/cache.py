"""Encoded tables on the disk: flat binary files that are mapped into memory, and the folder they are kept in.

An entry is a folder named by a hash of everything that decided its content. It is built under another name and renamed
when complete, so an entry is there whole or not at all. Its manifest, a line with a checksum and a line of JSON, knows
the size of each file: an entry that is damaged later is noticed, and made anew. The least recently used entries go when
the folder outgrows LARGEST.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from fastfm_core.data.encoded import Encoded
from fastfm_core.errors import InputError
from fastfm_core.folders import user_cache

LARGEST = 20 << 30
DAY = 86_400.0
VARIABLE = "FASTFM_CORE_TABLES"
MANIFEST = "entry.json"
ARRAYS = ("ids", "offsets", "values", "dense", "labels", "weights")


def write_encoded(folder: Path, name: str, pieces: Iterable[Encoded]) -> dict[str, Any]:
    """Writes the pieces of a table in order to folder/<name>.<array>; returns what ``map_encoded`` needs."""
    files: dict[str, Any] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    dtypes: dict[str, str] = {}
    last = None
    entries = 0
    try:
        for last in pieces:
            for array, values in _arrays(last, entries, first=not files).items():
                if array not in files:
                    files[array] = open(folder / f"{name}.{array}", "wb")  # noqa: SIM115 - closed below
                    shapes[array], dtypes[array] = (0, *values.shape[1:]), values.dtype.str
                files[array].write(np.ascontiguousarray(values).data)
                shapes[array] = (shapes[array][0] + len(values), *values.shape[1:])
            entries += len(last.ids)
    finally:
        for file in files.values():
            file.close()
    assert last is not None
    about = {"rows": last.rows, "fields": last.fields, "pooling": last.pooling}
    arrays = {array: {"shape": list(shapes[array]), "dtype": dtypes[array]} for array in files}
    return {**about, "unknown_rows": last.unknown_rows.tolist(), "arrays": arrays}


def map_encoded(folder: Path, name: str, about: dict[str, Any]) -> Encoded:
    """The table that ``write_encoded`` wrote, its arrays mapped read-only. InputError when a file is cut or missing."""
    arrays = {array: map_array(folder / f"{name}.{array}", **form) for array, form in about["arrays"].items()}
    unknown = np.array(about["unknown_rows"], np.int64)
    ids, pooling = arrays.pop("ids"), about["pooling"]
    return Encoded(ids, about["rows"], about["fields"], unknown, pooling=pooling, checked=True, **arrays)


def map_array(path: Path, shape: list[int], dtype: str) -> np.ndarray:
    """A flat binary file as an array; InputError when its size is not the array's."""
    expected = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if not path.is_file() or path.stat().st_size != expected:
        raise InputError(f"{path} is cut or missing: remove the folder {path.parent}, it will be made again")
    if not expected:
        return np.empty(shape, dtype)
    return np.memmap(path, dtype, mode="r", shape=tuple(shape))


def _arrays(piece: Encoded, entries: int, first: bool) -> dict[str, np.ndarray]:
    """The piece's arrays that exist; offsets go on from the entries before, and only the first piece has the 0."""
    found = {array: getattr(piece, array) for array in ARRAYS if getattr(piece, array) is not None}
    if piece.offsets is not None:
        found["offsets"] = (piece.offsets if first else piece.offsets[1:]) + entries
    return found


def tables_folder() -> Path:
    """Where encoded tables are kept: FASTFM_CORE_TABLES, else the user's cache, else the temporary folder."""
    chosen = os.environ.get(VARIABLE)
    for folder in [Path(chosen)] if chosen else [user_cache() / "tables", Path(tempfile.gettempdir()) / "fastfm_core"]:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    raise InputError(f"{chosen or user_cache()} cannot be written: set {VARIABLE} to a folder for encoded tables")


def find_entry(key: str) -> tuple[Path, dict[str, Any]] | None:
    """The folder and manifest of an entry, which thereby counts as used; None when there is none, or a damaged one."""
    folder = tables_folder() / key
    try:
        checksum, _, text = (folder / MANIFEST).read_text(encoding="utf-8").partition("\n")
        sizes = _sizes(folder)
        os.utime(folder / MANIFEST)
    except (OSError, ValueError):
        return None
    manifest = json.loads(text) if checksum == _checksum(text) else {}
    return (folder, manifest) if manifest.get("sizes") == sizes else None


@contextmanager
def new_entry(key: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yields a folder to write into and a manifest to fill; both become the entry when the block ends well."""
    parent = tables_folder()
    building = Path(tempfile.mkdtemp(prefix=f".{key[:8]}-", dir=parent))
    manifest: dict[str, Any] = {}
    try:
        yield building, manifest
        text = json.dumps({**manifest, "sizes": _sizes(building)})
        (building / MANIFEST).write_text(f"{_checksum(text)}\n{text}", encoding="utf-8")
        if find_entry(key) is None:  # else another process was quicker, and may have mapped its own
            shutil.rmtree(parent / key, ignore_errors=True)
            os.replace(building, parent / key)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    _evict(parent, keep=key)


def _sizes(folder: Path) -> dict[str, int]:
    """Bytes of each file of an entry, the manifest aside."""
    return {file.name: file.stat().st_size for file in sorted(folder.iterdir()) if file.name != MANIFEST}


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _evict(parent: Path, keep: str) -> None:
    """Removes what killed builders left a day ago, and the entries used longest ago, until LARGEST bytes are left."""
    for path in parent.glob(".*"):
        if path.stat().st_mtime < time.time() - DAY:
            shutil.rmtree(path, ignore_errors=True)
    entries = [path for path in parent.iterdir() if (path / MANIFEST).is_file()]
    sizes = {path: sum(file.stat().st_size for file in path.iterdir()) for path in entries}
    total = sum(sizes.values())
    for path in sorted(entries, key=lambda path: (path / MANIFEST).stat().st_mtime):
        if total <= LARGEST:
            return
        if path.name != keep:
            shutil.rmtree(path, ignore_errors=True)
            total -= sizes[path]
