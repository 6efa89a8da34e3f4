"""Hashed fields: rows that a saved model relies on, crosses, and how many values share a row."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastfm_core.data import Categorical, Cross
from fastfm_core.data.text import Texts, bucket_columns

from .fitting import fitted
from .tables import text_column

MASK = 2**64 - 1
PRIME = 0x100000001B3
TEXTS = ["a", "b", "user 17", "18446744073709551615", "é中", "x" * 100]
HASHES = [
    0x82A2A958A9BECE5B,
    0x6E673288764AD2D0,
    0x78522CE8476D4EDD,
    0xA415FFAF93606D58,
    0x8A3CC5D2008F5B25,
    0x43777B34A05BE89D,
]
ROWS = [511, 432, 471, 641, 540, 264]  # of 1,000 buckets


def mixed(number: int) -> int:
    """MurmurHash3's 64-bit finaliser."""
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        number = ((number ^ (number >> 33)) * factor) & MASK
    return number ^ (number >> 33)


def hash_of(text: str) -> int:
    """FNV-1a of the bytes, then the finaliser."""
    number = 0xCBF29CE484222325
    for byte in text.encode():
        number = ((number ^ byte) * PRIME) & MASK
    return mixed(number)


def row_of(number: int, buckets: int) -> int:
    return 1 + ((number >> 32) * buckets >> 32)


def rows_of(column: Texts, buckets: int) -> list[int]:
    ids = np.empty((len(column), 1), np.int64)
    bucket_columns([column], [buckets], [0], [0], ids)
    return ids[:, 0].tolist()


def test_hashes_and_rows_are_those_of_every_saved_model() -> None:
    assert Texts.of(TEXTS).hashes().tolist() == HASHES
    _, encoded = fitted({"x": text_column(*TEXTS)}, Categorical("x", buckets=1000))
    assert encoded.ids[:, 0].tolist() == ROWS


def test_another_process_gives_the_same_hashes() -> None:
    code = f"from fastfm_core.data.text import Texts; print(Texts.of({TEXTS!r}).hashes().tolist())"
    done = subprocess.run([sys.executable, "-X", "utf8", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(HASHES)


@given(st.lists(st.text(max_size=20), min_size=1), st.integers(1, 2**31))
def test_rows_equal_the_formula_in_plain_python(texts: list[str], buckets: int) -> None:
    column = Texts.of(texts)
    assert column.hashes().tolist() == [hash_of(text) for text in texts]
    assert rows_of(column, buckets) == [row_of(hash_of(text), buckets) if text else 0 for text in texts]


def test_numbers_hash_like_their_text() -> None:
    field = Categorical("x", buckets=50)
    encoder, encoded = fitted({"x": text_column("7", "18446744073709551615", "7")}, field)
    numbers = encoder.transform({"x": np.array([7, 2**64 - 1, 7], np.uint64)})
    assert numbers.ids.tolist() == encoded.ids.tolist()


def test_missing_has_row_zero_and_nothing_is_unknown() -> None:
    encoder, encoded = fitted({"x": text_column("a", "", "b")}, Categorical("x", buckets=5))
    assert encoded.ids[1, 0] == 0 and encoded.ids[[0, 2], 0].min() >= 1
    assert encoder.rows == 6 and encoder.unknown_rows.tolist() == [-1]
    never = encoder.transform({"x": text_column("never seen")}).ids[0, 0]
    assert never == row_of(hash_of("never seen"), 5)


@pytest.mark.parametrize(("distinct", "buckets"), [(500, 1_000), (5_000, 2_000), (40_000, 100_000)])
def test_the_collision_note_is_near_an_exact_count(distinct: int, buckets: int) -> None:
    column = Texts.of(f"value {n}" for n in range(distinct))
    encoder, encoded = fitted({"x": column}, Categorical("x", buckets=buckets))
    (note,) = encoder.notes()
    about, rows, share = re.fullmatch(
        r"x: about ([\d,]+) training values hashed to ([\d,]+) rows, ([\d.]+)% of them share theirs with another", note
    ).groups()  # type: ignore[union-attr]
    shared = (np.bincount(encoded.ids[:, 0])[encoded.ids[:, 0]] > 1).mean()
    assert abs(int(about.replace(",", "")) - distinct) < 0.06 * distinct
    assert int(rows.replace(",", "")) == buckets
    assert abs(float(share) / 100 - shared) < 0.05


def cross(left: list[str], right: list[str], names: tuple[str, str] = ("l", "r"), buckets: int = 10_000) -> list[int]:
    table = {"l": text_column(*left), "r": text_column(*right)}
    return fitted(table, Cross(names, buckets=buckets))[1].ids[:, 0].tolist()


def test_a_cross_hashes_the_ordered_pair() -> None:
    rows = cross(["a", "b", "a"], ["b", "a", "b"])
    pairs = [mixed((hash_of(one) * PRIME & MASK) ^ hash_of(two)) for one, two in (("a", "b"), ("b", "a"))]
    expected = [row_of(pair, 10_000) for pair in pairs]
    assert rows == [expected[0], expected[1], expected[0]] and expected[0] != expected[1]
    assert cross(["a"], ["b"], ("r", "l")) == [expected[1]]


def test_a_cross_is_missing_where_all_its_columns_are() -> None:
    rows = cross(["", "a", "", ""], ["", "", "b", "a"])
    assert rows[0] == 0
    assert 0 not in rows[1:] and len(set(rows[1:])) == 3


def test_a_cross_counts_combinations_in_its_note() -> None:
    left, right = zip(*[(f"l{i}", f"r{j}") for i in range(40) for j in range(25)], strict=True)
    encoder, _ = fitted({"l": text_column(*left), "r": text_column(*right)}, Cross(("l", "r"), buckets=2_000))
    (note,) = encoder.notes()
    found = re.match(r"l x r: about ([\d,]+) training values hashed to 2,000 rows, ([\d.]+)%", note)
    assert found is not None
    assert abs(int(found[1].replace(",", "")) - 1000) < 60
    assert abs(float(found[2]) - 100 * (1 - (1 - 1 / 2000) ** 999)) < 3


def test_three_columns_and_numbers_cross_as_well() -> None:
    table = {"a": np.array([1, 2]), "b": np.array([0.5, np.nan]), "c": text_column("x", "y")}
    encoder, encoded = fitted(table, Cross(("a", "b", "c"), buckets=999, name="abc"))
    texts = {"a": text_column("1", "2"), "b": text_column("0.5", ""), "c": text_column("x", "y")}
    assert encoder.field_names == ["abc"]
    assert encoder.transform(texts).ids.tolist() == encoded.ids.tolist()
