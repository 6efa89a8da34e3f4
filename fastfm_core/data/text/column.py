"""Columns of text without Python strings: positions in one shared buffer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from fastfm_core.data.text import engine, marks


@dataclass(frozen=True, eq=False)
class Texts:
    """A column of n texts, UTF-8: text i is buffer[starts[i]:ends[i]].

    buffer  [bytes] uint8, contiguous and writable, shared with other columns;  starts, ends  [n] int64
    """

    buffer: np.ndarray
    starts: np.ndarray
    ends: np.ndarray

    @classmethod
    def of(cls, texts: Iterable[str]) -> Texts:
        """Packs strings; lone surrogates, which UTF-8 cannot hold, raise UnicodeEncodeError."""
        encoded = [text.encode() for text in texts]
        ends = np.cumsum([len(text) for text in encoded], dtype=np.int64)
        return cls(np.frombuffer(bytearray(b"".join(encoded)), np.uint8), np.append(0, ends)[: len(ends)], ends)

    def __len__(self) -> int:
        return len(self.starts)

    @overload
    def __getitem__(self, which: int) -> str: ...
    @overload
    def __getitem__(self, which: slice | np.ndarray) -> Texts: ...

    def __getitem__(self, which: Any) -> Any:
        """One text as str, or a column of those that a slice, a mask or an array of positions picks."""
        if isinstance(which, int | np.integer):
            return self.buffer[self.starts[which] : self.ends[which]].tobytes().decode()
        return Texts(self.buffer, self.starts[which], self.ends[which])

    def __iter__(self) -> Iterator[str]:
        return iter(self.tolist())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """An object array of str."""
        array = np.empty(len(self), object)
        array[:] = self.tolist()
        return array

    def tolist(self) -> list[str]:
        """All texts as str."""
        own = self.packed()  # the buffer may be far larger than these texts
        whole = own.buffer.tobytes()
        return [whole[start:end].decode() for start, end in zip(own.starts.tolist(), own.ends.tolist(), strict=True)]

    def packed(self) -> Texts:
        """The same texts in a buffer of their own that holds nothing else."""
        ends = np.empty(len(self), np.int64)
        buffer = np.empty(int((self.ends - self.starts).sum()), np.uint8)
        engine.kernels.copy_texts(self.buffer, self.starts, self.ends, buffer, 0, ends)
        return Texts(buffer, np.append(0, ends)[: len(ends)], ends)

    def factorize(self) -> tuple[Texts, np.ndarray]:
        """(the distinct texts in the order met, [n] int64 position of each text among them)."""
        codes, firsts = np.empty((2, len(self)), np.int64)
        slots = _free_slots(len(self))
        count = engine.kernels.distinct_texts(self.buffer, self.starts, self.ends, slots, firsts, codes)
        return self[firsts[:count]], codes

    def hashes(self) -> np.ndarray:
        """[n] uint64, of the bytes alone."""
        hashes = np.empty(len(self), np.uint64)
        engine.kernels.hash_texts(self.buffer, self.starts, self.ends, hashes)
        return hashes

    def split(self, separator: str) -> tuple[Texts, np.ndarray]:
        """(the values inside the cells, without empty ones; [n+1] int64 offsets of each cell's values)."""
        token = np.frombuffer(bytearray(separator.encode()), np.uint8)
        offsets = np.zeros(len(self) + 1, np.int64)
        nothing = np.empty(0, np.int64)
        count = engine.kernels.scan_bags(self.buffer, self.starts, self.ends, token, offsets, nothing, nothing)
        starts, ends = np.empty((2, count), np.int64)
        if count:
            engine.kernels.scan_bags(self.buffer, self.starts, self.ends, token, offsets, starts, ends)
        return Texts(self.buffer, starts, ends), offsets

    def cut_at_last(self, char: str) -> tuple[Texts, Texts]:
        """(what stands before the last ``char``, what stands after it); without one the text and ""."""
        found = np.empty(len(self), np.int64)
        engine.kernels.last_of(self.buffer, self.starts, self.ends, ord(char), found)
        after = np.minimum(found + 1, self.ends)
        return Texts(self.buffer, self.starts, found), Texts(self.buffer, after, self.ends)


@dataclass(frozen=True, eq=False)
class Bags:
    """A column of n cells with several values each: cell i has values offsets[i] .. offsets[i+1]-1.

    values  N texts;  offsets  [n+1] int64;  weights  [N] float64, None: all 1
    """

    values: Texts
    offsets: np.ndarray
    weights: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1


def concatenate(columns: Sequence[Texts]) -> Texts:
    """The columns one after the other, in one buffer."""
    packed = [column.packed() for column in columns]
    shifts = np.cumsum([0, *(len(column.buffer) for column in packed)])
    starts = [column.starts + shift for column, shift in zip(packed, shifts, strict=False)]
    ends = [column.ends + shift for column, shift in zip(packed, shifts, strict=False)]
    return Texts(np.concatenate([c.buffer for c in packed]), np.concatenate(starts), np.concatenate(ends))


def bucket_columns(
    columns: Sequence[Texts], counts: Sequence[int], bases: Sequence[int], places: Sequence[int], ids: np.ndarray
) -> None:
    """C columns of n texts -> column places[c] of ids [n, F]: bases[c] for an empty text, else that + 1 + its bucket.

    counts  [C] buckets of each column;  ids  int32 or int64
    """
    arrays = np.array(counts, np.uint64), np.array(bases, np.int64), np.array(places, np.int64)
    engine.kernels.bucket_texts(*_places(columns), *arrays, ids)


def decimal_columns(columns: Sequence[Texts]) -> tuple[np.ndarray, np.ndarray]:
    """C columns of n texts -> ([C, n] float64, NaN where empty or hard; [k, 2] column and row of the hard ones).

    Hard ones may be no numbers at all.
    """
    shape = len(columns), len(columns[0])
    values, kinds = np.empty(shape), np.empty(shape, np.uint8)
    hard = engine.kernels.parse_decimals(*_places(columns), values, kinds)
    return values, np.argwhere(kinds == marks.HARD) if hard else np.empty((0, 2), np.int64)


def _places(columns: Sequence[Texts]) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    return [texts.buffer for texts in columns], [texts.starts for texts in columns], [texts.ends for texts in columns]


class TextIndex:
    """Distinct texts, numbered in the order added: from text to number in O(1), exact."""

    def __init__(self, texts: Texts | Iterable[str] = ()) -> None:
        self._count = 0
        self._keys, self._ends, self._slots = np.empty(64, np.uint8), np.empty(16, np.int64), _free_slots(16)
        self.add(texts if isinstance(texts, Texts) else Texts.of(texts))

    def __len__(self) -> int:
        return self._count

    @property
    def texts(self) -> Texts:
        """All texts by their number."""
        ends = self._ends[: self._count]
        return Texts(self._keys, np.append(0, ends)[: self._count], ends)

    def find(self, texts: Texts) -> np.ndarray:
        """[n] int64 numbers, -1 for a text that was not added."""
        codes = np.empty(len(texts), np.int64)
        engine.kernels.find_texts(self._keys, self._ends, self._slots, texts.buffer, texts.starts, texts.ends, codes)
        return codes

    def add(self, texts: Texts) -> np.ndarray:
        """[n] int64 numbers; texts that are new get the next ones. The texts must be distinct."""
        codes = self.find(texts)
        new = np.flatnonzero(codes < 0)
        codes[new] = np.arange(self._count, self._count + len(new))
        used = int(self._ends[self._count - 1]) if self._count else 0
        fresh = texts[new]
        first, self._count = self._count, self._count + len(new)
        self._keys = grown(self._keys, used + int((fresh.ends - fresh.starts).sum()))
        self._ends = grown(self._ends, self._count)
        engine.kernels.copy_texts(
            fresh.buffer, fresh.starts, fresh.ends, self._keys, used, self._ends[first : self._count]
        )
        if 2 * self._count > len(self._slots):
            self._slots, first = _free_slots(2 * self._count), 0
        engine.kernels.place_keys(self._keys, self._ends, first, self._count, self._slots)
        return codes


def _free_slots(count: int) -> np.ndarray:
    """A power of two of free slots, at least twice the count."""
    return np.full(1 << max(4, (2 * count - 1).bit_length()), marks.FREE, np.int64)


def grown(array: np.ndarray, size: int) -> np.ndarray:
    """The array, or a copy at least twice as long, zeros at its end, when it is shorter than ``size``."""
    if size <= len(array):
        return array
    larger = np.zeros(max(size, 2 * len(array)), array.dtype)
    larger[: len(array)] = array
    return larger
