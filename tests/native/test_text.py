"""C++ and Numba give the same bits: every function on nasty texts, and whole files through readers and encoders."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data.tables import EVERY_SCHEMA, every_table
from engines import BUILT
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fastfm_core import threads
from fastfm_core.data import Categorical, Cross, Encoder, History, MultiHot, Numeric, Schema, open_table
from fastfm_core.data.readers import read_table, reader
from fastfm_core.data.stream import each_piece
from fastfm_core.data.text import Texts, engine, marks
from fastfm_core.errors import InputError

pytestmark = pytest.mark.skipif(not BUILT, reason="fastfm_core._native is not built, there is one engine only")

NUMBERS = [
    *("", "0", "-0", "+0", "-", "+", ".", "-.", "7", "-7", "+7", "00012", "99999999", "-9999999", "123456789"),
    *("12345678", "-12345678", "1234567:", "/2345678", " 12 ", "  ", "1 2", "1.5", ".5", "5.", "1e22", "1e23"),
    *("1e-22", "1e-23", "5e-324", "2.2250738585072014e-308", "1.7976931348623157e308", "1e309", "-1e999", "nan"),
    *("inf", "-inf", "1e", "1e+", "1E-5", "1e1000", "1e9999", "1_000", "0x10", "18446744073709551615", "9" * 400),
    *("123456789012345", "1234567890123456", "0.1e-21", "\uff11", "1\0", "\0", "--1", "+-1", "1-", "-1e-0"),
    "0." + "0" * 400 + "1",
]
TEXTS = ["", "a", "\0", "\0\0", "é中", "12345678", "123456789", "x" * 15, "x" * 16, "y" * 4096, *NUMBERS]
texts = st.lists(st.one_of(st.sampled_from(TEXTS), st.text(max_size=20)), max_size=70)


compiling = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def both(function: str, make: Callable[[], tuple[Any, ...]]) -> tuple[Any, ...]:
    """Arguments after a call of the function, and its result, which both engines must leave alike; fresh for each."""
    found = []
    for name in ("native", "numba"):
        arguments = make()
        result = getattr(engine.load(name), function)(*arguments)
        arrays = [argument for argument in arguments if isinstance(argument, np.ndarray)]
        arrays += [array for argument in arguments if isinstance(argument, list) for array in argument]
        found.append(([array.tobytes() for array in arrays], result, arguments))
    assert found[0][:2] == found[1][:2]
    return (*found[0][2], found[0][1])


def places(column: list[str], step: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Buffer, starts and ends, the positions ``step`` numbers apart in memory."""
    packed = Texts.of(column)
    spread = np.zeros((2, len(column), step), np.int64)
    spread[0, :, 0], spread[1, :, 0] = packed.starts, packed.ends
    return packed.buffer.copy(), spread[0, :, 0], spread[1, :, 0]


def places_of(columns: list[list[str]], step: int) -> list[list[np.ndarray]]:
    """Buffers, starts and ends of several columns of one length."""
    return [list(arrays) for arrays in zip(*(places(column, step) for column in columns), strict=True)]


@compiling
@given(texts, st.sampled_from([1, 3]))
@example(NUMBERS, 1)
@example(NUMBERS * 3, 1)
def test_numbers_are_the_same_bits(column: list[str], step: int) -> None:
    columns = [column, column[::-1]]
    shape = 2, len(column)
    both("parse_decimals", lambda: (*places_of(columns, step), np.zeros(shape), np.zeros(shape, np.uint8)))


def test_all_exponents_and_lengths_of_numbers_are_the_same_bits() -> None:
    powers = [f"{digits}e{power}" for digits in ("1", "-37", "123456789012345") for power in range(-30, 31)]
    lengths = [sign + "9876543210987654"[:length] for sign in ("", "-", "+") for length in range(17)]
    wrong = [good[:place] + char + good[place + 1 :] for good in ("12345678", "-123", "7") for place in range(len(good))
             for char in map(chr, range(128))]  # fmt: skip
    column = [*powers, *lengths, *wrong]
    for begin in (0, 1, len(column) - 1):
        rest = column[begin:]
        shape = 1, len(rest)
        both("parse_decimals", lambda: (*places_of([rest], 1), np.zeros(shape), np.zeros(shape, np.uint8)))  # noqa: B023


@compiling
@given(texts, st.integers(1, 2**30), st.sampled_from([1, 2]))
@example(TEXTS, 1000, 1)
@example(TEXTS[:16], 7, 1)
def test_hashes_and_buckets_are_the_same(column: list[str], buckets: int, step: int) -> None:
    count = len(column)
    *_, hashes, _ = both("hash_texts", lambda: (*places(column, step), np.zeros(count, np.uint64)))
    counts, bases = np.array([buckets, 1 + buckets // 2], np.uint64), np.array([7, 2**40 if step > 1 else 2**20])
    ids = np.zeros((count, 5), np.int64 if step > 1 else np.int32)
    columns = [column, column[::-1]]
    both("bucket_texts", lambda: (*places_of(columns, step), counts, bases, np.array([4, 1]), ids.copy()))
    both("bucket_hashes", lambda: (hashes, buckets, np.zeros(count, np.int64)))
    both("combine_hashes", lambda: (hashes, hashes[::-1].copy(), np.zeros(count, np.uint64)))
    both("sketch_hashes", lambda: (hashes, np.zeros(4096, np.uint8)))


def test_the_sketch_counts_zeros_alike_to_the_last_bit() -> None:
    hashes = np.array([0, 2**64 - 1, *(1 << bit for bit in range(64))], np.uint64)
    both("sketch_hashes", lambda: (hashes, np.zeros(4096, np.uint8)))


@compiling
@given(texts, texts)
@example(TEXTS, NUMBERS)
def test_the_index_is_the_same(column: list[str], others: list[str]) -> None:
    count, slot_count = len(column), 4 * max(8, 1 << len(column).bit_length())

    def free() -> np.ndarray:
        return np.full(slot_count, marks.FREE, np.int64)

    both("distinct_texts", lambda: (*places(column, 1), free(), np.zeros(count, np.int64), np.zeros(count, np.int64)))
    keys = Texts.of(dict.fromkeys(column))
    *_, slots, _ = both("place_keys", lambda: (keys.buffer, keys.ends, 0, len(keys), free()))
    codes = np.zeros(len(others), np.int64)
    both("find_texts", lambda: (keys.buffer, keys.ends, slots.copy(), *places(others, 1), codes.copy()))
    size = 5 + len(keys.buffer)
    both("copy_texts", lambda: (*places(list(keys), 2), np.zeros(size, np.uint8), 5, np.zeros(len(keys), np.int64)))


@compiling
@given(texts, st.sampled_from(["|", "::", "é", "x"]))
def test_bags_and_last_places_are_the_same(column: list[str], separator: str) -> None:
    token = np.frombuffer(bytearray(separator.encode()), np.uint8)
    offsets, none = np.zeros(len(column) + 1, np.int64), np.zeros(0, np.int64)
    *_, count = both("scan_bags", lambda: (*places(column, 1), token, offsets.copy(), none, none))
    both("scan_bags", lambda: (*places(column, 1), token, offsets.copy(), *np.zeros((2, count), np.int64)))
    both("last_of", lambda: (*places(column, 1), token[-1].item(), np.zeros(len(column), np.int64)))


@compiling
@given(st.text(st.sampled_from('ab,;\t"\n\r é\0'), max_size=300), st.integers(1, 4), st.sampled_from(",\t;"))
@example("a" * 63 + ",b\n" + '"' + "c" * 60 + '""\r\n",d\r\n\n\r\n' * 3, 2, ",")
def test_scanned_cells_are_the_same(text: str, columns: int, separator: str) -> None:
    content = text.encode() + b"\n"
    rows = content.count(b"\n")

    def make() -> tuple[Any, ...]:
        cells = np.zeros((2, columns, rows), np.int64)
        buffer = np.frombuffer(bytearray(content), np.uint8)
        return buffer, len(content), ord(separator), cells[0], cells[1], marks.no_mistake()

    both("scan_cells", make)
    both("records_end", lambda: (*make()[:3],))
    both("records_end", lambda: (make()[0], len(content) - 1, ord(separator)))


@compiling
@given(st.text(st.sampled_from("01:. #\t\n\r\x01-eé"), max_size=200), st.sampled_from([2, 3]))
def test_scanned_entries_are_the_same(text: str, parts: int) -> None:
    content = text.encode() + b"\n"
    rows, most = content.count(b"\n"), content.count(b":") + 1

    def make() -> tuple[Any, ...]:
        lines, labels, offsets = (np.zeros(shape, np.int64) for shape in (rows, (rows, 2), rows + 1))
        entries = np.zeros((most, parts + 1), np.int64)
        buffer = np.frombuffer(bytearray(content), np.uint8)
        return buffer, len(content), parts, lines, labels, offsets, entries, marks.no_mistake()

    both("scan_entries", make)


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_standardised_numbers_are_the_same_bits(dtype: type) -> None:
    column = [0.0, -0.0, 1, -1, np.nan, -np.nan, 1e300, -1e300, 5e-324, np.inf, -np.inf, 0.1, 1 / 3]
    for repeats in (0, 1, 5):
        values = np.array([column * repeats] * 4)
        means, scales = np.array([0.0, 0.1, -1e9, 1e300]), np.array([1.0, 0.3, 1e-3, 5e-324])
        bases, fields, raw = np.array([0, 2, 4, 2**30]), np.array([3, 0, -1, 1]), np.array([-1, 1, 0, -1])
        both(
            "standardize",
            lambda: (values, means, scales, 1e6, bases, 1, fields, *tables(values.shape[1], dtype, raw)),  # noqa: B023
        )


def tables(rows: int, dtype: type, raw: np.ndarray) -> tuple[np.ndarray, ...]:
    """Ids, entries, the places of raw numbers and raw numbers, with something in them that has to stay or go."""
    return np.full((rows, 4), 9, dtype), np.full((rows, 4), 9, np.float32), raw, np.full((rows, 2), 9, np.float32)


def test_wrong_arrays_are_refused_not_converted() -> None:
    native, column = engine.load("native"), Texts.of(["a", "b"])
    with pytest.raises(TypeError):
        native.hash_texts(column.buffer, column.starts.astype(np.int32), column.ends, np.zeros(2, np.uint64))
    with pytest.raises(ValueError, match="too short"):
        native.hash_texts(column.buffer, column.starts, column.ends, np.zeros(1, np.uint64))
    one, numbers, table = np.zeros(1, np.int64), np.zeros((1, 2)), np.zeros((2, 1), np.float32)
    for place, rows, wrong in ((1, 2, "outside"), (-2, 2, "outside"), (0, 3, "rows")):
        ids = np.zeros((rows, 1), np.int32)
        with pytest.raises(ValueError, match=wrong):
            native.standardize(
                numbers, np.zeros(1), np.ones(1), 1e6, one, 1, np.array([place]), ids, table, one - 1, table
            )
    with pytest.raises(ValueError, match="length of the result"):
        texts = [column.buffer], [column.starts], [column.ends]
        native.bucket_texts(*texts, np.ones(1, np.uint64), one, one, np.zeros((1, 1), np.int32))
    with pytest.raises(ValueError, match="line feed"):
        native.scan_cells(column.buffer, 2, 44, *np.zeros((2, 1, 1), np.int64), marks.no_mistake())


HEADER = b"label,color,user,tags,price,age\n"
LINES = [
    b'1,red,18446744073709551615,"a:0.5|b",1,30\n',
    b'0,"bl""ue, \n\xc3\xa9",18446744073709551614,,-0,-7\r\n',
    b"1,,,c:2,,\n\n",
    b"0,red\0,9223372036854775808,a|a:3,5e-324,1e-300\n",
    b"1,\xe4\xb8\xad,00,d:-1,1234567890.12345678901,nan\n",
]
MISTAKES = {
    "number": b"0,red,1,a,1e999,1\n",
    "words": b"0,red,1,a,seven,1\n",
    "weight": b"0,red,1,a:nan,1,1\n",
    "width": b"0,red,1\n",
    "quote": b'0,"red,1,a,1,1\n',
    "after quote": b'0,"red"x,1,a,1,1\n',
    "bytes": b"0,\xff,1,a,1,1\n",
    "return": b"0,r\red,1,a,1,1\n",
    "digits": b"0,red,1,a," + b"9" * 400 + b",1\n",
}
SCHEMA = Schema(
    [
        Categorical("color"),
        Categorical("user", buckets=9),
        MultiHot("tags", weighted=True, min_count=1),
        Numeric("price", transform="log1p"),
        Numeric("age", use="first,pairs,raw"),
        Cross(("color", "user"), buckets=50),
    ],
    label="label",
)


def encoded(path: Path, name: str, size: int, count: int, patch: pytest.MonkeyPatch) -> dict[str, bytes] | str:
    """All bits of a file's encoding, or the line that says what is wrong."""
    patch.setattr(engine, "kernels", engine.load(name))
    patch.setattr(reader, "BLOCK_BYTES", size)
    threads.set_num_threads(count)
    try:
        encoder = Encoder.fit(read_table(path.with_name("training.csv")), SCHEMA, min_count=1)
        pieces = [piece.result for piece in each_piece(open_table(path), lambda _, table: encoder.transform(table))]
    except InputError as error:
        return str(error)
    arrays = {array: [getattr(piece, array) for piece in pieces] for array in ("ids", "values", "dense")}
    return {array: np.concatenate(parts).tobytes() for array, parts in arrays.items()}


@pytest.mark.parametrize("ending", ["whole", "no line feed", *MISTAKES])
def test_a_file_is_encoded_alike_or_refused_with_the_same_words(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch, threads_restored: None
) -> None:
    path = tmp_path / "clicks.csv"
    (tmp_path / "training.csv").write_bytes(HEADER + b"".join(LINES))
    content = HEADER + b"".join(LINES) * 7 + MISTAKES.get(ending, b"") + b"".join(LINES)
    path.write_bytes(content.removesuffix(b"\n") if ending == "no line feed" else content)
    for size in (7, 100, 1 << 20):
        runs = itertools.product(("native", "numba"), (1, 2, 3))
        found = [encoded(path, name, size, count, monkeypatch) for name, count in runs]
        assert all(one == found[0] for one in found)
        assert isinstance(found[0], str) == (ending in MISTAKES), found[0]
        if ending in MISTAKES:
            assert "clicks.csv" in found[0] and ("row 36" in found[0] or "line " in found[0])


SINGLE = [field for field in EVERY_SCHEMA.fields if not isinstance(field, MultiHot | History)]
FLAT_SCHEMA = Schema([Numeric("price alone", source="price", use="raw", transform="sqrt"), *SINGLE])


@settings(compiling, max_examples=30)
@given(st.integers(0, 150), st.integers(0, 99))
def test_every_kind_of_column_is_encoded_alike(monkeypatch: pytest.MonkeyPatch, rows: int, seed: int) -> None:
    """Columns of str or of texts, in tables with bags and without, which take different ways."""
    training, table = every_table(rows + 20, seed), every_table(rows, seed + 1)
    texts = {name: Texts.of(column) for name, column in table.items()}
    for schema in (EVERY_SCHEMA, FLAT_SCHEMA):
        found = []
        for name in ("native", "numba"):
            monkeypatch.setattr(engine, "kernels", engine.load(name))
            encoder = Encoder.fit(training, schema)
            for columns in (table, texts):
                result = encoder.transform(columns)
                arrays = (result.ids, result.offsets, result.values, result.dense)
                found.append((encoder.to_dict(), [array.tobytes() for array in arrays if array is not None]))
        assert all(each == found[0] for each in found)


def test_a_bag_beside_them_changes_no_other_field() -> None:
    table, fields = every_table(150), len(SINGLE)
    flat = Encoder.fit(table, FLAT_SCHEMA).transform(table)
    more = Encoder.fit(table, Schema([*FLAT_SCHEMA.fields, MultiHot("tags", min_count=1)])).transform(table)
    assert more.offsets is not None and more.values is not None and flat.values is not None
    first = more.offsets[:-1].reshape(150, fields + 1)[:, :-1]
    assert flat.ids.tolist() == more.ids[first].tolist() and flat.values.tolist() == more.values[first].tolist()
    assert flat.dense is not None and more.dense is not None and flat.dense.tolist() == more.dense.tolist()
