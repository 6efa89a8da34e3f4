"""Scorers in files, for programs without Python: ``Scorer.save``, and csrc/library/saved_program.cpp, which reads them.

A file is one program (csrc/library/program.hpp): its instructions, its constants and its tables. Little-endian:

    8 bytes   FASTFMSC
    7 int64   version (1), bytes of the file, F fields, I raw numbers, W words, CRC-32 of the words, 0
    W int64   the program, each instruction a code and its words
    floats    arrays [..] float32, each at a multiple of 64 bytes, so that it can be used where it is mapped

An array is named by its place in the file in bytes, 0 where there is none. An operand is two words, as in program.hpp:
where its columns are (-2 constants, -1 buffers, 0 the raw numbers) and the first of them.

    1 allocate          first column, width
    2 constant          array, count
    3 lookup            table, V, D, stride; array with the first order, its column there, its stride; first columns of
                        first, pair, sums, vectors (-1: not asked for); fields f, then f fields and f shifts
    4 dense             operand x, K, H, weights [K, H], operand start, relu, first column of the result
    5 add               width, relu, first column, terms t, then t times: operand, bits of a float32 factor
    6 multiply 7 inner  two operands, width, first column
    8 largest           operand, count, width, first column
    9 bi_interaction    operand, fields, D, first column
    10 pair_interaction operand, D, P, weights [P], first column, then P pairs of fields
    11 pair_products    operand, D, 0 inner 1 elementwise 2 outer, P, first column, then P pairs of fields
    12 result           operand, width
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastfm_core.contract import PRODUCTS
from fastfm_core.files import whole_file

MAGIC, VERSION, ALIGNMENT = b"FASTFMSC", 1, 64
HEADER = struct.Struct("<8s7q")

Operand = tuple[int, int]


class Recording:
    """Stands where a ``_native.Program`` is built, and keeps the calls as the words and arrays of a file."""

    def __init__(self) -> None:
        self.words: list[int] = []
        self.arrays: list[np.ndarray] = []
        self._places: list[int] = []  # of words that name an array, by its number until the file is laid out
        self._known: dict[Any, int] = {}
        self._width = self._constants = 0

    def allocate(self, width: int) -> int:
        begin = self._width
        self._say(1, begin, width)
        self._width += width + 1
        return begin

    def constant(self, numbers: np.ndarray) -> Operand:
        begin = self._constants
        self._say(2, numbers, len(numbers))
        self._constants += len(numbers)
        return -2, begin

    def lookup(
        self, table: np.ndarray, linear: np.ndarray | None, fields: Sequence[int], shifts: Sequence[int], *outputs: int
    ) -> None:
        rows, dim = table.shape
        lane = linear is not None and dim > 0 and _is_lane(table, linear)
        stored = np.lib.stride_tricks.as_strided(table, (rows, dim + 1), table.strides) if lane else table
        self._say(3, stored, rows, dim, stored.shape[1])
        if lane:
            self._say(stored, dim, dim + 1)
        else:
            self._say(linear, 0, int(linear is not None))
        self._say(*outputs, len(fields), *fields, *shifts)

    def dense(self, x: Operand, weight: np.ndarray, start: Operand, relu: bool, out: int) -> None:
        self._say(4, *x, *weight.shape, weight, *start, relu, out)

    def add(self, terms: Sequence[tuple[Operand, float]], width: int, relu: bool, out: int) -> None:
        self._say(5, width, relu, out, len(terms))
        for place, factor in terms:
            self._say(*place, int(np.float32(factor).view(np.uint32)))

    def multiply(self, a: Operand, b: Operand, width: int, out: int) -> None:
        self._say(6, *a, *b, width, out)

    def inner(self, a: Operand, b: Operand, width: int, out: int) -> None:
        self._say(7, *a, *b, width, out)

    def largest(self, x: Operand, count: int, width: int, out: int) -> None:
        self._say(8, *x, count, width, out)

    def bi_interaction(self, vectors: Operand, fields: int, dim: int, out: int) -> None:
        self._say(9, *vectors, fields, dim, out)

    def pair_interaction(
        self, vectors: Operand, dim: int, pairs: np.ndarray, weights: np.ndarray | None, out: int
    ) -> None:
        self._say(10, *vectors, dim, len(pairs), weights, out, *pairs.reshape(-1).tolist())

    def pair_products(self, vectors: Operand, dim: int, pairs: np.ndarray, product: Any, out: int) -> None:
        self._say(11, *vectors, dim, PRODUCTS.index(product), len(pairs), out, *pairs.reshape(-1).tolist())

    def result(self, place: Operand, width: int) -> None:
        self._say(12, *place, width)

    def write(self, path: str | Path, fields: int, numbers: int) -> None:
        """Writes the file, whole or not at all."""
        begins, end = [], HEADER.size + 8 * len(self.words)
        for array in self.arrays:
            begins.append(-(-end // ALIGNMENT) * ALIGNMENT)
            end = begins[-1] + 4 * array.size
        words = np.array(self.words, "<i8")
        words[self._places] = [begins[number] for number in words[self._places].tolist()]
        code = words.tobytes()
        with whole_file(path) as temporary, open(temporary, "wb") as file:
            file.write(HEADER.pack(MAGIC, VERSION, end, fields, numbers, len(words), zlib.crc32(code), 0) + code)
            for begin, array in zip(begins, self.arrays, strict=True):
                file.write(bytes(begin - file.tell()))
                _write_rows(file, array)

    def _say(self, *words: Any) -> None:
        for word in words:
            if isinstance(word, np.ndarray):
                self._places.append(len(self.words))
                word = self._number(word)
            self.words.append(0 if word is None else int(word))

    def _number(self, array: np.ndarray) -> int:
        """Of an array in the file; the same memory is written once."""
        key = array.__array_interface__["data"][0], array.shape, array.strides
        if key not in self._known:
            self._known[key] = len(self.arrays)
            self.arrays.append(array)  # kept, so that no address is given twice
        return self._known[key]


def _is_lane(table: np.ndarray, linear: np.ndarray) -> bool:
    """Whether the first order is one more number of the table's rows."""
    begin, end = (array.__array_interface__["data"][0] for array in (table, linear))
    return end - begin == 4 * table.shape[1] and table.strides[0] == linear.strides[0]


def _write_rows(file: Any, array: np.ndarray) -> None:
    """Some rows at a time, so that no copy of a table is made."""
    step = max(1, (1 << 20) // max(1, int(np.prod(array.shape[1:]))))
    for begin in range(0, len(array), step):
        file.write(np.ascontiguousarray(array[begin : begin + step], "<f4").data)
