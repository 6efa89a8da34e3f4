"""What recommend asks of its tables: columns in one of them, ids, what histories need; each mistake costs one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from fastfm_core import backends, cli, trained
from fastfm_core.data import read_table
from fastfm_core.data.sparse import SparseColumns
from fastfm_core.errors import InputError
from fastfm_core.recommend import recommend

from .conftest import TIME, Rows, command, items, model_of, users, write

pytestmark = pytest.mark.skipif(
    backends.why_unavailable("native") is not None, reason="the scorer is C++, which is not built here"
)


def write_with(path: str, rows: Rows, columns: dict[str, Any]) -> None:
    """The rows with these columns; those that are None are left out."""
    write(path, [{key: value for key, value in {**row, **columns}.items() if value is not None} for row in rows])


def test_a_column_of_both_tables_is_that_of_the_side_that_training_named(folder: Path, models: Path) -> None:
    assert cli.main(command(model_of(models, "fm"))) == 0
    text = Path("out.csv").read_text()
    write_with("items.csv", items(), {"city": "c1", "age": "no number"})
    assert cli.main(command(model_of(models, "fm"))) == 0
    assert Path("out.csv").read_text() == text


MISTAKES: dict[str, tuple[str, dict[str, Any], dict[str, Any], list[str], str]] = {
    # model, columns of users, of items, options -> message
    "neither": ("fm", {"city": None}, {}, [], "column 'city', which the model reads, is neither in users.csv nor in "
                "items.csv: add it to one of them"),
    "both": ("nothing named", {}, {"city": "c1"}, ["--user-id", "user", "--item-id", "item"],
             "column 'city' is both in users.csv and in items.csv: take it out of one of them"),
    "no user id": ("nothing named", {}, {}, [], "which column identifies the user? training did not name it: give "
                   "--user-id COL"),
    "no item id": ("nothing named", {}, {}, ["--user-id", "user"], "which column identifies the item? training did "
                   "not name it: give --item-id COL"),
    "unknown id": ("fm", {}, {}, ["--item-id", "itm"], "items.csv: there is no column 'itm': did you mean 'item'?; "
                   "--item-id COL names another"),
    "twice": ("fm", {}, {"item": 5}, [], "items.csv: item '5' occurs again in data row 2: keep one row for each item"),
    "no number": ("fm", {"age": "old"}, {}, [], "users.csv: column 'age', data row 1: 'old' is not a finite number: "
                  "correct the cell, or make the column categorical"),
    "no time": ("history", {"time": None}, {}, [], "users.csv: history 'past' needs the column 'time', the time to "
                "recommend for: add it"),
    "one id": ("fm", {}, {"user": 1}, ["--item-id", "user"], "the output's columns would be user, user, rank, "
               "probability: rename those that are equal"),
    "no seen id": ("fm", {}, {}, ["--seen", "items.csv"], "items.csv: there is no column 'user': the columns are item, "
                   "genres, price"),
    "itself": ("fm", {}, {}, ["--out", "users.csv"], "users.csv: would replace the table it is made from; name "
               "another file"),
    "nowhere": ("fm", {}, {}, ["--out", "no/out.csv"], "no/out.csv: there is no folder {folder}/no; make it first or "
                "name another file"),
    "no k": ("fm", {}, {}, ["--k", "0"], "argument --k: 0 is no whole number of at least 1; see fastfm-core recommend "
             "--help"),
    "nothing read": ("alike", {"genres": "g1"}, {"genres": None, "item": None, "name": "x"},
                     ["--user-id", "user", "--item-id", "name"],
                     "items.csv: has no column that the model reads, so every item would be the same"),
}  # fmt: skip


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_costs_one_line_and_leaves_nothing(
    folder: Path, models: Path, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name, of_users, of_items, options, message = MISTAKES[case]
    model = model_of(models, name)
    write_with("users.csv", users(), {"time": TIME, **of_users})
    write_with("items.csv", items()[:1] if case == "nothing read" else items(), of_items)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    capsys.readouterr()
    assert cli.main(command(model, *options)) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err == f"fastfm-core: {message.format(folder=folder)}\n"
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_k_and_tables_are_checked_in_python(folder: Path, models: Path) -> None:
    model = trained.load(model_of(models, "fm"), backends.get("native"))
    tables = read_table("users.csv"), read_table("items.csv")
    with pytest.raises(InputError, match="k is 0, it must be at least 1"):
        recommend(model, *tables, k=0)
    with pytest.raises(InputError, match="users: there are no data rows: add some"):
        recommend(model, {name: column[:0] for name, column in tables[0].items()}, tables[1])
    with pytest.raises(InputError, match="items: column 'price' has 20 values where the first column has 21"):
        recommend(model, tables[0], {**tables[1], "price": np.zeros(20)})
    with pytest.raises(InputError, match="seen: there is no column 'item'"):
        recommend(model, *tables, seen={"user": np.zeros(1)})
    with pytest.raises(InputError, match="a model of a matrix has no columns of users and items"):
        recommend(model._replace(encoder=cast(Any, SparseColumns(5))), *tables)
