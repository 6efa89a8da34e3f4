"""Histories against plain Python: what the user had strictly before, and never the row itself, its time or later."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastfm_core.data import Categorical, Encoder, History, Schema
from fastfm_core.data.columns import Table, take
from fastfm_core.data.grow import extended, moved_rows
from fastfm_core.data.history import Histories, whole_columns
from fastfm_core.data.text import Texts
from fastfm_core.errors import InputError

from .fitting import assert_same_encoded, fitted
from .tables import text_column

Visit = tuple[str, str, str, str]  # user, item, time, rating
CELLS = st.sampled_from(["a", "b", ""]), st.sampled_from([*"pqrstu", ""]), st.sampled_from(["1", "2.5", "-3", "40", ""])
VISITS = st.lists(st.tuples(*CELLS, st.sampled_from(["1", "4", "5", ""])), min_size=1, max_size=25)


def table_of(visits: list[Visit]) -> Table:
    names = ("user", "item", "time", "rating")
    return {name: text_column(*column) for name, column in zip(names, zip(*visits, strict=True), strict=True)}


def history(**arguments: Any) -> History:
    return History("item", "user", "time", **arguments)


def expected(before: list[Visit], visits: list[Visit], length: int, positive: bool = False) -> list[list[str]]:
    """The oracle: for each visit, the last items of earlier ones, of ``before`` where the table does not hold them."""

    def counts(visit: Visit) -> bool:
        return all(visit[:3]) and (not positive or (visit[3] != "" and float(visit[3]) >= 4))

    own = [visit for visit in visits if counts(visit)]
    held = {visit[:3] for visit in own}
    known = [visit for visit in before if counts(visit) and visit[:3] not in held] + own
    found = []
    for user, _, time, _ in visits:
        earlier = [visit for visit in known if user and time and visit[0] == user and float(visit[2]) < float(time)]
        earlier.sort(key=lambda visit: float(visit[2]))
        found.append([visit[1] for visit in earlier][-length:])
    return found


def found_in(encoder: Encoder, table: Table) -> list[list[str]]:
    """What the encoder puts into the field, as items again; "?" is the unknown row."""
    encoded = encoder.transform(table)
    assert encoded.offsets is not None
    field, fields = encoder.field_names.index("item history"), encoder.fields
    schema = encoder.schema
    owner = schema.names.index(schema.owner(schema.fields[schema.names.index("item history")]).name)
    texts = ["?", "", *encoder.to_dict()["codecs"][owner]["vocabulary"]]
    slots = [slice(*encoded.offsets[row * fields + field :][:2]) for row in range(len(encoded))]
    return [[texts[row - encoder.bases[field]] for row in encoded.ids[slot]] for slot in slots]


@given(VISITS, st.integers(1, 4), st.booleans(), st.booleans())
def test_histories_are_those_of_plain_python(visits, length: int, share: bool, positive: bool) -> None:
    field = history(length=length, share="item" if share else None, positive="rating>=4" if positive else None)
    encoder, _ = fitted(table_of(visits), Categorical("item"), Categorical("user"), field)
    assert found_in(encoder, table_of(visits)) == expected([], visits, length, positive)


@given(VISITS, VISITS)
def test_another_table_sees_what_is_remembered_and_its_own_earlier_rows(training, visits) -> None:
    encoder = Encoder.fit(table_of(training), Schema([history()]), min_count=1)
    items = {visit[1] for visit in training}
    known = [[item if item in items else "?" for item in past] for past in expected(training, visits, 20)]
    again = Encoder.from_dict(json.loads(json.dumps(encoder.to_dict())))
    assert found_in(encoder, table_of(visits)) == found_in(again, table_of(visits)) == known
    assert again.to_dict() == encoder.to_dict()


@given(VISITS, st.integers(1, 3))
def test_each_users_last_visits_are_remembered(training, length: int) -> None:
    encoder = Encoder.fit(table_of(training), Schema([history(length=length)]), min_count=1)
    late = [(user, "p", "1000", "") for user in "ab"]
    assert found_in(encoder, table_of(late)) == expected(training, late, length)


@given(VISITS, st.lists(st.integers(0, 25), max_size=4), st.booleans())
def test_pieces_of_any_size_are_the_table(visits, cuts, as_texts: bool) -> None:
    encoder = Encoder.fit(table_of(visits), Schema([history(length=3, pooling="sqrtn")]), min_count=2)
    table = {name: Texts.of(column) if as_texts else column for name, column in table_of(visits).items()}
    begins = np.array([0, *sorted(min(cut, len(visits)) for cut in cuts), len(visits)])
    histories = Histories(encoder.histories, whole_columns(encoder.histories, table), encoder.visits)
    rows: list[bytes] = []
    for number, (begin, end) in enumerate(pairwise(begins.tolist())):
        piece = {name: take(column, np.arange(begin, end)) for name, column in table.items()}
        encoded = encoder.transform(histories.beside(piece, begins, number))
        rows += [encoded.take(np.array([row])).entries.ids.tobytes() for row in range(end - begin)]
    whole = encoder.transform(table)
    assert rows == [whole.take(np.array([row])).entries.ids.tobytes() for row in range(len(visits))]
    assert_same_encoded(whole, encoder.transform(table_of(visits)))


@given(VISITS)
def test_a_rows_own_item_and_what_comes_later_change_nothing(visits) -> None:
    """The leak: the label could be told by the row's own item, by the next one, or by those of the same time."""
    encoder = Encoder.fit(table_of(visits), Schema([history()]), min_count=1)
    for row, (user, _, time, _) in enumerate(visits):
        others = [("b" if u == "a" else u, "s", t, r) if not t or not time or float(t) >= float(time) else (u, i, t, r)
                  for u, i, t, r in visits]  # fmt: skip
        others[row] = (user, "s", time, "")
        fresh = Encoder.from_dict({**encoder.to_dict(), "visits": {}})
        assert found_in(fresh, table_of(others))[row] == expected([], visits, 20)[row]


def test_nothing_of_the_table_it_was_fitted_on_counts_twice() -> None:
    visits = [("a", item, str(time), "") for time, item in enumerate("pqppr")]
    encoder, _ = fitted(table_of(visits), history())
    assert found_in(encoder, table_of(visits)) == [[], ["p"], ["p", "q"], ["p", "q", "p"], ["p", "q", "p", "p"]]
    assert found_in(encoder, table_of(visits[:2] + visits[3:]))[-1] == ["p", "q", "p", "p"]


@pytest.mark.parametrize(("pooling", "values"), [("mean", [1, 0.5, 0.5]), ("sum", None), ("sqrtn", [1, 0.5**0.5] * 2)])
def test_pooling_of_a_history_and_the_empty_bag(pooling: Any, values) -> None:
    encoder, encoded = fitted(table_of([("a", "p", t, "") for t in "123"]), history(pooling=pooling))
    np.testing.assert_array_equal(encoded.offsets, [0, 0, 1, 3])
    assert encoded.ids.tolist() == [2, 2, 2] and encoder.zero_rows.tolist() == [0, 1]
    if values is None:
        assert encoded.values is None
    else:
        assert encoded.values is not None
        np.testing.assert_allclose(encoded.values, [1, values[1], values[1]])


def test_a_shared_vocabulary_counts_an_item_once_a_row() -> None:
    visits = [("a", item, str(time), "") for time, item in enumerate("pqpr")]
    encoder, _ = fitted(table_of(visits), Categorical("item"), history(share="item"), min_count=2)
    assert encoder.to_dict()["codecs"][0]["vocabulary"] == ["p"] and encoder.bases.tolist() == [0, 0]
    own, _ = fitted(table_of(visits), history(min_count=2))
    assert own.to_dict()["codecs"][0]["vocabulary"] == ["p"]


def test_times_are_numbers_dates_or_moments() -> None:
    times = ["2026-11-24", "2026-11-24T01:00", "2026-11-24 00:30:00", "2026-11-24T02:30:00+02:00"]
    visits = [("a", item, time, "") for item, time in zip("pqrs", times, strict=True)]
    encoder, _ = fitted(table_of(visits), history())
    assert found_in(encoder, table_of(visits)) == [[], ["p", "r", "s"], ["p"], ["p"]]
    columns = {"user": np.array([7, 7, 7]), "item": np.array([1, 2, 3]), "time": np.array([2.0, np.nan, 3.0])}
    encoder, encoded = fitted(columns, history())
    np.testing.assert_array_equal(encoded.offsets, [0, 0, 0, 1])


def test_without_the_judged_column_a_tables_own_rows_do_not_count() -> None:
    visits = [("a", "p", "1", "5"), ("a", "q", "2", "1"), ("a", "r", "3", "4")]
    encoder, _ = fitted(table_of(visits), history(positive="rating>=4"))
    late = table_of([("a", "q", "8", ""), ("a", "q", "9", "")])
    del late["rating"]
    assert found_in(encoder, late) == [["p", "r"], ["p", "r"]]


def test_a_warm_start_remembers_both_tables() -> None:
    first, second = [("a", "p", "1", ""), ("b", "q", "1", "")], [("a", "z", "2", ""), ("a", "p", "1", "")]
    old, fresh = (fitted(table_of(visits), history())[0] for visits in (first, second))
    grown = extended(old, fresh)
    late = table_of([("a", "q", "9", ""), ("b", "q", "9", "")])
    assert found_in(grown, late) == [["p", "z"], ["q"]]
    assert moved_rows(old, grown).tolist() == list(range(old.rows))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: History("item", length=0), "'item history': length is 0"),
        (lambda: History("item", pooling="none"), "pooling is 'none', choose one of mean, sum, sqrtn"),  # pyright: ignore
        (lambda: Schema([Categorical("user"), history(name="time")]), "'time' is called like a column"),
        (lambda: Schema([history(share="item")]), "share='item' is no such column"),
        (lambda: Schema([Categorical("item"), history(share="item", min_count=2)]), "give min_count there"),
        (lambda: Schema([history()], label="time"), "both label and feature"),
    ],
)
def test_wrong_histories_are_refused(make, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize(
    ("name", "cell", "message"),
    [
        ("time", "soon", "column 'time', data row 2: 'soon' is neither a number nor a date or moment"),
        ("rating", "x", "column 'rating', data row 2: 'x' is not a finite number"),
    ],
)
def test_a_wrong_cell_is_named(name: str, cell: str, message: str) -> None:
    table = table_of([("a", "p", "1", "5"), ("a", "q", "2", "1")])
    table[name][1] = cell
    with pytest.raises(InputError, match=message):
        Encoder.fit(table, Schema([history(positive="rating>=4")]))


def test_a_column_that_is_not_there_is_named() -> None:
    table = table_of([("a", "p", "1", "5")])
    with pytest.raises(InputError, match="no column 'when': "):
        Encoder.fit(table, Schema([History("item", "user", "when")]))
    with pytest.raises(InputError, match="no column 'rated': the columns are"):
        Encoder.fit(table, Schema([history(positive="rated>=4")]))
