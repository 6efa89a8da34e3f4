"""The best items for each user: what depends on one side alone is computed once, then all pairs are scored in C++.

Memory holds both tables, each item as its row of ``serving.Ranker``, and the scores of one user on each thread: never
those of all pairs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastfm_core import threads
from fastfm_core.data import Encoder
from fastfm_core.data.columns import RowError, Table, single_of, take, texts_of, unknown_column
from fastfm_core.data.readers import open_table, read_table
from fastfm_core.data.schema import Categorical
from fastfm_core.data.stream import Gathered, gather, gathered, naming, require_unchanged, stamps
from fastfm_core.data.tables import as_table
from fastfm_core.data.text import TextIndex, Texts
from fastfm_core.errors import InputError, NonFiniteLoss
from fastfm_core.metrics import sigmoid
from fastfm_core.pairing import ITEM, USER, Given, Pairing, Side
from fastfm_core.score import Passes, score_name, silent
from fastfm_core.trained import TrainedModel
from fastfm_core.writing import form_of, table_writer

USERS_AT_ONCE, ITEMS_AT_ONCE = 256, 1 << 14
RANK = "rank"
WHOLE = re.compile(r"-?[0-9]{1,40}")
Scores = Callable[[int], np.ndarray]  # number of a user among some -> scores [m] of all items


class Ranked(NamedTuple):
    """users [R], items [R]: rows of their tables, by user, best first; ranks [R] from 1; scores [R] float64."""

    users: np.ndarray
    items: np.ndarray
    ranks: np.ndarray
    scores: np.ndarray


def recommend(
    model: TrainedModel, users: Any, items: Any, *, seen: Any = None, k: int = 10,
    user_id: str | None = None, item_id: str | None = None,
) -> Table:  # fmt: skip
    """The ``k`` best items of each user that the user has not seen.

    users, items      dicts of columns or DataFrames: what the model reads, each column in one of the two
    seen              a table with the ids of users and items that have met; ids in neither table are passed over
    user_id, item_id  the columns that identify them; None: those that training named first

    Returns the columns user_id, item_id, "rank" from 1 and "probability" ("prediction" for regression), users in the
    order of their table, items by score; equal scores by id, as numbers where all ids are whole numbers, else as text.
    Raises InputError for columns that are missing or in both tables, and for items that occur twice; BackendUnavailable
    where the C++ kernels were not built.
    """
    ids = _ids(model.encoder, user_id, item_id)
    with naming("seen"):
        met = None if seen is None else {name: gathered(single_of(_table(seen), name)) for name in ids}
    maker = Recommender(model, Given("users", _table(users)), Given("items", _table(items)), ids, met, k)
    found = [np.concatenate(part) for part in zip(*maker.blocks(), strict=True)]
    return dict(zip(maker.names, maker.columns(Ranked(*found)), strict=True))


def _table(source: Any) -> Table:
    return source if isinstance(source, dict) else as_table(source)


def recommend_files(
    model: TrainedModel, users: str | Path, items: str | Path, *, out: str | Path | None,
    seen: str | Path | None = None, k: int = 10, user_id: str | None = None, item_id: str | None = None,
    passes: Passes = silent, say: Callable[[str], object] = lambda line: None,
) -> None:  # fmt: skip
    """``recommend`` for files: writes its table to ``out``, whole or not at all; None: stdout, as CSV.

    say  is told what a reader should know: what makes it slow, how many users get nothing
    """
    paths = [Path(path) for path in (users, items, seen) if path is not None]
    if out and Path(out).resolve() in [path.resolve() for path in paths]:
        raise InputError(f"{out}: would replace the table it is made from; name another file")
    before = stamps(paths)
    ids = _ids(model.encoder, user_id, item_id)
    sides = Given(str(users), read_table(users)), Given(str(items), read_table(items))
    met = None if seen is None else _met(seen, ids, passes)
    maker = Recommender(model, *sides, ids, met, k)
    for line in maker.notes:
        say(line)
    writer = table_writer(out, form_of(out), maker.names[:2], maker.names[2:])
    with writer as write, passes("ranking items") as progress:
        for block in maker.blocks(progress):
            write(*maker.columns(block))
        require_unchanged(before)


def _met(path: str | Path, ids: tuple[str, str], passes: Passes) -> Mapping[str, Gathered]:
    reader = open_table(path)
    with naming(path), passes(f"reading {reader.path.name}") as progress:
        return gather(reader, list(ids), progress)[0]


def _ids(encoder: Any, user_id: str | None, item_id: str | None) -> tuple[str, str]:
    """The columns that identify users and items."""
    if not isinstance(encoder, Encoder):
        raise InputError("a model of a matrix has no columns of users and items to tell apart")
    schema = encoder.schema
    named = schema.user, schema.item
    if not any(named) and len(schema.fields) == 2:  # as the models of two sides take them
        named = (schema.names[0],), (schema.names[1],)
    found = []
    for side, given, names in ((USER, user_id, named[0]), (ITEM, item_id, named[1])):
        first = [field for field in schema.fields if isinstance(field, Categorical) and field.name in names[:1]]
        if not given and not first:
            raise InputError(f"which column identifies the {side}? training did not name it: give --{side}-id COL")
        found.append(given or first[0].name)
    return found[0], found[1]


class Recommender:
    """The best items for each user of a table, block by block.

    names  of the columns;  notes  lines for the reader
    """

    def __init__(
        self, model: TrainedModel, users: Given, items: Given, ids: tuple[str, str],
        seen: Mapping[str, Gathered] | None, k: int,
    ) -> None:  # fmt: skip
        if k < 1:
            raise InputError(f"k is {k}, it must be at least 1")
        self.names = [*ids, RANK, score_name(model)]
        if len(set(self.names)) < len(self.names):
            raise InputError(f"the output's columns would be {', '.join(self.names)}: rename those that are equal")
        self._binary, self._k = model.task == "binary", k
        self._users, self._items = _id_column(users, ids[0], USER), _id_column(items, ids[1], ITEM)
        texts = _require_distinct(self._items, items.name, ids[1])
        self._order = _in_order(texts.tolist())
        met = None if seen is None else [seen[name] for name in ids]
        self._seen = _Seen(_texts(self._users), texts[self._order], met)
        pairing = Pairing(model.encoder, users, items)
        sides = pairing.side(USER), pairing.side(ITEM)
        self.notes = self._seen.notes()
        if not pairing.crossing and all(side.fields.any() for side in sides):
            self._scorer: _Apart | _Whole = _Apart(model, *sides, self._order)
        else:
            why = f"{pairing.crossing[0]} crosses users with items" if pairing.crossing else "a side has numbers alone"
            self.notes.append(f"{why}: every pair is encoded and scored as a whole row, which is slow")
            self._scorer = _Whole(model, pairing, self._order)

    def blocks(self, progress: Callable[[int, int], None] | None = None) -> Iterator[Ranked]:
        """``progress`` is told (users done, users)."""
        count = len(self._users)
        for users in np.split(np.arange(count), range(USERS_AT_ONCE, count, USERS_AT_ONCE)):
            yield self._block(users)
            if progress:
                progress(int(users[-1]) + 1, count)

    def columns(self, ranked: Ranked) -> list[Any]:
        """Its rows as columns in the order of ``names``."""
        scores = sigmoid(ranked.scores) if self._binary else ranked.scores
        return [take(self._users, ranked.users), take(self._items, ranked.items), ranked.ranks, scores]

    def _block(self, users: np.ndarray) -> Ranked:
        scores_of = self._scorer.of(users)
        best: list[tuple[np.ndarray, np.ndarray]] = [(users[:0], np.zeros(0))] * len(users)

        def work(place: int) -> None:
            scores = scores_of(place)
            if not np.isfinite(scores).all():
                raise NonFiniteLoss("the model's predictions are not finite; lower lr or set clip_norm and train again")
            chosen = best_of(scores, self._seen.of(users[place]), self._k)
            best[place] = chosen, scores[chosen].astype(np.float64)

        threads.run(len(users), work)
        chosen, scores = (np.concatenate(part) for part in zip(*best, strict=True))
        counts = [len(chosen) for chosen, _ in best]
        ranks = np.concatenate([np.arange(1, count + 1) for count in counts])
        return Ranked(np.repeat(users, counts), self._order[chosen], ranks, scores)


def best_of(scores: np.ndarray, seen: np.ndarray, k: int) -> np.ndarray:
    """Positions [<= k] of the largest of the finite ``scores`` [m], those in ``seen`` left out; equal ones as they
    come. Overwrites the scores that were seen."""
    scores[seen] = -np.inf
    count = min(k, len(scores) - len(seen))
    if count <= 0:
        return np.zeros(0, np.int64)
    least = np.partition(scores, len(scores) - count)[len(scores) - count]
    found = np.flatnonzero(scores >= least)
    return found[np.argsort(-scores[found], kind="stable")[:count]]


class _Apart:
    """Scores with each side computed once."""

    def __init__(self, model: TrainedModel, users: Side, items: Side, order: np.ndarray) -> None:
        self._ranker = model.model.scorer().ranker(users.fields, users.numbers)
        self._users = users
        pieces = np.split(order, range(ITEMS_AT_ONCE, len(order), ITEMS_AT_ONCE))
        self._items = np.concatenate([self._ranker.items(items.batch(piece)) for piece in pieces])

    def of(self, users: np.ndarray) -> Scores:
        contexts = self._ranker.users(self._users.batch(users))
        return lambda place: self._ranker.score(contexts[place], self._items)


class _Whole:
    """Scores of whole rows, which are encoded for each pair."""

    def __init__(self, model: TrainedModel, pairing: Pairing, order: np.ndarray) -> None:
        self._scorer, self._pairing = model.model.scorer(), pairing
        self._pieces = np.split(order, range(ITEMS_AT_ONCE, len(order), ITEMS_AT_ONCE))

    def of(self, users: np.ndarray) -> Scores:
        return lambda place: np.concatenate([self._of(int(users[place]), piece) for piece in self._pieces])

    def _of(self, user: int, items: np.ndarray) -> np.ndarray:
        return self._scorer.score(self._pairing.rows(user, items).take(np.arange(len(items))))


class _Seen:
    """Which items, by their position, each user has seen."""

    def __init__(self, users: Texts, items: Texts, met: list[Gathered] | None) -> None:
        distinct, self._codes = users.factorize()
        self._items = len(items)
        pairs = np.zeros(0, np.int64)
        if met is not None:
            user, item = (TextIndex(texts).find(column.texts)[column.codes] for texts, column in
                          zip((distinct, items), met, strict=True))  # fmt: skip
            known = (user >= 0) & (item >= 0)
            pairs = np.unique(user[known] * len(items) + item[known])
        self._positions = pairs % len(items)
        self._begins = np.searchsorted(pairs, np.arange(len(distinct) + 1) * len(items))

    def of(self, user: int) -> np.ndarray:
        code = self._codes[user]
        return self._positions[self._begins[code] : self._begins[code + 1]]

    def notes(self) -> list[str]:
        done = int((np.diff(self._begins)[self._codes] == self._items).sum())
        return [f"users who have seen every item and get no row: {done:,}"] if done else []


def _id_column(given: Given, name: str, side: str) -> Any:
    if name not in given.table:
        raise InputError(f"{given.name}: {unknown_column(name, given.table)}; --{side}-id COL names another")
    with naming(given.name):
        return single_of(given.table, name)


def _texts(column: Any) -> Texts:
    texts, codes = texts_of(column)
    return texts if codes is None else texts[codes]


def _require_distinct(column: Any, where: str, name: str) -> Texts:
    texts = _texts(column)
    codes = texts.factorize()[1]
    again = np.flatnonzero(np.diff(np.maximum.accumulate(codes), prepend=-1) == 0)
    if len(again):
        row = int(again[0])
        raise RowError(f"{where}: {name} {texts[row]!r} occurs again in ", row + 1, ": keep one row for each item")
    return texts


def _in_order(ids: list[str]) -> np.ndarray:
    """Positions [m] by id: as numbers where all are whole numbers, else as text."""
    if all(map(WHOLE.fullmatch, ids)):
        return np.array(sorted(range(len(ids)), key=lambda row: (int(ids[row]), ids[row])), np.int64)
    return np.array(sorted(range(len(ids)), key=ids.__getitem__), np.int64)
