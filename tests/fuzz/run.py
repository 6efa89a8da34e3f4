"""Fuzzes the scanners as plain Python, where every index is checked and coverage is visible.

    python -m tests.fuzz.run --seconds 300     coverage-guided, by atheris (pip install atheris)
    python -m tests.fuzz.run --inputs 2000     seeded mutations alone, as in the test suite

The first byte of an input picks the check, the second the size of the pieces that files are read in. An input that
breaks a check ends the run with its traceback, and is shown.
"""

from __future__ import annotations

import os

os.environ["NUMBA_DISABLE_JIT"] = "1"
os.environ["FASTFM_CORE_NATIVE"] = "0"

import argparse
import contextlib
import importlib
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SIZES = (1, 7, 64, 4096)
SEEDS = (
    b'\0\3a,b\n1,x\n,"\xc3\xa9, y"\n3,"say ""hi"""\n',
    b'\0\1\xef\xbb\xbf\n"a\n1";b\r\n1;2\r\n\r\n"4""";5',
    b'\0\0a,b\n"x\ny",z\n"1\n""2",3\n',
    b"\0\2u:token\tr:float\nx\t1\r\n",
    b"\0\0a,b\r1,2\r3,4\r",
    b"\1\3 1 3:0.5 7:1 # note\n0 2:1e-3\n\n-1\n3:1\r\n",
    b"\2\2 1 1:3:0.5 2:7:1\n0 a:b:1 a:c:2\n1\n",
    b"\3\0-12.5e-3\n1e22\n 007 \n1234567890123456\n.\n+5.\nnan",
    b"\4\0a|b||c\n|\n\nab|",
    b"\5\0a:b\nc\na:b\n:\n\nd",
)


class Checked(np.ndarray):
    """An array that refuses positions counted from its end, as compiled code would read beside it."""

    def __getitem__(self, which: Any) -> Any:
        _require_positions(which)
        return super().__getitem__(which)

    def __setitem__(self, which: Any, value: Any) -> None:
        _require_positions(which)
        super().__setitem__(which, value)


def _require_positions(which: Any) -> None:
    for position in which if isinstance(which, tuple) else (which,):
        if isinstance(position, int | np.integer) and position < 0:
            raise IndexError(f"position {position} is negative")


def byte_at(buffer: np.ndarray, position: int) -> int:
    """The intrinsic's meaning, checked."""
    return int(buffer[position])


def check_every_index() -> None:
    """The kernels of the text room get checked arrays and the checked ``byte_at``."""
    from fastfm_core.data.text import numba_cpu
    from fastfm_core.data.text.numba_cpu import index, numbers, scan

    def checked(kernel: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *arguments: kernel(*(a.view(Checked) if isinstance(a, np.ndarray) else a for a in arguments))

    for module in (index, numbers, scan):
        module.byte_at = byte_at
        for name, function in list(vars(module).items()):
            if callable(function) and function.__module__ == module.__name__ and not name.startswith("_"):
                setattr(numba_cpu, name, checked(function))


def check(content: bytes, folder: Path) -> None:
    """One input."""
    from fastfm_core.data.columns import join_rows, table_length
    from fastfm_core.data.readers import open_table, reader
    from fastfm_core.errors import InputError

    from . import checks

    def read(path: Path) -> Any:
        try:
            tables = [chunk.parse() for chunk in open_table(path).chunks()]
        except InputError as error:
            return checks.one_line(error, path)
        table = join_rows(tables) if tables else {}
        return {name: checks.plain(column) for name, column in table.items()} if table_length(table) else "no rows"

    kind, size, body = content[0] % 6, content[1] % len(SIZES), content[2:]
    reader.BLOCK_BYTES = SIZES[size]
    texts = body.decode("utf-8", "replace").split("\n")
    if kind == 0:
        checks.delimited(read, folder / "t.csv", body)
    elif kind in (1, 2):
        checks.entries(read, folder / ("t.svm" if kind == 1 else "t.ffm"), body, kind + 1)
    elif kind == 3:
        checks.decimals(texts)
    elif kind == 4:
        checks.bags(texts, ("|", "||", "ab", "\u00e9")[size])
    else:
        checks.texts(texts, texts[::2] + texts[0].split(" "))


def mutated(draw: random.Random) -> bytes:
    """A seed with a few bytes replaced, removed or inserted."""
    content = bytearray(draw.choice(SEEDS))
    content[1] = draw.randrange(len(SIZES))
    for _ in range(draw.randrange(1, 6)):
        begin = draw.randrange(2, len(content) + 1)
        piece = draw.choice([b"", b"\r\n", b'""', bytes([draw.choice(b'",;\t\n\r:#|e-.0 a\0\xff')])])
        content[begin : begin + draw.randrange(3)] = piece
    return bytes(content)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--seconds", type=int, help="of a coverage-guided run")
    chosen.add_argument("--inputs", type=int, help="of a seeded run")
    options = parser.parse_args()
    guided = contextlib.nullcontext()
    if options.seconds:
        import atheris

        guided = atheris.instrument_imports(include=["fastfm_core.data"])
    with guided:
        importlib.import_module("fastfm_core.data.readers")
    check_every_index()
    np.seterr(over="ignore")  # hashes wrap around
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def one(content: bytes) -> None:
            if len(content) >= 2:
                try:
                    check(content, folder)
                except BaseException:
                    print(f"input {content!r}", file=sys.stderr)
                    raise

        if options.seconds:
            corpus = folder / "corpus"
            corpus.mkdir()
            for number, seed in enumerate(SEEDS):
                (corpus / str(number)).write_bytes(seed)
            arguments = [f"-max_total_time={options.seconds}", "-max_len=200", f"-artifact_prefix={folder}/"]
            atheris.Setup([sys.argv[0], *arguments, str(corpus)], one)
            atheris.Fuzz()
        draw = random.Random(0)
        for content in (*SEEDS, *(mutated(draw) for _ in range(options.inputs or 0))):
            one(content)
    print(f"{len(SEEDS) + (options.inputs or 0)} inputs, all as expected")


if __name__ == "__main__":
    main()
