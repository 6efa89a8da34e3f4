"""Columns of text against Python's own lists and dicts, for any unicode."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastfm_core.data.columns import join_rows, parse_number, take
from fastfm_core.data.text import Bags, TextIndex, Texts, concatenate, decimal_columns

TEXTS = st.lists(st.text(max_size=8))
FEW = st.lists(st.sampled_from(["", "a", "b", "ab", "é", "中", "\0", "😀"]))
SEPARATORS = st.sampled_from(["|", ", ", "::", "é"])


@given(TEXTS)
def test_texts_are_a_list_of_str(texts: list[str]) -> None:
    column = Texts.of(texts)
    assert column.tolist() == list(column) == texts and len(column) == len(texts)
    assert np.asarray(column).tolist() == texts
    assert [column[k] for k in range(len(texts))] == texts
    assert column[1:-1].tolist() == texts[1:-1]


@given(TEXTS, st.data())
def test_picking_equals_a_list_comprehension(texts: list[str], data: st.DataObject) -> None:
    positions = data.draw(st.lists(st.integers(0, len(texts) - 1)) if texts else st.just([]))
    mask = data.draw(st.lists(st.booleans(), min_size=len(texts), max_size=len(texts)))
    column = Texts.of(texts)
    assert column[np.array(positions, np.int64)].tolist() == [texts[k] for k in positions]
    kept = column[np.array(mask, bool)]
    assert kept.tolist() == kept.packed().tolist() == [text for text, keep in zip(texts, mask, strict=True) if keep]
    assert len(kept.packed().buffer) == sum(len(text.encode()) for text in kept)


@given(st.one_of(TEXTS, FEW))
def test_factorize_numbers_texts_in_the_order_met(texts: list[str]) -> None:
    distinct, codes = Texts.of(texts).factorize()
    expected = list(dict.fromkeys(texts))
    assert distinct.tolist() == expected
    assert codes.tolist() == [expected.index(text) for text in texts]


@given(st.lists(TEXTS, min_size=1))
def test_concatenate_is_list_addition(parts: list[list[str]]) -> None:
    assert concatenate([Texts.of(part)[1:] for part in parts]).tolist() == [text for part in parts for text in part[1:]]


@given(st.lists(FEW), st.lists(st.text(max_size=3)))
def test_an_index_is_a_dict_from_text_to_number(batches: list[list[str]], more: list[str]) -> None:
    index, expected = TextIndex(), {}
    for batch in [*batches, more]:
        distinct = list(dict.fromkeys(batch))
        codes = index.add(Texts.of(distinct))
        assert codes.tolist() == [expected.setdefault(text, len(expected)) for text in distinct]
    assert index.texts.tolist() == list(expected) and len(index) == len(expected)
    asked = [*expected, "never added", *more]
    assert index.find(Texts.of(asked)).tolist() == [expected.get(text, -1) for text in asked]


def test_an_index_grows_far_beyond_its_first_size() -> None:
    texts = [f"value {n}" for n in range(20_000)]
    index = TextIndex(texts[:3])
    for begin in range(0, 20_000, 777):
        index.add(Texts.of(texts[begin : begin + 777]))
    assert index.find(Texts.of(["value 19999", "value 20000", *texts])).tolist()[:2] == [19_999, -1]
    assert index.find(Texts.of(texts)).tolist() == list(range(20_000))


@given(st.lists(st.text("ab|, :é", max_size=10)), SEPARATORS)
def test_split_equals_pythons_without_empty_values(cells: list[str], separator: str) -> None:
    values, offsets = Texts.of(cells).split(separator)
    expected = [[value for value in cell.split(separator) if value] for cell in cells]
    assert values.tolist() == [value for cell in expected for value in cell]
    assert np.diff(offsets).tolist() == [len(cell) for cell in expected]


@given(st.lists(st.text("a:é", max_size=6)))
def test_cut_at_last_equals_rpartition(texts: list[str]) -> None:
    before, after = Texts.of(texts).cut_at_last(":")
    expected = [text.rpartition(":")[::2] if ":" in text else (text, "") for text in texts]
    assert list(zip(before, after, strict=True)) == expected


NUMBERS = st.one_of(
    st.floats().map(repr),
    st.integers().map(str),
    st.from_regex(r" ?[-+]?[0-9]{0,17}\.?[0-9]{0,17}([eE][-+]?[0-9]{1,3})? ?", fullmatch=True),
    st.text("0123456789.eE+-_ naif", max_size=8),
)


@given(st.lists(NUMBERS))
def test_decimals_are_rounded_as_python_rounds_or_left_to_it(texts: list[str]) -> None:
    (values,), hard = decimal_columns([Texts.of(texts)])
    for position, (text, value) in enumerate(zip(texts, values.tolist(), strict=True)):
        if [0, position] in hard.tolist():
            assert math.isnan(value) and text.strip(" ")
        elif not text.strip(" "):
            assert math.isnan(value)
        else:
            assert (value, math.copysign(1, value)) == (float(text), math.copysign(1, float(text)))


@pytest.mark.parametrize("text", ["0.1", "123456789.25", "-0", "+7", "1e22", "5e-22", "  3.5 ", "00012", ".5", "5."])
def test_common_numbers_need_no_python(text: str) -> None:
    (values,), hard = decimal_columns([Texts.of([text])])
    assert hard.size == 0 and values.tolist() == [float(text)] == [parse_number(text)]


@given(st.lists(FEW), st.data())
def test_bags_are_lists_of_lists(cells: list[list[str]], data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.integers(0, len(cells) - 1)) if cells else st.just([]))
    offsets = np.cumsum([0, *map(len, cells)])
    texts = [value for cell in cells for value in cell]
    bags = Bags(Texts.of(texts), offsets, np.arange(len(texts), dtype=float))
    taken = take(bags, np.array(rows, np.int64))
    numbered = [list(range(offsets[k], offsets[k + 1])) for k in range(len(cells))]
    assert lists_of(taken) == [cells[row] for row in rows]
    assert taken.weights.tolist() == [float(number) for row in rows for number in numbered[row]]
    joined = join_rows([{"x": bags}, {"x": taken}])["x"]
    assert lists_of(joined) == [*cells, *(cells[row] for row in rows)]
    assert joined.weights.tolist() == [*bags.weights.tolist(), *taken.weights.tolist()]  # type: ignore[union-attr]


def lists_of(bags: Bags) -> list[list[str]]:
    borders = bags.offsets.tolist()
    return [bags.values[begin:end].tolist() for begin, end in zip(borders[:-1], borders[1:], strict=True)]  # noqa: RUF007
