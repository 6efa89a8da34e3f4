"""The arrays of a safetensors file, each mapped when it is asked for: loading a model takes little memory beside it.

The file is the length of its header (8 bytes, little-endian), the header and the data. The header is JSON: each name's
dtype, shape and data_offsets, counted from the data's beginning (https://huggingface.co/docs/safetensors).
"""

from __future__ import annotations

import copy
import json
import weakref
from collections.abc import Iterator, Mapping
from io import FileIO
from pathlib import Path

import numpy as np
from safetensors import safe_open

DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BOOL": "?", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "<i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "<u1",
}  # fmt: skip


class SavedArrays(Mapping[str, np.ndarray]):
    """Read-only arrays by name. Each ``arrays[name]`` maps the array anew and gives its pages back when dropped.

    The file stays open, so the arrays stay its own when another is renamed over it. SafetensorError for a bad header.
    """

    def __init__(self, path: str | Path) -> None:
        with safe_open(path, framework="numpy"):  # checks the header against the file's size, reads no array
            self._file = FileIO(path)
        weakref.finalize(self, self._file.close)
        length = int.from_bytes(self._file.read(8), "little")
        self._entries = json.loads(self._file.read(length))
        self._entries.pop("__metadata__", None)
        self._start = 8 + length
        self._whole: SavedArrays | None = None

    def under(self, prefix: str) -> SavedArrays:
        """Those whose names begin with ``prefix``, by the rest of their names."""
        part = copy.copy(self)
        part._whole = self  # whose end closes the file
        part._entries = {name.removeprefix(prefix): self._entries[name] for name in self if name.startswith(prefix)}
        return part

    def __getitem__(self, name: str) -> np.ndarray:
        entry = self._entries[name]
        dtype, shape, (begin, end) = DTYPES[entry["dtype"]], tuple(entry["shape"]), entry["data_offsets"]
        if begin == end:
            return np.zeros(shape, dtype)  # nothing cannot be mapped
        return np.asarray(np.memmap(self._file, dtype, "r", self._start + begin, shape))

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
