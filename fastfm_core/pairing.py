"""Users and items of a trained model in tables of their own: which column is whose, and each side encoded alone.

A field belongs to the side whose table has its columns. A cross of columns of both sides belongs to neither.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastfm_core import backends
from fastfm_core.contract import Batch
from fastfm_core.data import Encoded, Encoder, Schema
from fastfm_core.data.columns import Table, column_of, ragged_positions, single_of, table_length, take
from fastfm_core.data.history import Histories, Past
from fastfm_core.data.schema import Field, History
from fastfm_core.data.stream import Gathered, gathered, naming
from fastfm_core.data.text import Texts
from fastfm_core.errors import InputError
from fastfm_core.nn.uses import batch_of_fields

USER, ITEM = "user", "item"


class Given(NamedTuple):
    """A table, and what it is called in messages."""

    name: str
    table: Table


class Side(NamedTuple):
    """The rows of one side.

    encoded  all fields; those of the other side are missing;  fields  [F], numbers [I] bool: which are its own
    """

    encoded: Encoded
    fields: np.ndarray
    numbers: np.ndarray

    def batch(self, rows: np.ndarray) -> Batch:
        """The samples ``rows`` [B], its own fields and numbers alone; it must have a field."""
        batch = batch_of_fields(self.encoded.take(rows), self.fields, backends.get("native"))
        if batch.dense is None or not self.numbers.any():
            return batch._replace(dense=None)
        return batch._replace(dense=np.ascontiguousarray(batch.dense[:, self.numbers]))


class Pairing:
    """What a model reads of users and items.

    of_column  column -> USER or ITEM;  of_field  the same of fields, "" for one of both sides
    """

    def __init__(self, encoder: Encoder, users: Given, items: Given) -> None:
        self._encoder, self._given = encoder, {USER: users, ITEM: items}
        self._counts = {side: _rows_of(given) for side, given in self._given.items()}
        columns = dict.fromkeys(column for field in _plain(encoder.schema) for column in field.columns)
        self.of_column = {column: self._owner(column) for column in columns}
        self.of_field = {field.name: self._side(field) for field in encoder.schema.fields}
        for side, given in self._given.items():
            if side not in self.of_field.values() and "" not in self.of_field.values():
                raise InputError(f"{given.name}: has no column that the model reads, so every {side} would be the same")
        with naming(users.name):
            self._past = self._histories()

    @property
    def crossing(self) -> list[str]:
        """The fields whose columns come from both sides."""
        return [name for name, side in self.of_field.items() if not side]

    def side(self, side: str) -> Side:
        """The rows of one side, encoded. InputError for what is wrong in its table."""
        encoder, given, count = self._encoder, self._given[side], self._counts[side]
        blank = Texts.of([""])[np.zeros(count, np.int64)]
        own = {name: column_of(given.table, name) if of == side else blank for name, of in self.of_column.items()}
        with naming(given.name):
            encoded = encoder.transform(self._with_items_of_histories(own, blank) | self._pasts(side))
        names = encoder.field_names, encoder.dense_names
        return Side(encoded, *(np.array([self.of_field[name] == side for name in of], bool) for of in names))

    def rows(self, user: int, items: np.ndarray) -> Encoded:
        """One user with each of some items, rows ``items`` [m] of their table, all fields encoded."""
        table: Table = {}
        for column, owner in self.of_column.items():
            rows = np.full(len(items), user) if owner == USER else items
            table[column] = take(column_of(self._given[owner].table, column), rows)
        pasts = {name: _repeated(past, np.full(len(items), user)) for name, past in self._past.items()}
        blank = Texts.of([""])[np.zeros(len(items), np.int64)]
        return self._encoder.transform(self._with_items_of_histories(table, blank) | pasts)

    def _owner(self, column: str) -> str:
        """Whose a column is: of whoever has it; where both do, of the side that training named."""
        found = [side for side, given in self._given.items() if column in given.table]
        users, items = (given.name for given in self._given.values())
        if not found:
            raise InputError(
                f"column {column!r}, which the model reads, is neither in {users} nor in {items}: add it to one of them"
            )
        schema = self._encoder.schema
        named = [schema.side(field.name) for field in _plain(schema) if column in field.columns]
        side = next(filter(None, named), "") if len(found) == 2 else found[0]
        if not side:
            raise InputError(f"column {column!r} is both in {users} and in {items}: take it out of one of them")
        return side

    def _side(self, field: Field) -> str:
        if isinstance(field, History):
            return USER
        sides = {self.of_column[column] for column in field.columns}
        return sides.pop() if len(sides) == 1 else ""

    def _histories(self) -> dict[str, Past]:
        """Those of the users at the times that their table names, from the visits that the model remembers."""
        histories, users = self._encoder.histories, self._given[USER]
        whole: dict[str, Gathered] = {}
        for field in histories:
            for column, what in ((field.user, "who it is"), (field.time, "the time to recommend for")):
                if column not in users.table:
                    raise InputError(f"history {field.name!r} needs the column {column!r}, {what}: add it")
                whole[column] = gathered(single_of(users.table, column))
        for field in histories:  # rows without item: these users' rows are history to no other
            whole[field.column] = Gathered(Texts.of([""]), np.zeros(self._counts[USER], np.int32))
        return Histories(histories, whole, self._encoder.visits).of_rows(0, self._counts[USER])

    def _pasts(self, side: str) -> dict[str, Past]:
        if side == USER:
            return self._past
        nothing = Past(Texts.of([]), np.zeros(0, np.int64), np.zeros(self._counts[side] + 1, np.int64))
        return dict.fromkeys(self._past, nothing)

    def _with_items_of_histories(self, table: Table, blank: Texts) -> Table:
        """The encoder asks for all columns of its schema, though a history that is brought along reads none."""
        return dict.fromkeys(self._encoder.schema.columns, blank) | table


def _plain(schema: Schema) -> list[Field]:
    """The fields that read columns of a row itself; the columns of histories are those of users alone."""
    return [field for field in schema.fields if not isinstance(field, History)]


def _rows_of(given: Given) -> int:
    with naming(given.name):
        if count := table_length(given.table):
            return count
        raise InputError("there are no data rows: add some")


def _repeated(past: Past, rows: np.ndarray) -> Past:
    positions, offsets = ragged_positions(past.offsets, rows)
    return Past(past.items, past.codes[positions], offsets)
