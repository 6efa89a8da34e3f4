"""Histories: the items that the same user had strictly before a row, of a whole table and of what a model remembers.

A row is a visit (user, time, item). Its history is the user's last ``length`` visits whose time is less than the row's:
rows of the same time do not see each other, nor does a row see itself. Visits without user, time or item are history to
no row, and a row without user or time has none. Of equal times the later row of the table counts as the later visit.

A model remembers each user's last visits of the table that it was trained on. The rows of another table see those and
their own table's; a visit that both hold counts once.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, NamedTuple

import numpy as np

from fastfm_core.data.columns import RowError, Table, decimals, single_of, table_length, unknown_column
from fastfm_core.data.labels import label_values, parse_expression
from fastfm_core.data.schema import Field, History
from fastfm_core.data.stream import Gathered, gathered
from fastfm_core.data.text import TextIndex, Texts
from fastfm_core.errors import InputError


@dataclass(frozen=True, eq=False)
class Past:
    """A column of n histories: cell i holds items[codes[offsets[i]]] .. items[codes[offsets[i+1]-1]], oldest first.

    items  distinct texts;  codes  [N] int64;  offsets  [n+1] int64
    """

    items: Texts
    codes: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1


class Visits(NamedTuple):
    """Rows of a table, in order.

    users, items  distinct texts;  user, item  [n] int64 positions among them;  time  [n] float64, NaN: missing
    counts        [n] bool: has user, time and item, and is history to later rows
    """

    users: Texts
    items: Texts
    user: np.ndarray
    time: np.ndarray
    item: np.ndarray
    counts: np.ndarray

    def followed_by(self, other: Visits) -> Visits:
        """These visits, except those that ``other`` holds as well, and then the other's."""
        users, items = TextIndex(self.users), TextIndex(self.items)
        user = np.concatenate([self.user, users.add(other.users)[other.user]])
        item = np.concatenate([self.item, items.add(other.items)[other.item]])
        time, counts = np.concatenate([self.time, other.time]), np.concatenate([self.counts, other.counts])
        keys = np.unique(_keys(user, time), return_inverse=True)[1].reshape(-1) * len(items) + item
        count = len(self.user)
        kept = np.append(~np.isin(keys[:count], keys[count:][other.counts]), np.ones(len(other.user), bool))
        return Visits(users.texts, items.texts, user[kept], time[kept], item[kept], counts[kept])

    def in_order(self) -> np.ndarray:
        """[E] the visits that count, by user, then time, then row."""
        rows = np.flatnonzero(self.counts)
        return rows[np.lexsort((self.time[rows], self.user[rows]))]

    def last(self, length: int) -> Visits:
        """Each user's last ``length`` visits, by user and time; texts that none of them names are left out."""
        rows = self.in_order()
        user = self.user[rows]
        rows = rows[np.arange(len(rows)) >= np.searchsorted(user, user, "right") - length]
        (users, user), (items, item) = (np.unique(codes[rows], return_inverse=True) for codes in (self.user, self.item))
        texts = self.users[users].packed(), self.items[items].packed()
        return Visits(*texts, user, self.time[rows], item, self.counts[rows])

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, of visits that all count: texts, and arrays as the base64 of their little-endian bytes."""
        arrays = {"user": self.user.astype("<i4"), "time": self.time.astype("<f8"), "item": self.item.astype("<i4")}
        packed = {name: base64.b64encode(array.tobytes()).decode() for name, array in arrays.items()}
        return {"users": self.users.tolist(), "items": self.items.tolist(), **packed}

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Visits:
        """The visits that ``to_dict`` described."""
        types = {"user": "<i4", "time": "<f8", "item": "<i4"}
        user, time, item = (np.frombuffer(base64.b64decode(state[name]), kind) for name, kind in types.items())
        users, items = Texts.of(state["users"]), Texts.of(state["items"])
        whole = user.astype(np.int64), time.astype(np.float64), item.astype(np.int64)
        return cls(users, items, *whole, np.ones(len(user), bool))


class _Histories(NamedTuple):
    """The histories of one field: row i has the visits starts[i] .. ends[i]-1 of ``item`` [E], oldest first."""

    items: Texts
    item: np.ndarray
    starts: np.ndarray
    ends: np.ndarray


class Histories:
    """The histories of all rows of a table, a ``Past`` for each History field and piece of the table.

    fields   the schema's; those that are no histories are passed over
    columns  whole columns of the table, at least those that ``columns_read`` names
    before   field name -> what the user did before this table began, if anything
    """

    def __init__(
        self, fields: Iterable[Field], columns: Mapping[str, Gathered], before: Mapping[str, Visits] | None = None
    ) -> None:
        self._fields = histories_of(fields)
        self._own = {field.name: _visits(field, columns) for field in self._fields}
        known = before or {}
        self._found = {name: _search(field, self._own[name], known.get(name)) for name, field in self._named()}

    def remembered(self) -> dict[str, Visits]:
        """Field name -> each user's last visits of this table."""
        return {name: self._own[name].last(field.length) for name, field in self._named()}

    def of_rows(self, begin: int, end: int) -> dict[str, Past]:
        """Field name -> the histories of the rows begin .. end-1."""
        return {name: _past(found, slice(begin, end)) for name, found in self._found.items()}

    def beside(self, table: Table, begins: np.ndarray, number: int) -> Table:
        """Piece ``number`` of the table, with its histories; begins [p+1]: the row each piece begins with, the end."""
        if not self._fields:
            return table
        begin, end = begins[number : number + 2].tolist() if number + 1 < len(begins) else (0, -1)
        if table_length(table) != end - begin:
            raise InputError("the file changed while it was read: run again when nothing writes to it")
        return table | self.of_rows(begin, end)

    def _named(self) -> list[tuple[str, History]]:
        return [(field.name, field) for field in self._fields]


def histories_of(fields: Iterable[Field]) -> list[History]:
    """Those of the fields that are histories."""
    return [field for field in fields if isinstance(field, History)]


def columns_read(fields: Iterable[Field], names: Sequence[str], *, training: bool = False) -> list[str]:
    """The columns that the histories among the fields are made of, each once.

    The column of ``positive`` may be missing outside training: no row is then history to another.
    """
    found: dict[str, None] = {}
    for field in histories_of(fields):
        found.update(dict.fromkeys(field.columns))
        if field.positive and (training or _judged(field, names)):
            found[parse_expression(field.positive, names).column] = None
    for name in found:
        if name not in names:
            raise InputError(unknown_column(name, names))
    return list(found)


def whole_columns(fields: Iterable[Field], table: Table, *, training: bool = False) -> dict[str, Gathered]:
    """The columns of a table in memory that ``columns_read`` names."""
    return {name: gathered(single_of(table, name)) for name in columns_read(fields, list(table), training=training)}


def _judged(field: History, names: Iterable[str]) -> str | None:
    """The column that ``positive`` is about, None where there is none of that name."""
    try:
        return parse_expression(field.positive or "", names).column
    except InputError:
        return None


def _visits(field: History, columns: Mapping[str, Gathered]) -> Visits:
    item, user, time = (columns[name] for name in field.columns)
    times = _times(time, field.time)
    counts = _filled(item) & _filled(user) & ~np.isnan(times)
    if field.positive:
        counts &= _positive(field, columns)
    return Visits(user.texts, item.texts, user.codes.astype(np.int64), times, item.codes.astype(np.int64), counts)


def _filled(column: Gathered) -> np.ndarray:
    """[n] bool: the cell is not empty."""
    return (column.texts.starts < column.texts.ends)[column.codes]


def _positive(field: History, columns: Mapping[str, Gathered]) -> np.ndarray:
    """[n] bool: the row fulfils the field's condition; a missing cell does not."""
    name = _judged(field, columns)
    if name is None:
        return np.zeros(len(columns[field.column].codes), bool)
    column = columns[name]
    filled = np.flatnonzero(column.texts.starts < column.texts.ends)
    positive = np.zeros(len(column.texts), bool)
    try:
        positive[filled] = label_values({name: column.texts[filled]}, field.positive or "") > 0
    except RowError as error:
        raise RowError(error.where, column.row_of(int(filled[error.row - 1]) + 1), error.what) from None
    return positive[column.codes]


def _times(column: Gathered, name: str) -> np.ndarray:
    """[n] float64: the numbers of a column, or the seconds since 1970 of its dates and moments; NaN: missing."""
    times = decimals(column.texts)
    for number in np.flatnonzero(np.isinf(times)).tolist():
        text = column.texts[number]
        try:
            times[number] = _seconds(text)
        except ValueError:
            what = f": {text!r} is neither a number nor a date or moment as in 2026-11-24T18:30:00: correct the cell"
            raise RowError(f"column {name!r}, ", column.row_of(number + 1), what) from None
    return times[column.codes]


def _seconds(text: str) -> float:
    moment = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()


def _keys(user: np.ndarray, time: np.ndarray) -> np.ndarray:
    """[n] int64 that sort like (user, time)."""
    times, ranks = np.unique(time, return_inverse=True)
    return user * (len(times) + 1) + ranks.reshape(-1)


def _search(field: History, own: Visits, before: Visits | None) -> _Histories:
    """Finds the visits before each row of ``own``; rows without user or time have none."""
    whole = own if before is None else before.followed_by(own)
    keys, order, rows = _keys(whole.user, whole.time), whole.in_order(), slice(len(whole.user) - len(own.user), None)
    wanted, ends = np.argsort(keys[rows]), np.empty(len(own.user), np.int64)
    ends[wanted] = np.searchsorted(keys[order], keys[rows][wanted])  # in order, for else each search misses the cache
    firsts = np.searchsorted(whole.user[order], np.arange(len(whole.users)))
    starts = np.maximum(firsts[whole.user[rows]], ends - field.length)
    known = ~np.isnan(own.time) & (own.users.starts < own.users.ends)[own.user]
    return _Histories(whole.items, whole.item[order], np.where(known, starts, 0), np.where(known, ends, 0))


def _past(found: _Histories, rows: slice) -> Past:
    starts, lengths = found.starts[rows], (found.ends - found.starts)[rows]
    offsets = np.append(0, np.cumsum(lengths))
    places = np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1])
    return Past(found.items, found.item[places], offsets)
