"""The cache of encoded tables: found again when everything that decides the content is the same, and only then."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from clicks import write_clicks, write_movies

from fastfm_core.data import Categorical, cache
from fastfm_core.data.readers import reader as text_reader
from fastfm_core.errors import InputError
from fastfm_core.prepare import Prepared, prepare
from fastfm_core.source import Source


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """An empty folder for encoded tables, of this test alone."""
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "tables"))
    return tmp_path / "tables"


@pytest.fixture
def clicks(tmp_path) -> Path:
    return Path(write_clicks(tmp_path / "clicks.csv", rows=200))


def source(clicks, **options) -> Source:
    return Source(clicks, label="label", **options)


def entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def assert_equal(left: Prepared, right: Prepared) -> None:
    assert left.encoder.to_dict() == right.encoder.to_dict() and left.notes == right.notes
    for name, part in left.parts.items():
        other = right.parts[name]
        np.testing.assert_array_equal(part.rows, other.rows)
        np.testing.assert_array_equal(part.encoded.ids, other.encoded.ids)
        np.testing.assert_array_equal(part.encoded.labels, other.encoded.labels)
        assert part.unseen_id_share == other.unseen_id_share


def test_the_second_time_nothing_is_read(clicks, folder, monkeypatch):
    first = prepare(source(clicks), seed=0)
    monkeypatch.setattr(text_reader, "blocks", None)
    monkeypatch.setattr("fastfm_core.preparation.Preparation.write", None)
    second = prepare(source(clicks), seed=0)
    assert (first.cached, second.cached) == (False, True)
    assert_equal(first, second)
    assert len(entries(folder)) == 1


def test_content_decides_not_the_date_nor_the_folder(clicks, tmp_path):
    prepare(source(clicks), seed=0)
    os.utime(clicks, (1, 1))
    assert prepare(source(clicks), seed=0).cached
    (tmp_path / "moved").mkdir()
    assert prepare(source(clicks.rename(tmp_path / "moved" / clicks.name)), seed=0).cached


def test_one_byte_changed_is_another_table(clicks):
    before = prepare(source(clicks), seed=0)
    content = clicks.read_bytes()
    clicks.write_bytes(content.replace(b",m3,", b",m4,", 1))
    after = prepare(source(clicks), seed=0)
    assert not after.cached and after.encoder.to_dict() != before.encoder.to_dict()
    clicks.write_bytes(content)
    assert prepare(source(clicks), seed=0).cached


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"min_count": 3},
        {"drop": "user"},
        {"id": "user"},
        {"weight": "weight"},
        {"split": "order"},
        {"numeric": "size"},
        {"numeric": "size:raw"},
        {"multihot": "tags:|"},
        {"categorical": "movie:50"},
        {"task": "regression"},
        {"declared": (Categorical("movie", min_count=5),)},
        {"join": True},
        {"valid": True},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_option_is_part_of_the_key(clicks, tmp_path, change):
    prepare(source(clicks), seed=0)
    seed, min_count = change.pop("seed", 0), change.pop("min_count", None)
    if "join" in change:
        change["join"] = [(write_movies(tmp_path / "movies.csv"), "movie")]
    if "valid" in change:
        change["valid"] = write_clicks(tmp_path / "valid.csv", rows=60, seed=9)
    changed = source(clicks, **change)
    assert not prepare(changed, seed=seed, min_count=min_count).cached
    assert prepare(changed, seed=seed, min_count=min_count).cached


def test_a_joined_files_content_is_part_of_the_key(clicks, tmp_path):
    movies = Path(write_movies(tmp_path / "movies.csv"))
    joined = source(clicks, join=[(str(movies), "movie")])
    prepare(joined, seed=0)
    movies.write_text(movies.read_text().replace("g1", "g2", 1))
    assert not prepare(joined, seed=0).cached


def size_of(entry: Path) -> int:
    return sum(file.stat().st_size for file in entry.iterdir())


def test_the_least_recently_used_entries_go(clicks, folder, monkeypatch):
    prepare(source(clicks), seed=0)
    (first,) = entries(folder)
    prepare(source(clicks), seed=1)
    for age, entry in enumerate(entries(folder)):
        os.utime(entry / cache.MANIFEST, (1000 + age, 1000 + age))
    assert prepare(source(clicks), seed=0).cached
    monkeypatch.setattr(cache, "LARGEST", int(2.5 * size_of(first)))
    prepare(source(clicks), seed=2)
    assert len(entries(folder)) == 2 and first in entries(folder)
    assert not prepare(source(clicks), seed=1).cached


def test_the_newest_entry_stays_even_when_it_is_too_large(clicks, folder, monkeypatch):
    monkeypatch.setattr(cache, "LARGEST", 1)
    for seed in (0, 1):
        prepare(source(clicks), seed=seed)
        assert len(entries(folder)) == 1
    assert prepare(source(clicks), seed=1).cached


def test_an_entry_that_another_training_made_meanwhile_stays(clicks, folder):
    made: list[Prepared] = []
    inodes: list[int] = []

    def overtaken(name):
        if not made:
            made.append(prepare(source(clicks), seed=0))
            (entry,) = folder.glob("[!.]*")
            inodes.append((entry / "data.ids").stat().st_ino)
        return nullcontext()

    slower = prepare(source(clicks), seed=0, progress=overtaken)
    (entry,) = entries(folder)
    assert_equal(made[0], slower)
    assert (entry / "data.ids").stat().st_ino == inodes[0]


def test_what_fails_leaves_no_entry(clicks, folder):
    with pytest.raises(InputError, match="there is no column"):
        prepare(source(clicks, drop="sizes"), seed=0)
    clicks.write_text(clicks.read_text() + "too,short\n")
    with pytest.raises(InputError, match="line 202"):
        prepare(source(clicks), seed=0)
    assert entries(folder) == []


def test_a_file_that_changes_while_it_is_read_is_named(clicks, monkeypatch):
    passes = []

    def grow(name):
        passes.append(name)
        if len(passes) == 2:
            clicks.write_text(clicks.read_text() + clicks.read_text().splitlines()[-1] + "\n")
        return nullcontext()

    with pytest.raises(InputError, match=r"clicks\.csv: the file changed while it was read: run again"):
        prepare(source(clicks), seed=0, progress=grow)


def test_a_folder_that_cannot_be_written_is_named(clicks, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "file" / "below"))
    with pytest.raises(InputError, match="cannot be written: set FASTFM_CORE_TABLES"):
        prepare(source(clicks), seed=0)
