"""Arbitrary and mutated files: the table that plain Python finds, or one line, however the file is cut into pieces."""

from __future__ import annotations

import gzip
import itertools
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fastfm_core import threads
from fastfm_core.config import parse_settings
from fastfm_core.config_file import read_config
from fastfm_core.data import cache, open_table
from fastfm_core.data.columns import Table, join_rows
from fastfm_core.data.readers import reader as text_reader
from fastfm_core.data.stream import each_piece
from fastfm_core.errors import InputError
from fastfm_core.prepare import prepare
from fastfm_core.source import Source

from . import checks

ROOT = Path(__file__).parents[2]
CUTS = list(itertools.product((1, 7, 64, 4096), (1, 2)))
fuzz = settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def cut(monkeypatch: pytest.MonkeyPatch, threads_restored: None) -> Iterator[Callable[[int, int], None]]:
    """Sets the size of pieces in bytes and the number of threads."""

    def to(size: int, count: int) -> None:
        monkeypatch.setattr(text_reader, "BLOCK_BYTES", size)
        threads.set_num_threads(count)

    yield to


def mutated(*seeds: bytes) -> st.SearchStrategy[bytes]:
    """A valid file with a few bytes replaced, removed, doubled or inserted."""
    pieces = st.sampled_from([b"\r\n", b"\xff", *(bytes([char]) for char in b'"\n\r,:# \t\0009e'), b""])
    edits = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3), pieces), max_size=4)

    def apply(seed: bytes, edits: list[tuple[float, int, bytes]]) -> bytes:
        for place, length, piece in edits:
            begin = round(place * len(seed))
            seed = seed[:begin] + piece + seed[begin + length :]
        return seed

    return st.builds(apply, st.sampled_from(seeds), edits)


def read(path: Path) -> Table | str:
    """The whole table through the passes' machinery, or the line that says what is wrong."""
    try:
        tables = [piece.result for piece in each_piece(open_table(path), lambda number, table: table)]
    except InputError as error:
        return checks.one_line(error, path)
    return {name: checks.plain(column) for name, column in join_rows(tables).items()}


def read_alike(path: Path, cut: Callable[[int, int], None]) -> Table | str:
    """The same table, however the file is cut, or a line; which of several mistakes it tells, the cut may decide."""
    found: dict[tuple[int, int], Table | str] = {}
    for size, count in CUTS:
        cut(size, count)
        found[size, count] = read(path)
        assert found[size, count] == found[size, 1], (size, count)
        assert found[size, count] == found[1, 1] or (
            isinstance(found[size, count], str) and isinstance(found[1, 1], str)
        )
    return found[1, 1]


DELIMITED = (
    b'a,b\n1,x\n,"\xc3\xa9, y"\n3,"say ""hi"""\n',
    b"a;b;c\r\n1;2;3\r\n\r\n4;5;6\r\n",
    b"\xef\xbb\xbfu:token\tr:float\nx\t1\ny\t2",
    b'"a\n1","b"\n"x\r\ny",z\n',
    b"1,2\n3,4\n",
    b"a,b\r1,2\r3,4\r",
)
cells = st.text(st.sampled_from('ab1,;\t"\n\r \u00e9\0'), max_size=40).map(str.encode)


@fuzz
@given(st.one_of(mutated(*DELIMITED), cells, st.binary(max_size=60)))
@example(b'a\r""b\n"\r"\n')
@example(b"a\rb\nc\n")
@example(b'"a,b,c";d\n1;2\n')
def test_delimited_text_is_what_the_csv_module_reads(
    tmp_path: Path, cut: Callable[[int, int], None], content: bytes
) -> None:
    checks.delimited(lambda path: read_alike(path, cut), tmp_path / "t.csv", content)


LIBSVM = (b"1 3:0.5 7:1 # note\n0 2:1e-3\n\n-1\n", b"3:1\r\n1 4:2.5 4:1\r\n")
LIBFFM = (b"1 1:3:0.5 2:7:1\n0 2:2:1\n", b"0 a:b:1 a:c:2\r\n1\r\n")
words = st.text(st.sampled_from("01:. #\t\n\r\x01-e"), max_size=40).map(str.encode)


@pytest.mark.parametrize(("suffix", "parts", "seeds"), [("svm", 2, LIBSVM), ("ffm", 3, LIBFFM)])
def test_entries_are_what_str_split_reads(
    tmp_path: Path, cut: Callable[[int, int], None], suffix: str, parts: int, seeds: tuple[bytes, ...]
) -> None:
    @fuzz
    @given(st.one_of(mutated(*seeds), words, st.binary(max_size=40)))
    def check(content: bytes) -> None:
        checks.entries(lambda path: read_alike(path, cut), tmp_path / f"t.{suffix}", content, parts)

    check()


@fuzz
@given(mutated(*(gzip.compress(content, mtime=0) for content in DELIMITED)))
def test_gzip_is_whole_or_refused(tmp_path: Path, cut: Callable[[int, int], None], content: bytes) -> None:
    packed, unpacked = tmp_path / "t.csv.gz", tmp_path / "t.csv"
    packed.write_bytes(content)
    found = read_alike(packed, cut)
    if isinstance(found, dict):
        unpacked.write_bytes(gzip.decompress(content))
        assert found == read(unpacked)


@settings(fuzz, max_examples=100)
@given(st.data())
def test_parquet_is_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    """Pages with wrong bytes, files that end early. A wrong byte in the footer may end the process inside Arrow."""
    path = tmp_path / "t.parquet"
    columns = {"a": [1, None, 3], "b": ["x", "", None], "c": [1.5, 2, None], "d": [["x"], [], ["y", "z"]]}
    pyarrow.parquet.write_table(pyarrow.table(columns), path, compression="none")
    content = bytearray(path.read_bytes())
    pages = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    for place in data.draw(st.lists(st.integers(0, pages - 1), max_size=3)):
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.one_of(st.none(), st.integers(0, len(content) - 1)))])
    try:
        for piece in each_piece(open_table(path), lambda number, table: table):
            assert set(map(len, piece.result.values())) == {piece.rows}
    except InputError as error:
        assert "t.parquet" in str(error) and "\n" not in str(error)


CONFIG = b"""label = "clicked"\nseed = 3\n[settings]\ndim = 4\nhidden = [8, 8]\n[columns.city]\ntype = "categorical"
buckets = 10\nuse = "first,pairs"\n[columns.x]\ntype = "cross"\ncolumns = ["city", "size"]\n"""


@fuzz
@given(st.one_of(mutated(CONFIG), mutated(CONFIG.replace(b'"', b"")), st.binary(max_size=40)))
def test_a_configuration_file_is_read_or_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "c.toml"
    path.write_bytes(content)
    try:
        found = read_config(path)
    except InputError as error:
        assert "c.toml" in str(error) and "\n" not in str(error)
        return
    try:
        parse_settings(found.settings)
    except InputError as error:
        assert "\n" not in str(error)


ROWS = b"".join(b"c%d,%d,t%d|t%d,%d\n" % (i % 4, i * 7 % 10, i % 3, i % 5, i % 2) for i in range(40))
SOURCE = Source(None, label="y", numeric="size", multihot="tags:|", categorical="city")


@settings(fuzz, max_examples=60)
@given(mutated(b"city,size,tags,y\n" + ROWS))
def test_a_mutated_table_is_encoded_alike_or_refused(
    tmp_path: Path, cut: Callable[[int, int], None], monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    """The whole way into the cache: the bits of all arrays and the manifest do not depend on pieces and threads."""
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    found: list[dict[str, bytes]] = []
    for size, count in ((7, 2), (4096, 1)):
        tables = tmp_path / f"tables{size}"
        monkeypatch.setenv(cache.VARIABLE, str(tables))
        cut(size, count)
        try:
            prepare(SOURCE._replace(data=path), seed=0)
            found.append({file.name: file.read_bytes() for file in sorted(tables.glob("*/*"))})
        except InputError as error:
            assert "t.csv" in str(error) and "\n" not in str(error)
            found.append({})
            assert not list(tables.iterdir())
        shutil.rmtree(tables)
    assert found[0] == found[1]


@settings(fuzz, max_examples=500)
@given(st.lists(st.text(st.sampled_from("0123456789+-.eE_ \t\u00a0naif\uff11"), max_size=24), min_size=1))
@example(["1e22", "1e23", "123456789012345", "1234567890123456", "0.1e-21", "-0", "1e", "1e+", ".", "-.5", "5."])
def test_numbers_are_what_float_reads(texts: list[str]) -> None:
    checks.decimals(texts)


anything = st.lists(st.text(st.sampled_from("ab|\u00e9:\0 "), max_size=8))


@fuzz
@given(anything, st.sampled_from(["|", "ab", "\u00e9", "aa", "||"]))
def test_bags_are_what_str_split_finds(texts: list[str], separator: str) -> None:
    checks.bags(texts, separator)


@fuzz
@given(anything, anything)
def test_texts_are_what_python_strings_are(texts: list[str], others: list[str]) -> None:
    checks.texts(texts, others)


def test_the_scanners_as_plain_python_with_every_index_checked() -> None:
    """The seeded run; the coverage-guided one is started by hand."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.run", "--inputs", "2000"], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("inputs, all as expected\n")
