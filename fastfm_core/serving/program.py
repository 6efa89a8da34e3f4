"""The C++ programs of a model's graph: one for whole rows, or one for each side and for pairs of them.

Each operation (``translations``) runs where its operands are known: in the program of the user's side or of the item's,
which run once for each user and item, or in that of pairs, which reads what these two leave as given matrices. A fourth
program does the last two in one, for items that are not kept. Without sides all fields are the user's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastfm_core import backends
from fastfm_core.serving.folding import folded
from fastfm_core.serving.graph import Graph, Lookup, Node
from fastfm_core.serving.translations import ADDING, translate
from fastfm_core.serving.values import (
    FUSED,
    ITEM,
    PAIR,
    ROW,
    USER,
    Columns,
    Fixed,
    Segments,
    Sum,
    Value,
    columns_of,
    identity,
    side_of,
    width_of,
)


class Sides(NamedTuple):
    """Which fields [F] and raw numbers [I] are the user's; all others are the item's."""

    fields: np.ndarray
    numbers: np.ndarray


class Programs:
    """The C++ programs of a graph, by side. Without ``sides`` there is USER's alone, whose result is the logit.

    made  makes an empty program; None: C++ ones
    item  where items are computed at the moment: ITEM, or FUSED
    """

    def __init__(self, graph: Graph, sides: Sides | None = None, made: Callable[[], Any] | None = None) -> None:
        made = made or _native_program
        graph = graph._replace(logit=folded(graph.logit, {}))
        self.sides = sides or Sides(np.ones(graph.fields, bool), np.ones(graph.numbers, bool))
        self.programs = [made() for _ in range(4)]
        self._emitted: dict[Any, Columns] = {}
        self._looked_up: dict[Any, dict[str, Columns]] = {}
        self._results: dict[Columns, Columns] = {}
        self._widths = [0, 0]
        self._parts = _parts_by_lookup(graph)
        for self.item, last in ((ITEM, PAIR), (FUSED, FUSED)) if sides else ((ITEM, USER),):
            self._found: dict[int, Value] = {}
            for node in graph.nodes():
                self._found[id(node)] = translate(self, node, [self._operand(node, x) for x in node.inputs])
            logit = self.together(self.added(self._found[id(graph.logit)]), last)
            self.programs[last].result(self.place(logit, last), 1)

    def _operand(self, node: Node, x: Node) -> Value:
        """A node's input: added up, except for an operation that adds itself."""
        if node.op not in ADDING:
            self._found[id(x)] = self.added(self._found[id(x)])
        return self._found[id(x)]

    # ---- columns ----------------------------------------------------------------------------------------------------

    def allocate(self, side: int, width: int) -> Columns:
        return Columns(side, ROW, self.programs[side].allocate(width), width)

    def emit(self, side: int, key: tuple[Any, ...], out: int | Columns, call: Callable[[Any, int], object]) -> Columns:
        """The columns that an instruction fills, ``out`` or so many new ones; the same one twice is done once.

        key   of the instruction: equal for what is the same
        call  (the side's program, the first of the columns) -> appends it
        """
        of_side = side, key
        if of_side not in self._emitted:
            columns = self.allocate(side, out) if isinstance(out, int) else out
            call(self.programs[side], columns.begin)
            self._emitted[of_side] = columns
        return self._emitted[of_side]

    def place(self, segment: Columns | Fixed, side: int) -> tuple[int, int]:
        """The operand of a side's program for what this side can read."""
        if isinstance(segment, Fixed):
            return self.programs[side].constant(np.ascontiguousarray(segment.array, np.float32))
        if segment.side == side:
            return segment.of, segment.begin
        if segment not in self._results:  # another side's result, for pairs
            begin = self._widths[segment.side]
            self.programs[segment.side].result((segment.of, segment.begin), segment.width)
            self._widths[segment.side] += segment.width
            self._results[segment] = Columns(PAIR, segment.side, begin, segment.width)
        return self._results[segment].of, self._results[segment].begin

    def together(self, segments: Segments, side: int | None = None) -> Columns | Fixed:
        """A value in neighbouring columns that a side can read, by default where it is known."""
        if len(segments) == 1:
            return segments[0]
        side = side_of(segments) if side is None else side

        def copy(program: Any, begin: int) -> None:
            for segment in segments:
                program.add([(self.place(segment, side), 1.0)], segment.width, False, begin)
                begin += segment.width

        return self.emit(side, ("together", *map(identity, segments)), width_of(segments), copy)

    def add_up(
        self, terms: list[tuple[Columns | Fixed, float]], side: int, out: int | Columns, relu: bool = False
    ) -> Columns:
        """The sum of factor * segment, all of one width."""
        key = "add", relu, *((identity(segment), factor) for segment, factor in terms)
        width = terms[0][0].width

        def add(program: Any, begin: int) -> None:
            program.add([(self.place(segment, side), factor) for segment, factor in terms], width, relu, begin)

        return self.emit(side, key, out, add)

    def added(self, value: Value, relu: bool = False) -> Segments:
        """The columns of a value, a sum's terms added up: first those of each side, then what the sides have."""
        if not isinstance(value, Sum):
            if not relu:
                return value
            value = Sum([(value, 1.0)])
        by_side: dict[int, list[tuple[Segments, float]]] = {}
        for term in sorted(value.terms, key=lambda term: side_of(term[0])):
            by_side.setdefault(side_of(term[0]) if columns_of(term[0]) else min(by_side, default=USER), []).append(term)
        if len(by_side) == 1:
            return self._add_side(*by_side.popitem(), relu)
        last = max(max(by_side), PAIR)
        own = by_side.pop(last, [])
        sums = [(self._add_side(side, terms, False), 1.0) for side, terms in by_side.items()]
        return self._add_side(last, sums + own, relu)

    def _add_side(self, side: int, terms: list[tuple[Segments, float]], relu: bool) -> Segments:
        if len(terms) == 1 and terms[0][1] == 1.0 and not relu:
            return terms[0][0]
        placed = [(self.together(segments, side), factor) for segments, factor in terms]
        return [self.add_up(placed, side, width_of(terms[0][0]), relu)]

    # ---- lookups ----------------------------------------------------------------------------------------------------

    def looked_up(self, lookup: Lookup, part: str) -> dict[int, tuple[Lookup, Columns]]:
        """For each side with fields in it: its lookup, and where the part is (first, pairs, sums or vectors)."""
        found = {}
        for side in (USER, self.item):
            fields = tuple(field for field in lookup.fields if bool(self.sides.fields[field]) == (side == USER))
            if fields:
                key = (side, *_key(lookup))
                if key not in self._looked_up:
                    self._looked_up[key] = self._look_up(side, lookup.of(fields), self._parts[_key(lookup)])
                found[side] = lookup.of(fields), self._looked_up[key][part]
        return found

    def _look_up(self, side: int, lookup: Lookup, parts: set[str]) -> dict[str, Columns]:
        table, linear = lookup.table, lookup.linear
        if parts == {"first"}:
            table = table[:, :0]
        if "first" not in parts:
            linear = None
        dim, own = table.shape[1], np.flatnonzero(self.sides.fields == (side == USER))
        widths = {"first": 1, "pairs": 1, "sums": dim, "vectors": dim * len(lookup.fields)}
        wanted = parts | ({"sums"} if "pairs" in parts and not self.sides.fields.all() else set())
        made = {part: self.allocate(side, width) for part, width in widths.items() if part in wanted}
        fields = np.searchsorted(own, lookup.fields).tolist()  # positions among the side's own
        places = [made[part].begin if part in made else -1 for part in widths]
        self.programs[side].lookup(table, linear, fields, list(lookup.shifts), *places)
        return made


def _native_program() -> Any:
    backends.get("native")  # says why, where it cannot run
    from fastfm_core import _native  # type: ignore[attr-defined]

    return _native.Program()


def _parts_by_lookup(graph: Graph) -> dict[Any, set[str]]:
    """What the graph wants of each lookup, so that its rows are read once."""
    parts: dict[Any, set[str]] = {}
    for node in graph.nodes():
        if "lookup" in node.facts:
            parts.setdefault(_key(node.facts["lookup"]), set()).add(node.op.lower())
    return parts


def _key(lookup: Lookup) -> tuple[int, tuple[int, ...]]:
    return lookup.table.__array_interface__["data"][0], lookup.fields
