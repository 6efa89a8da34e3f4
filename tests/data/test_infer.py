"""Column options and guesses."""

from __future__ import annotations

import numpy as np
import pytest

from fastfm_core.data import Categorical, MultiHot, Numeric, Schema
from fastfm_core.data.infer import guess, looks_like_id, resolve
from fastfm_core.errors import InputError

from .tables import small_table, text_column


def repeated(values: object, count: int = 100) -> np.ndarray:
    return np.array([str(value) for value in np.resize(np.array(values), count)], dtype=object)


def guessable_table() -> dict[str, np.ndarray]:
    return {
        "row_number": repeated(np.arange(100)),
        "token": repeated([f"t{k}" for k in range(100)]),
        "userId": repeated(np.arange(50)),
        "level": repeated(np.arange(20)),
        "count": repeated(np.arange(21)),
        "exact": repeated(np.arange(100) / 7),
        "office": repeated([f"0{k}" for k in range(50)]),
        "city": repeated(["Rome", "Oslo"]),
        "gaps": np.resize(np.append(np.arange(30.0), np.nan), 100),
        "nothing": repeated([""]),
        "click": repeated([0, 1]),
    }


def test_every_kind_of_column_is_guessed() -> None:
    typed = guess(guessable_table(), "click")
    kinds = {field.name: type(field) for field in typed.schema.fields}
    assert kinds == {
        "userId": Categorical,
        "level": Categorical,
        "count": Numeric,
        "exact": Numeric,
        "office": Categorical,
        "city": Categorical,
        "gaps": Numeric,
        "nothing": Categorical,
    }
    assert typed.schema.label == "click"


def test_every_column_has_a_line() -> None:
    lines = guess(guessable_table(), "click", drop=["city"]).describe()
    assert lines[0] == "row_number: dropped (guessed: integer, no value occurs twice)"
    assert "userId: categorical (guessed: integer, 50 distinct values, named like an id)" in lines
    assert "count: numeric (guessed: integer, 21 distinct values)" in lines
    assert "city: dropped (by --drop)" in lines
    assert len(lines) == 10


def test_integers_taken_as_numbers_are_doubted_aloud() -> None:
    (line,) = guess(guessable_table(), "click").doubts()
    assert line.startswith("integers taken as numbers by a guess: count, gaps; ")
    assert resolve(guessable_table(), "click", numeric="count,gaps").doubts() == []


def test_parquet_like_columns_are_guessed_as_their_texts_are() -> None:
    whole = np.resize(np.arange(30), 100)
    typed = guess({"user_id": whole.astype(np.uint64), "level": whole % 3, "amount": whole, "ratio": whole / 7})
    assert [type(field) for field in typed.schema.fields] == [Categorical, Categorical, Numeric, Numeric]


@pytest.mark.parametrize(
    "name", ["user_id", "userId", "movieid", "device_hash", "zip_first", "ZIP", "postal code", "ids"]
)
def test_names_like_ids(name: str) -> None:
    assert looks_like_id(name)


@pytest.mark.parametrize("name", ["paid", "width", "video", "coder", "zipper", "age", "C14"])
def test_names_unlike_ids(name: str) -> None:
    assert not looks_like_id(name)


def test_options_name_columns_and_the_rest_is_guessed() -> None:
    typed = resolve(small_table(), "y", categorical="price", multihot="tags,words: ,parts:;", drop="age")
    assert typed.schema.fields == (
        Categorical("color"),
        MultiHot("tags"),
        Categorical("price"),
        MultiHot("words", separator=" "),
        MultiHot("parts", separator=";"),
    )
    assert typed.describe()[1] == "tags: multi-hot, split at '|', mean (by --multihot)"


def test_star_is_all_others() -> None:
    typed = resolve(small_table(), "y", categorical="*", numeric="age:raw, price")
    kinds = [Categorical, Categorical, Numeric, Categorical, Numeric, Categorical]
    assert [type(field) for field in typed.schema.fields] == kinds
    assert typed.schema.fields[4] == Numeric("age", use="raw")
    assert resolve(small_table(), "y", categorical="color", drop="*").schema.fields == (Categorical("color"),)


def test_a_number_that_is_named_again_is_a_further_field() -> None:
    numeric = "age,age:square,age:sqrt,price:quantile,age:raw:log1p,price"
    typed = resolve(small_table(), "y", categorical="*", numeric=numeric)
    assert typed.schema.fields[-4:] == (
        Numeric("age square", source="age", transform="square"),
        Numeric("age sqrt", source="age", transform="sqrt"),
        Numeric("age raw log1p", source="age", use="raw", transform="log1p"),
        Numeric("price auto", source="price"),
    )
    assert {Numeric("age"), Numeric("price", transform="quantile")} < set(typed.schema.fields)
    assert "age square: numeric, square (by --numeric)" in typed.describe()
    with pytest.raises(InputError, match="'age square' of --numeric is declared already"):
        resolve(small_table(), "y", declared=[Numeric("age square", source="age")], numeric="age,age:square")
    with pytest.raises(InputError, match="'age square' is a column as well: declare a field of another name"):
        resolve(small_table() | {"age square": text_column(*"123456")}, "y", numeric="age,age:square")


def test_a_name_may_contain_a_colon() -> None:
    table = {"genre:token_seq": text_column("a b", "b", "b"), "genre": text_column("1", "1", "2")}
    typed = resolve(table, categorical="genre", multihot="genre:token_seq: ")
    assert typed.schema.fields == (MultiHot("genre:token_seq", separator=" "), Categorical("genre"))


def test_a_condition_takes_its_column_from_the_features() -> None:
    typed = resolve(small_table(), "age>=32", categorical="*")
    assert "age" not in typed.schema.names
    assert typed.schema.label == "age>=32"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"categorical": "colour"}, "no column 'colour': did you mean 'color'"),
        ({"categorical": "color", "drop": "color"}, "'color' is named by --categorical and again by --drop"),
        ({"categorical": "age", "numeric": "age:raw"}, "'age' is named by --categorical and again by --numeric"),
        ({"numeric": "age:raw,age:raw"}, "'age' is named by --numeric and again by --numeric"),
        ({"numeric": "age,age:raw,age:raw"}, "'age raw' of --numeric is declared already: keep one"),
        ({"drop": "color,color"}, "'color' is named by --drop and again by --drop"),
        ({"categorical": "*", "drop": "*"}, r"'\*' is named by --categorical and again by --drop"),
        ({"numeric": "y"}, "--numeric names 'y', which is the label"),
        ({"multihot": "tags:"}, "'tags': the separator is empty"),
        ({"numeric": "age:wide"}, "use is 'wide'"),
        ({"drop": "age:raw"}, "column 'age': nothing may follow the name"),
        ({"id": "color", "categorical": "color"}, "named by --categorical and again by --id"),
        ({"id": "colour"}, "no column 'colour'"),
        ({"drop": "*"}, "no column is left"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        resolve(small_table(), "y", **options)


def test_sides_are_named_and_their_ids_are_categorical() -> None:
    table = {name: text_column(*map(str, range(40))) for name in ("reader", "book", "pages")} | {"y": list("01" * 20)}
    typed = resolve(table, "y", numeric="pages", user="reader", item="book, pages", cross="reader*book")
    assert typed.schema.fields[:2] == (Categorical("reader"), Categorical("book"))
    assert typed.describe()[:2] == ["reader: categorical (by --user)", "book: categorical (by --item)"]
    assert [typed.schema.side(name) for name in typed.schema.names] == ["user", "item", "item", ""]
    assert Schema.from_dict(typed.schema.to_dict()) == typed.schema
    with pytest.raises(InputError, match="no column 'bok': did you mean 'book'"):
        resolve(table, "y", item="bok")
    with pytest.raises(InputError, match="--user and --item: 'y' is no field, there are reader, book, pages"):
        resolve(table, "y", numeric="*", item="y")
    with pytest.raises(InputError, match="--user and --item: 'book' is named twice"):
        resolve(table, "y", categorical="*", item="book", user="book")


@pytest.mark.parametrize("cross", ["reader", "reader*", "reader*book:many"])
def test_a_wrong_cross_is_refused(cross: str) -> None:
    table = {name: text_column("a", "b") for name in ("reader", "book")}
    with pytest.raises(InputError, match=r"write columns with \* between, and buckets behind a colon"):
        resolve(table, categorical="*", cross=cross)


def test_an_unknown_dropped_column_is_named() -> None:
    with pytest.raises(InputError, match="'colr': did you mean 'color'"):
        guess(small_table(), "y", drop=["colr"])
