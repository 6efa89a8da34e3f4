"""What must hold of any input: the readers and scanners find what plain Python finds, or refuse it in one line."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from fastfm_core.data.columns import Table, numbers
from fastfm_core.data.readers.delimited import CRITEO, NUMBER, TYPED_NAME
from fastfm_core.data.text import Bags, TextIndex, Texts
from fastfm_core.errors import InputError

from . import naive

Found = Table | str
Read = Callable[[Path], Found]


def plain(column: Any) -> list[Any]:
    """A column as Python values; the cells of bags as lists of (text, weight)."""
    if not isinstance(column, Bags):
        return column.tolist()
    assert column.weights is not None
    cells = list(zip(column.values.tolist(), column.weights.tolist(), strict=True))
    return [cells[begin:end] for begin, end in itertools.pairwise(column.offsets.tolist())]


def one_line(error: InputError, path: Path) -> str:
    """The message, which must be one line that names the file."""
    assert "\n" not in str(error) and path.name in str(error), error
    return str(error)


def delimited(read: Read, path: Path, content: bytes) -> None:
    """CSV and its like against the csv module."""
    path.write_bytes(content)
    found = read(path)
    try:
        first, *rows = naive.records(content) or [[]]
    except naive.Mistake:
        assert isinstance(found, str) or b"\r\r" in content, found
        return
    typed = [TYPED_NAME.fullmatch(name) for name in first]
    names = [match[1] for match in typed if match] if all(typed) else first
    if any(map(NUMBER.fullmatch, names)):
        criteo = len(first) == len(CRITEO) and naive.separator_of(naive.text_of(content)) == "\t"
        names, rows = list(CRITEO) if criteo else [f"c{number}" for number in range(len(first))], [first, *rows]
    if not rows or len(set(names)) < len(names) or not all(map(str.strip, names)):
        assert isinstance(found, str), found
        return
    assert found == {name: [row[place] for row in rows] for place, name in enumerate(names)}


def entries(read: Read, path: Path, content: bytes, parts: int) -> None:
    """libsvm (parts = 2) and libffm (parts = 3) against str.split."""
    path.write_bytes(content)
    found = read(path)
    try:
        rows = naive.entries(content, parts)
    except naive.Mistake:
        rows = []
    if not rows:
        assert isinstance(found, str), found
        return
    assert isinstance(found, dict) and found["label"] == [label for label, _ in rows], found
    if parts == 2:
        assert found["features"] == [[tuple(entry) for entry in row] for _, row in rows]
        return
    names = {f"field{entry[0]}" for _, row in rows for entry in row}
    assert found.keys() == {"label", *names}
    for name in names:
        assert found[name] == [[tuple(entry[1:]) for entry in row if f"field{entry[0]}" == name] for _, row in rows]


def decimals(texts: Iterable[str]) -> None:
    """Numbers against float, bit for bit."""
    for text in texts:
        column = Texts.of(["1", text, "2"])
        try:
            expected = naive.number(text)
        except naive.Mistake:
            try:
                numbers(column, "x")
            except InputError as error:
                assert "data row 2" in str(error)
                continue
            raise AssertionError(f"{text!r} was taken for a number") from None
        value = numbers(column, "x")[1]
        assert value.tobytes() == np.float64(expected).tobytes() or (np.isnan(value) and np.isnan(expected)), text


def bags(texts: list[str], separator: str) -> None:
    """Values inside cells against str.split."""
    values, offsets = Texts.of(texts).split(separator)
    found = values.tolist()
    expected = [[value for value in text.split(separator) if value] for text in texts]
    assert [found[begin:end] for begin, end in itertools.pairwise(offsets.tolist())] == expected


def texts(texts: list[str], others: list[str]) -> None:
    """Columns of text and their index against lists and dicts."""
    column, known = Texts.of(texts), list(dict.fromkeys(texts))
    distinct, codes = column.factorize()
    assert distinct.tolist() == known
    assert [distinct[int(code)] for code in codes] == texts == column.packed().tolist()
    before, after = column.cut_at_last(":")
    cut = [text.rpartition(":") if ":" in text else (text, "", "") for text in texts]
    assert list(zip(before, after, strict=True)) == [(left, right) for left, _, right in cut]
    index = TextIndex(known)
    assert index.find(Texts.of(others)).tolist() == [known.index(text) if text in known else -1 for text in others]
    index.add(Texts.of(dict.fromkeys(others)))
    assert index.texts.tolist() == list(dict.fromkeys([*texts, *others]))
