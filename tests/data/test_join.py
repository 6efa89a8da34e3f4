"""Joined tables: columns added by a key, rows without a match missing and counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from fastfm_core.data.columns import join_rows
from fastfm_core.data.readers import reader as text_reader
from fastfm_core.data.text import Bags
from fastfm_core.errors import InputError
from fastfm_core.preparation import open_source

CLICKS = "user,movie,label\nu1,m1,1\nu2,m9,0\nu1,m2,0\nu3,,1\n"
MOVIES = "movie,genres,year\nm1,a|b,1999\nm2,b,2001\n"


def written(folder: Path, name: str, content: str) -> str:
    (folder / name).write_text(content, encoding="utf-8")
    return str(folder / name)


def whole(reader) -> dict:
    return join_rows([chunk.parse() for chunk in reader.chunks()])


def lists(reader) -> dict[str, list]:
    return {name: column.tolist() for name, column in whole(reader).items()}


def test_columns_are_added_and_missing_keys_counted(tmp_path: Path) -> None:
    data, movies = written(tmp_path, "clicks.csv", CLICKS), written(tmp_path, "movies.csv", MOVIES)
    reader = open_source(data, [(movies, "movie")])
    assert reader.names == ["user", "movie", "label", "genres", "year"]
    for _ in range(2):
        table = lists(reader)
        assert table["genres"] == ["a|b", "", "b", ""] and table["year"] == ["1999", "", "2001", ""]
        assert reader.describe() == (  # type: ignore[attr-defined]
            "2 rows have a movie that movies.csv does not hold: its columns are missing there"
        )


def test_where_every_key_is_found_nothing_is_said(tmp_path: Path) -> None:
    data = written(tmp_path, "clicks.csv", "movie\nm1\nm2\nm1\n")
    reader = open_source(data, [(written(tmp_path, "movies.csv", MOVIES), "movie")])
    assert lists(reader)["year"] == ["1999", "2001", "1999"]
    assert reader.describe() is None  # type: ignore[attr-defined]


def test_two_joins_and_the_second_by_a_column_of_the_first(tmp_path: Path) -> None:
    joins = [
        (written(tmp_path, "movies.csv", "movie,studio\nm1,s1\nm2,s2\n"), "movie"),
        (written(tmp_path, "studios.csv", "studio,country\ns1,NO\ns2,IT\n"), "studio"),
    ]
    reader = open_source(written(tmp_path, "clicks.csv", CLICKS), joins)
    assert reader.names == ["user", "movie", "label", "studio", "country"]
    assert lists(reader)["country"] == ["NO", "", "IT", ""]


def test_pieces_of_any_size_give_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, movies = written(tmp_path, "clicks.csv", CLICKS), written(tmp_path, "movies.csv", MOVIES)
    expected = lists(open_source(data, [(movies, "movie")]))
    monkeypatch.setattr(text_reader, "BLOCK_BYTES", 12)
    reader = open_source(data, [(movies, "movie")])
    assert len(list(reader.chunks())) > 2 and lists(reader) == expected
    assert "2 rows" in reader.describe()  # type: ignore[attr-defined]


def parquet_movies(folder: Path) -> str:
    columns = {
        "movie": pyarrow.array([1, 2]),
        "score": pyarrow.array([0.5, 2.0]),
        "year": pyarrow.array([2**64 - 1, 7], pyarrow.uint64()),
        "tags": pyarrow.array([["a", "b"], ["c"]]),
        "title": pyarrow.array(["x", None]),
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), folder / "movies.parquet")
    return str(folder / "movies.parquet")


@pytest.mark.parametrize("key", [pyarrow.int32(), pyarrow.float64(), pyarrow.string()])
def test_typed_columns_of_every_kind_and_keys_of_any_type(tmp_path: Path, key) -> None:
    keys = pyarrow.array([2, 1, 9, 1]).cast(key)
    pyarrow.parquet.write_table(pyarrow.table({"movie": keys}), tmp_path / "clicks.parquet")
    table = whole(open_source(tmp_path / "clicks.parquet", [(parquet_movies(tmp_path), "movie")]))
    np.testing.assert_array_equal(table["score"], [2.0, 0.5, np.nan, 0.5])
    assert table["year"].tolist() == ["7", str(2**64 - 1), "", str(2**64 - 1)]
    assert table["title"].tolist() == ["", "x", "", "x"]
    tags = table["tags"]
    assert isinstance(tags, Bags)
    assert np.diff(tags.offsets).tolist() == [1, 2, 0, 2]
    assert tags.values.tolist() == ["c", "a", "b", "a", "b"]


def test_types_in_the_header_of_a_joined_file_are_hints(tmp_path: Path) -> None:
    data = written(tmp_path, "ml.inter", "user:token\titem:token\nu\ti\n")
    items = written(tmp_path, "ml.item", "item:token\tclass:token_seq\ni\ta b\n")
    reader = open_source(data, [(items, "item")])
    assert reader.names == ["user", "item", "class"]
    assert reader.hints == {"user": "categorical", "item": "categorical", "class": "multihot"}


@pytest.mark.parametrize(
    ("movies", "key", "message"),
    [
        (MOVIES + "m1,c,3\n", "movie", r"movies\.csv: movie 'm1' occurs again in data row 3: a key must be unique"),
        ("movie,user\nm1,x\n", "movie", r"column 'user' is in .*clicks\.csv as well, rename one"),
        (MOVIES, "year", r"clicks\.csv has no column 'year'"),
        (MOVIES, "movi", r"movies\.csv: there is no column 'movi': did you mean 'movie'"),
        ("movie,a\n", "movie", r"movies\.csv: there are no data rows"),
    ],
)
def test_a_join_that_cannot_be_made_is_named(tmp_path: Path, movies: str, key: str, message: str) -> None:
    data, path = written(tmp_path, "clicks.csv", CLICKS), written(tmp_path, "movies.csv", movies)
    with pytest.raises(InputError, match=message) as caught:
        open_source(data, [(path, key)])
    assert "\n" not in str(caught.value)


def test_an_absent_file_to_join_is_named(tmp_path: Path) -> None:
    data = written(tmp_path, "clicks.csv", CLICKS)
    with pytest.raises(InputError, match=r"none\.csv: there is no such file"):
        open_source(data, [(str(tmp_path / "none.csv"), "movie")])
