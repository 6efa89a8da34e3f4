"""What the lookups of a graph read in an ONNX file: one table for all parts that use it, one lookup of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastfm_core.errors import InputError
from fastfm_core.serving.graph import Graph, Node
from fastfm_core.serving.onnx_file import OnnxFile
from fastfm_core.serving.onnx_lookup import Bags, SingleIds

PARTS = ("First", "Pairs", "Vectors")


class Table(NamedTuple):
    """Rows that hold D numbers of the vectors, where some part uses them, and the first order behind, likewise.

    name    of the array [V, W]
    fields  [k] those that some part uses, ascending; shifts [k] as ``graph.Lookup``
    """

    name: str
    dim: int
    width: int
    fields: tuple[int, ...]
    shifts: tuple[int, ...]


class Tables:
    """The tables of a graph. Each is looked up for all fields that any part needs, and each part takes its own."""

    def __init__(self, graph: Graph, file: OnnxFile, entries: SingleIds | Bags) -> None:
        self.file, self.entries = file, entries
        uses: dict[int, list[Node]] = {}
        for node in graph.nodes():
            if node.op in PARTS:
                uses.setdefault(id(node.facts["lookup"].table), []).append(node)
        self.tables = {key: self._table(f"table_{number}", nodes) for number, (key, nodes) in enumerate(uses.items())}

    def value(self, node: Node) -> str:
        """First [B], Pairs [B] or Vectors [B, k, D] of the node's fields."""
        lookup, file = node.facts["lookup"], self.file
        table = self.tables[id(lookup.table)]
        if isinstance(self.entries, Bags) and self.entries.pooling == "none":
            return self._without_fields(node.op, table)
        rows = self.entries.vectors(table.name, table.width, table.fields, table.shifts)
        own = file.take(rows, table.dim, 2) if node.op == "First" else self._vectors(rows, table, 2)
        if lookup.fields != table.fields:
            own = file.take(own, [table.fields.index(field) for field in lookup.fields], 1)
        if node.op == "Pairs":
            own = bi_interaction(file, own)
        return own if node.op == "Vectors" else file.reduce("Sum", own, 1)

    def _table(self, name: str, nodes: list[Node]) -> Table:
        lookup, parts = nodes[0].facts["lookup"], {node.op for node in nodes}
        array = lookup.table if parts - {"First"} else lookup.table[:, :0]
        dim = array.shape[1]
        if "First" in parts:
            array = np.column_stack([array, lookup.linear])
        shifts = {
            field: shift
            for node in nodes
            for field, shift in zip(node.facts["lookup"].fields, node.facts["lookup"].shifts, strict=True)
        }
        fields = tuple(sorted(shifts))
        return Table(self.file.constant(array, name), dim, array.shape[1], fields, tuple(shifts[f] for f in fields))

    def _without_fields(self, part: str, table: Table) -> str:
        """Every entry is a term of its own: its sums over a sample are all that First and Pairs need."""
        assert isinstance(self.entries, Bags)
        if part == "Vectors":
            raise InputError('samples without fields (pooling="none") have no vectors; export an lr or fm model')
        file, (total, squares) = self.file, self.entries.sums(table.name, table.width)
        if part == "First":
            return file.take(total, table.dim, 1)
        vectors, squares = (self._vectors(x, table, 1) for x in (total, squares))
        return file.reduce("Sum", pairs_of_sums(file, vectors, squares), 1)

    def _vectors(self, rows: str, table: Table, axis: int) -> str:
        """Without the first order behind them."""
        return rows if table.dim == table.width else self.file.cut(rows, 0, table.dim, axis)


def bi_interaction(file: OnnxFile, e: str) -> str:
    """e [B, F, D] -> [B, D] sum over all pairs of e_f * e_g."""
    return pairs_of_sums(file, file.reduce("Sum", e, 1), file.reduce("Sum", file.op("Mul", e, e), 1))


def pairs_of_sums(file: OnnxFile, total: str, squares: str) -> str:
    """1/2 (S^2 - Q), of the sum S of vectors and the sum Q of their squares."""
    return file.op("Mul", file.op("Sub", file.op("Mul", total, total), squares), file.constant(0.5))
