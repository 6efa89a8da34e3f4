"""The sparse inputs of an ONNX file, as ``contract.Entries`` has them: guarded ids, and the rows that they look up.

A runtime reads the last row for an id of -1, or another field's row for an id that is too large; so ids are compared
with their field's rows first. One that lies outside reads the field's unknown row. Where the field has none, the
sample's outputs are NaN, and those of the other samples as ever.

Bags are summed by ScatterElements, entry by entry in their order: deterministic, float32, and what one sample holds
reaches no other. An entry's slot is the number of bags that have ended before it, a running sum of marks at their ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fastfm_core.contract import Pooling
from fastfm_core.serving.onnx_file import BOOL, FLOAT, INT32, INT64, OnnxFile

LOWEST = float(np.finfo(np.float32).min)
END = (1 << 63) - 1


class FieldRows(NamedTuple):
    """The rows that ids of each field may name, [F] int64 each: the first, how many, and the unknown one, -1: none."""

    first: np.ndarray
    count: np.ndarray
    unknown: np.ndarray


class SingleIds:
    """Inputs ids [B, F] int64 and, where entries have any, values [B, F] float32.

    lost  [B] bool, whose outputs are NaN; None: nobody's
    """

    def __init__(self, file: OnnxFile, rows: FieldRows, values: bool) -> None:
        self.file, self.fields = file, len(rows.first)
        ids = file.input("ids", INT64, "batch", self.fields)
        file.batch = file.op("Shape", ids, start=0, end=1)
        self.ids, lost = guarded(file, ids, rows, None)
        self.lost = lost and any_of_fields(file, lost)
        self.values = file.input("values", FLOAT, "batch", self.fields) if values else None

    def vectors(self, table: str, width: int, fields: Sequence[int], shifts: Sequence[int]) -> str:
        """[B, k, W] the table's rows of k fields, each times its value."""
        file, ids, values = self.file, self.ids, self.values
        if len(fields) < self.fields:
            ids, values = file.take(ids, fields, 1), values and file.take(values, fields, 1)
        return rows_of_ids(file, table, ids, values, shifts)


class Bags:
    """Inputs ids [N] int64, offsets [B*F + 1] int64 and, where entries have any, values [N] float32.

    several  [F] bool, the fields that have any number of entries; the others have one each, which is read where it
             stands, and a sample in which they do not is lost
    lost     as that of ``SingleIds``
    """

    def __init__(
        self, file: OnnxFile, rows: FieldRows, values: bool, several: np.ndarray, pooling: Pooling
    ) -> None:  # fmt: skip
        self.file, self.fields, self.several, self.pooling = file, len(several), several, pooling
        self.first = rows.first
        ids, offsets = file.input("ids", INT64, "entries"), file.input("offsets", INT64, "ends")
        self.slots = file.op("Sub", file.op("Shape", offsets), file.constant([1]))
        file.batch = file.op("Div", self.slots, file.constant([self.fields]))
        self.begins, ends = file.cut(offsets, 0, -1), file.cut(offsets, 1, END)
        self.lengths = file.op("Sub", ends, self.begins)
        self.slot = self._slot_of_entries(ids, ends)
        self.field = file.op("Mod", self.slot, file.constant(self.fields))
        self.sample = file.op("Div", self.slot, file.constant(self.fields))
        self.ids, lost = guarded(file, ids, rows, self.field)
        self.lost = lost and self._any(lost)
        if not several.all():
            miscounted = any_of_fields(file, self._not_one(np.flatnonzero(~several).tolist()))
            self.lost = file.op("Or", self.lost, miscounted) if self.lost else miscounted
        self.values = file.input("values", FLOAT, "entries") if values else None

    def vectors(self, table: str, width: int, fields: Sequence[int], shifts: Sequence[int]) -> str:
        """[B, k, W] the table's rows of k fields, pooled."""
        kinds = [(self._ones, ~self.several[list(fields)]), (self._pooled, self.several[list(fields)])]
        chosen = [(look_up, np.flatnonzero(fits).tolist()) for look_up, fits in kinds if fits.any()]
        parts = [
            look_up(table, width, [fields[k] for k in places], [shifts[k] for k in places])
            for look_up, places in chosen
        ]  # fmt: skip
        whole = self.file.op("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]
        order = np.argsort(np.concatenate([places for _, places in chosen]))
        return self.file.take(whole, order, 1) if np.diff(order).min(initial=1) < 1 else whole

    def sums(self, table: str, width: int) -> tuple[str, str]:
        """Of rows without fields: [B, W] the sums of a sample's terms and of their squares."""
        terms, sample = self._entries(table, [0], [0])
        squares = self.file.op("Mul", terms, terms)
        total, of_squares = (self._scattered(x, sample, self.slots, width) for x in (terms, squares))
        return total, of_squares

    def _ones(self, table: str, width: int, fields: list[int], shifts: list[int]) -> str:
        """[B, k, W] of k fields with one entry each; where they have not, some row of theirs."""
        file, wrong = self.file, self._not_one(fields)
        places = file.op("Where", wrong, file.constant(0), self._of_fields(self.begins, fields))
        ids = file.op("Where", wrong, file.constant(self.first[fields]), file.op("Gather", self.ids, places))
        return rows_of_ids(file, table, ids, self.values and file.op("Gather", self.values, places), shifts)

    def _not_one(self, fields: Sequence[int]) -> str:
        """[B, k] bool: which slots of the k fields do not have one entry."""
        return self.file.op("Not", self.file.op("Equal", self._of_fields(self.lengths, fields), self.file.constant(1)))

    def _of_fields(self, x: str, fields: Sequence[int]) -> str:
        """What of the slots [M] is the fields': [B, k]."""
        x = self.file.reshape(x, self.fields)
        return x if len(fields) == self.fields else self.file.take(x, fields, 1)

    def _pooled(self, table: str, width: int, fields: list[int], shifts: list[int]) -> str:
        """[B, k, W] of k fields with any number of entries each."""
        file, count = self.file, len(fields)
        rows, slot = self._entries(table, fields, shifts)
        slots = self.slots if count == self.fields else file.op("Mul", file.batch, file.constant([count]))
        pooled = file.reshape(self._scattered(rows, slot, slots, width), count, width)
        lengths = file.op("Unsqueeze", self._of_fields(self.lengths, fields), file.constant([2]))
        if self.pooling == "max":
            filled = file.op("Greater", lengths, file.constant(0))
            return file.op("Where", filled, pooled, file.constant(0.0))
        if self.pooling in ("mean", "sqrtn"):
            lengths = file.op("Cast", file.op("Max", lengths, file.constant(1)), to=FLOAT)
            return file.op("Div", pooled, lengths if self.pooling == "mean" else file.op("Sqrt", lengths))
        return pooled

    def _slot_of_entries(self, ids: str, ends: str) -> str:
        """[N]"""
        file = self.file
        places = file.op("Add", file.op("Shape", ids), file.constant([1]))
        marks = file.op("ScatterElements", file.filled(places, 0), ends, file.filled(self.slots, 1), reduction="add")
        return file.cut(file.op("CumSum", marks, file.constant(0)), 0, -1)

    def _any(self, lost: str) -> str:
        """[N] bool -> [B] bool, whether some entry of the sample is."""
        file = self.file
        number = file.op("Cast", lost, to=INT64)
        found = file.op("ScatterElements", file.filled(file.batch, 0), self.sample, number, reduction="max")
        return file.op("Cast", found, to=BOOL)

    def _entries(self, table: str, fields: Sequence[int], shifts: Sequence[int]) -> tuple[str, str]:
        """([n, W] the rows of the fields' n entries, each times its value; [n] their slots, of k fields)."""
        file, ids, values, slot = self.file, self.ids, self.values, self.slot
        if len(fields) < self.fields or any(shifts):
            places, down = np.full(self.fields, -1), np.zeros(self.fields, np.int64)
            places[list(fields)], down[list(fields)] = range(len(fields)), shifts
            place = file.op("Gather", file.constant(places), self.field)
            ids = file.op("Sub", ids, file.op("Gather", file.constant(down), self.field))
            slot = file.op("Add", file.op("Mul", self.sample, file.constant(len(fields))), place)
            wanted = file.op("GreaterOrEqual", place, file.constant(0))
            ids, slot = (file.op("Compress", x, wanted, axis=0) for x in (ids, slot))
            values = values and file.op("Compress", values, wanted, axis=0)
        rows = file.op("Gather", table, ids, axis=0)
        if values:
            rows = file.op("Mul", rows, file.op("Unsqueeze", values, file.constant([1])))
        return rows, slot

    def _scattered(self, rows: str, slot: str, slots: str, width: int) -> str:
        """[n, W] rows -> [slots, W] their sums, or the largest of each number."""
        file, largest = self.file, self.pooling == "max"
        start = file.filled(file.shape(slots, width), LOWEST if largest else 0.0)
        places = file.op("Expand", file.op("Unsqueeze", slot, file.constant([1])), file.op("Shape", rows))
        return file.op("ScatterElements", start, places, rows, axis=0, reduction="max" if largest else "add")


def rows_of_ids(file: OnnxFile, table: str, ids: str, values: str | None, shifts: Sequence[int]) -> str:
    """[B, k, W], of ids and values [B, k] of k fields."""
    if any(shifts):
        ids = file.op("Sub", ids, file.constant(shifts))
    rows = file.op("Gather", table, ids, axis=0)
    return file.op("Mul", rows, file.op("Unsqueeze", values, file.constant([2]))) if values else rows


def any_of_fields(file: OnnxFile, x: str) -> str:
    """[B, k] bool -> [B] bool."""
    return file.op("Cast", file.reduce("Max", file.op("Cast", x, to=INT32), 1), to=BOOL)


def guarded(file: OnnxFile, ids: str, rows: FieldRows, field: str | None) -> tuple[str, str | None]:
    """(ids, each within its field's rows; bool of the same shape, which ones stand for nothing; None: none can).

    field  of each id; None: the ids' last axis is that of the fields
    """

    def of_each(numbers: np.ndarray) -> str:
        known = file.constant(numbers)
        return known if field is None else file.op("Gather", known, field)

    first, end = of_each(rows.first), of_each(rows.first + rows.count)
    inside = file.op("And", file.op("GreaterOrEqual", ids, first), file.op("Less", ids, end))
    absent = rows.unknown < 0
    safe = file.op("Where", inside, ids, of_each(np.where(absent, rows.first, rows.unknown)))
    if not absent.any():
        return safe, None
    outside = file.op("Not", inside)
    return safe, outside if absent.all() else file.op("And", outside, of_each(absent))
